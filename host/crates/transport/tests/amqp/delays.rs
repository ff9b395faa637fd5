//! Delayed messages: through Celery's levels, and back to where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::names;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, ExchangeType, QueueOptions};
use umbel_transport::broker::{Broker, Held, NotDelayed};
use umbel_transport::delivery::Delivery;
use umbel_value::{Map, Value};

use super::bench::*;

async fn delay(broker: &AmqpBroker, delivery: Delivery, wait: Duration) -> Result<(), NotDelayed> {
    let Delivery { message, queue, receipt, .. } = delivery;
    let delaying = broker.delay(Held { message, queue, receipt }, Timestamp::now() + wait);
    soon("delay", delaying).await
}

/// Queues of one kind behind the topic exchange `tx`, all with the key `key`.
fn topic(queues: &[&str], kind: &str) -> AmqpOptions {
    let options = QueueOptions {
        exchange: Some("tx".into()),
        exchange_type: ExchangeType::Topic,
        routing_key: Some("key".into()),
        arguments: Map::from_iter([("x-queue-type".to_owned(), Value::Text(kind.into()))]),
        ..QueueOptions::default()
    };
    AmqpOptions {
        queues: queues.iter().map(|queue| ((*queue).to_owned(), options.clone())).collect(),
        ..AmqpOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_of_celery_delays_arrives_as_sent_to_its_exchange() {
    let bench = Bench::start().await;
    let broker = bench.broker_with(topic(&["qq"], "quorum")).await;
    let mut consumer = consume(&broker, &["qq"], 1).await;
    let (_connection, channel) = bench.plain().await;
    let Route { exchange, routing_key } = names::delayed_route(1, "key");
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let publish =
        channel.basic_publish(exchange.into(), routing_key.into(), options, b"x", properties);
    soon("publish", publish).await.unwrap();

    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.route, Route { exchange: "tx".into(), routing_key: "key".into() });
    assert_eq!(delivery.message.headers, Map::new());
    assert!(!delivery.redelivered);
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_can_be_delayed_again_and_again() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "x").await;
    // The second time it comes from level 1 to level 0, where it was before: the server drops what
    // seems to go round in circles.
    for seconds in [1, 3, 1] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message, message("x"));
        assert_eq!(delivery.route, Route::queue("q"));
        delay(&broker, delivery, Duration::from_millis(seconds * 1000 + 200)).await.unwrap();
    }
    ack(next(&mut consumer).await).await;
    nothing_comes(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_whose_names_are_alike_do_not_get_each_others_messages() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let queues = ["b", "a.b", "a.*", "#", "*.b"];
    let mut consumer = consume(&broker, &queues, 20).await;
    for queue in queues {
        publish(&broker, queue, queue).await;
    }
    for _ in queues {
        let delivery = next(&mut consumer).await;
        delay(&broker, delivery, Duration::from_millis(1200)).await.unwrap();
    }
    let mut back = BTreeSet::new();
    for _ in queues {
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), *delivery.queue);
        back.insert(body(&delivery));
        ack(delivery).await;
    }
    assert_eq!(back, queues.map(str::to_owned).into());
    nothing_comes(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_back_to_its_own_queue_alone() {
    let bench = Bench::start().await;
    for kind in ["classic", "quorum"] {
        let queues = ["one", "two"].map(|name| format!("{name}-{kind}"));
        let queues = [queues[0].as_str(), queues[1].as_str()];
        let broker = bench.broker_with(topic(&queues, kind)).await;
        let mut consumer = consume(&broker, &queues, 4).await;
        let both = Route { exchange: "tx".into(), routing_key: "key".into() };
        soon("publish", broker.publish(&both, &message("x"))).await.unwrap();
        let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
        assert_ne!(first.queue, second.queue);
        let queue = first.queue.clone();
        delay(&broker, first, Duration::from_millis(1200)).await.unwrap();
        ack(second).await;
        let delivery = next(&mut consumer).await;
        assert_eq!((&delivery.queue, &delivery.route), (&queue, &Route::queue(&queue)));
        ack(delivery).await;
        nothing_comes(&mut consumer).await;
        soon("stop", consumer.stop()).await.unwrap();
        // The next kind's messages are not for these.
        for queue in queues {
            let (node, vhost, queue) = (bench.node, bench.vhost.clone(), queue.to_owned());
            blocking(move || node.delete_queue(&vhost, &queue)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_message_finds_its_queue_deleted_and_declared_again() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "x").await;
    delay(&broker, next(&mut consumer).await, Duration::from_millis(2200)).await.unwrap();
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.delete_queue(&vhost, "q")).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, message("x"));
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expiring_message_is_not_hurried() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    let mut expiring = message("x");
    expiring.properties.expiration = Some("700".into());
    soon("publish", broker.publish(&Route::queue("q"), &expiring)).await.unwrap();
    let begin = Timestamp::now();
    let delivery = next(&mut consumer).await;
    delay(&broker, delivery, Duration::from_millis(2500)).await.unwrap();
    ack(next(&mut consumer).await).await;
    let waited = begin.duration_until(Timestamp::now()).as_secs_f64();
    assert!(waited >= 2.0, "came after {waited} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_that_exist_otherwise_are_used_as_they_are() {
    let bench = Bench::start().await;
    let (_connection, channel) = bench.plain().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), 1000.into());
    let delivery = AMQPValue::LongString(names::DELAYED_DELIVERY.into());
    arguments.insert("x-dead-letter-exchange".into(), delivery);
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare("celery_delayed_0".into(), durable, arguments);
    soon("declare", declared).await.unwrap();

    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "x").await;
    let delivery = next(&mut consumer).await;
    delay(&broker, delivery, Duration::from_millis(1200)).await.unwrap();
    ack(next(&mut consumer).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcasts_copy_cannot_be_delayed_and_stays_ours() {
    let bench = Bench::start().await;
    let broadcast = QueueOptions { broadcast: true, ..QueueOptions::default() };
    let queues = BTreeMap::from([("news".to_owned(), broadcast)]);
    let broker = bench.broker_with(AmqpOptions { queues, ..AmqpOptions::default() }).await;
    let mut consumer = consume(&broker, &["news"], 1).await;
    publish(&broker, "news", "x").await;
    let delivery = next(&mut consumer).await;
    let refused = delay(&broker, delivery, Duration::from_secs(60)).await.unwrap_err();
    assert!(refused.error.is_none(), "{refused:?}");
    let RawMessage { body, .. } = &refused.held.message;
    assert_eq!(body, "x");
    nothing_comes(&mut consumer).await;
}
