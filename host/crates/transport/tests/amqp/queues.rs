//! Queues of every kind: declared, in conflict, deleted, quorum, with dead letters.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use umbel_protocol::message::Route;
use umbel_transport::amqp::{AmqpOptions, ExchangeType, QueueOptions};
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::delivery::Settlement;
use umbel_value::{Map, Value};

use super::bench::*;

fn arguments(queue: &str, entries: &[(&str, Value)]) -> AmqpOptions {
    let map: Map = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    options(queue, QueueOptions { arguments: map, ..QueueOptions::default() })
}

fn options(queue: &str, options: QueueOptions) -> AmqpOptions {
    AmqpOptions { queues: BTreeMap::from([(queue.to_owned(), options)]), ..AmqpOptions::default() }
}

/// As another program would: 406 if anything differs.
async fn declare(channel: &lapin::Channel, queue: &str, arguments: FieldTable) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
}

fn table(key: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(key.into(), value);
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_is_a_conflict() {
    let bench = Bench::start().await;
    let (_connection, channel) = bench.plain().await;
    declare(&channel, "q", table("x-max-priority", AMQPValue::LongInt(10))).await;

    let broker = bench.broker().await;
    let error = match broker.consume(&["q".to_owned()], 1).await {
        Err(error) => error,
        Ok(_) => panic!("consumes from a queue with other arguments"),
    };
    assert!(matches!(&error, BrokerError::Conflict { name, .. } if name == "q"), "{error:?}");
    assert!(
        told(&error).contains("inequivalent arg 'x-max-priority' for queue 'q'"),
        "{}",
        told(&error)
    );
    // The queue is there: that is all a message needs.
    publish(&broker, "q", "x").await;

    let broker = bench.broker_with(arguments("q", &[("x-max-priority", Value::Int(10))])).await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    settle(next(&mut consumer).await, Settlement::Requeue).await.unwrap();

    let options = AmqpOptions { accept_existing: true, ..AmqpOptions::default() };
    let second = bench.broker_with(options).await;
    broker.close().await;
    let mut consumer = consume(&second, &["q"], 1).await;
    ack(next(&mut consumer).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_declared_and_consumed_again() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["kept", "deleted"], 4).await;
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.delete_queue(&vhost, "deleted")).await;
    // Both the consumer and the publisher knew it as declared.
    publish(&broker, "deleted", "again").await;
    publish(&broker, "kept", "kept").await;
    let mut seen = vec![];
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        seen.push((delivery.queue.to_string(), body(&delivery)));
        ack(delivery).await;
    }
    seen.sort();
    assert_eq!(seen, [("deleted", "again"), ("kept", "kept")].map(|(q, b)| (q.into(), b.into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_a_queue_deleted_meanwhile_are_not_lost() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    publish(&broker, "other", "first").await;
    publish(&broker, "gone", "first").await;
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.delete_queue(&vhost, "gone")).await;
    // Together, so that a message that is returned comes with a confirm that is not its own.
    let publishes = (0..100).map(|at| {
        let queue = if at % 2 == 0 { "gone" } else { "other" };
        let broker = &broker;
        async move { publish(broker, queue, &at.to_string()).await }
    });
    join_all(publishes).await;
    assert_eq!(bench.depth("gone").await, (50, 0));
    assert_eq!(bench.depth("other").await, (51, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_to_a_missing_exchange_is_an_error_of_that_message_alone() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let nowhere = Route { exchange: "nowhere".into(), routing_key: "x".into() };
    let lost = message("lost");
    let (refused, _) = soon("publishes", async {
        let others = join_all((0..20).map(|at| {
            let broker = &broker;
            async move { publish(broker, "q", &at.to_string()).await }
        }));
        tokio::join!(broker.publish(&nowhere, &lost), others)
    })
    .await;
    let error = refused.unwrap_err();
    assert!(told(&error).contains("there is no exchange `nowhere`"), "{}", told(&error));
    assert_eq!(bench.depth("q").await, (20, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_message_goes_to_the_dead_letter_exchange() {
    let bench = Bench::start().await;
    let (_connection, channel) = bench.plain().await;
    let (durable, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let fanout = lapin::ExchangeKind::Fanout;
    channel.exchange_declare("dead".into(), fanout, durable, none.clone()).await.unwrap();
    declare(&channel, "morgue", none.clone()).await;
    let bind = lapin::options::QueueBindOptions::default();
    channel.queue_bind("morgue".into(), "dead".into(), "".into(), bind, none).await.unwrap();

    let options = arguments("q", &[("x-dead-letter-exchange", Value::Text("dead".into()))]);
    let broker = bench.broker_with(options).await;
    let mut consumer = consume(&broker, &["q"], 2).await;
    publish(&broker, "q", "kept").await;
    publish(&broker, "q", "dead").await;
    ack(next(&mut consumer).await).await;
    settle(next(&mut consumer).await, Settlement::Discard).await.unwrap();

    let mut morgue = consume(&broker, &["morgue"], 2).await;
    let delivery = next(&mut morgue).await;
    assert_eq!(body(&delivery), "dead");
    assert!(delivery.message.headers.contains_key("x-death"), "{delivery:?}");
    ack(delivery).await;
    nothing_comes(&mut morgue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_counts_deliveries_and_its_window_can_change() {
    let bench = Bench::start().await;
    let options = arguments("q", &[("x-queue-type", Value::Text("quorum".into()))]);
    let broker = bench.broker_with(options).await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "1").await;
    for before in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries.unwrap_or(0), before);
        assert_eq!(delivery.redelivered, before > 0);
        assert!(!delivery.message.headers.contains_key("x-delivery-count"));
        settle(delivery, Settlement::Requeue).await.unwrap();
    }
    ack(next(&mut consumer).await).await;

    for number in 0..10 {
        publish(&broker, "q", &number.to_string()).await;
    }
    let mut held = vec![next(&mut consumer).await];
    nothing_comes(&mut consumer).await;
    soon("resize", consumer.resize(3)).await.unwrap();
    held.push(next(&mut consumer).await);
    held.push(next(&mut consumer).await);
    nothing_comes(&mut consumer).await;
    join_all(held.into_iter().map(ack)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_queues_share_the_window_at_the_server() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    for queue in ["one", "two"] {
        join_all((0..50).map(|at| {
            let broker = &broker;
            async move { publish(broker, queue, &at.to_string()).await }
        }))
        .await;
    }
    let mut consumer = consume(&broker, &["one", "two"], 8).await;
    for _ in 0..5 {
        let mut held = vec![];
        for _ in 0..8 {
            held.push(next(&mut consumer).await);
        }
        nothing_comes(&mut consumer).await;
        // One queue may have got a part of the other's share when that was late.
        let unsettled = bench.depth("one").await.1 + bench.depth("two").await.1;
        assert!((8..=12).contains(&unsettled), "{unsettled}");
        join_all(held.into_iter().map(ack)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_the_window_leaves_the_server() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    for number in 0..50 {
        publish(&broker, "q", &number.to_string()).await;
    }
    let mut consumer = consume(&broker, &["q"], 8).await;
    for _ in 0..4 {
        let mut held = vec![];
        for _ in 0..8 {
            held.push(next(&mut consumer).await);
        }
        assert_eq!(bench.depth("q").await.1, 8);
        join_all(held.into_iter().map(ack)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_queue_may_use_the_whole_window_while_others_are_idle() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["idle", "busy", "quiet"], 9).await;
    for number in 0..30 {
        publish(&broker, "busy", &number.to_string()).await;
    }
    let mut held = vec![];
    for _ in 0..9 {
        held.push(next(&mut consumer).await);
    }
    nothing_comes(&mut consumer).await;
    join_all(held.into_iter().map(ack)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_what_is_sent_to_a_broadcast() {
    let bench = Bench::start().await;
    let broadcast = || options("news", QueueOptions { broadcast: true, ..QueueOptions::default() });
    let (one, two) = (bench.broker_with(broadcast()).await, bench.broker_with(broadcast()).await);
    let mut consumers = [consume(&one, &["news"], 2).await, consume(&two, &["news"], 2).await];
    publish(&one, "news", "x").await;
    for consumer in &mut consumers {
        let delivery = next(consumer).await;
        assert_eq!((&*delivery.queue, &*delivery.route.exchange), ("news", "news"));
        ack(delivery).await;
        nothing_comes(consumer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_nobody_hears_is_no_error() {
    let bench = Bench::start().await;
    let broadcast = options("news", QueueOptions { broadcast: true, ..QueueOptions::default() });
    publish(&bench.broker_with(broadcast).await, "news", "x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_to_a_topic_exchange_waits_for_its_consumer() {
    let bench = Bench::start().await;
    let topic = QueueOptions {
        exchange: Some("tx".into()),
        exchange_type: ExchangeType::Topic,
        routing_key: Some("a.#".into()),
        ..QueueOptions::default()
    };
    let broker = bench.broker_with(options("tq", topic)).await;
    let route = Route { exchange: "tx".into(), routing_key: "a.b".into() };
    soon("publish", broker.publish(&route, &message("x"))).await.unwrap();
    let mut consumer = consume(&broker, &["tq"], 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!((&*delivery.queue, &delivery.route), ("tq", &route));
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_the_server_does_not_know_are_named() {
    let bench = Bench::start().await;
    let impossible = arguments("q", &[("x-max-priority", Value::Int(-1))]);
    let broker = bench.broker_with(impossible).await;
    let (route, message) = (Route::queue("q"), message("x"));
    let error = soon("publish", broker.publish(&route, &message)).await.unwrap_err();
    assert!(told(&error).contains("invalid arg 'x-max-priority'"), "{}", told(&error));
}
