//! Dead letters: ours, and those of the operator's own exchange.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use umbel_protocol::message::Route;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, QueueOptions};
use umbel_transport::broker::{Broker, DeadLetter};
use umbel_transport::delivery::Delivery;
use umbel_value::{Map, Value};

use super::bench::*;

async fn bury(broker: &AmqpBroker, delivery: Delivery, parked: bool) {
    let letter = DeadLetter {
        id: String::new(),
        queue: delivery.queue.to_string(),
        reason: "why".into(),
        at: Timestamp::now(),
        parked,
        message: delivery.message,
    };
    soon("bury", broker.bury(letter, delivery.receipt)).await.unwrap();
}

async fn letters(broker: &AmqpBroker) -> Vec<DeadLetter> {
    soon("the letters", broker.dead_letters(1000)).await.unwrap()
}

/// Once there are so many.
async fn so_many_letters(broker: &AmqpBroker, count: usize) -> Vec<DeadLetter> {
    soon("the letters", async {
        loop {
            let letters = letters(broker).await;
            if letters.len() == count {
                return letters;
            }
            tokio::time::sleep(QUIET / 10).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operators_exchange_caught_is_listed_and_replayed() {
    let bench = Bench::start().await;
    let (_connection, channel) = bench.plain().await;
    let (durable, none) = (ExchangeDeclareOptions::default(), FieldTable::default);
    channel
        .exchange_declare("dlx".into(), lapin::ExchangeKind::Fanout, durable, none())
        .await
        .unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("caught".into(), durable, none()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind("caught".into(), "dlx".into(), "".into(), bind, none()).await.unwrap();

    let dead_letters = ("x-dead-letter-exchange".to_owned(), Value::Text("dlx".into()));
    let queue =
        QueueOptions { arguments: Map::from_iter([dead_letters]), ..QueueOptions::default() };
    let options = AmqpOptions {
        queues: BTreeMap::from([("q".to_owned(), queue)]),
        dead_letter_queue: Some("caught".into()),
        ..AmqpOptions::default()
    };
    let broker = bench.broker_with(options).await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "caught").await;
    bury(&broker, next(&mut consumer).await, false).await;
    publish(&broker, "q", "parked").await;
    bury(&broker, next(&mut consumer).await, true).await;

    let mut found = so_many_letters(&broker, 2).await;
    found.sort_by_key(|letter| letter.parked);
    let told: Vec<_> = found
        .iter()
        .map(|letter| (letter.queue.as_str(), letter.reason.as_str(), letter.parked))
        .collect();
    assert_eq!(told, [("q", "rejected", false), ("q", "why", true)]);
    assert_eq!(found[0].message, message("caught"));
    let age = found[0].at.duration_until(Timestamp::now()).as_secs();
    assert!((-1..60).contains(&age), "{age}");

    assert!(soon("replay", broker.replay(&found[0].id)).await.unwrap());
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, message("caught"));
    ack(delivery).await;
    assert_eq!(letters(&broker).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_is_not_parked_is_gone_where_nobody_catches_it() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "x").await;
    bury(&broker, next(&mut consumer).await, false).await;
    nothing_comes(&mut consumer).await;
    assert_eq!(letters(&broker).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_look_at_once_and_take_nothing_away() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    for number in 0..5 {
        publish(&broker, "q", &number.to_string()).await;
        bury(&broker, next(&mut consumer).await, true).await;
    }
    let other = bench.broker().await;
    let looks = [&broker, &other, &broker, &other].map(letters);
    for letters in join_all(looks).await {
        let bodies: Vec<_> = letters.iter().map(|letter| letter.message.body.clone()).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    }
    let id = letters(&broker).await.remove(3).id;
    let (replayed, _) = tokio::join!(other.replay(&id), letters(&broker));
    assert!(replayed.unwrap(), "somebody who looks does not hide it");
    let delivery = next(&mut consumer).await;
    assert_eq!(body(&delivery), "3");
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_message_does_not_expire() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    let mut expiring = message("x");
    expiring.properties.expiration = Some("1000".into());
    soon("publish", broker.publish(&Route::queue("q"), &expiring)).await.unwrap();
    bury(&broker, next(&mut consumer).await, true).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(letters(&broker).await.len(), 1);
}
