//! Who holds a message keeps it; whoever vanished does not.

use std::time::Duration;

use redis::AsyncCommands;
use umbel_protocol::message::Route;
use umbel_transport::broker::Broker;
use umbel_transport::redis::RedisOptions;

use super::{Database, PATIENCE, ack, eventually, message, next, nothing_is_unacked};

fn short() -> RedisOptions {
    RedisOptions { visibility_timeout: Duration::from_secs(2), ..RedisOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_hand_is_never_given_to_another() {
    let database = Database::new();
    let (first, second) = (database.broker(short()).await, database.broker(short()).await);
    let mut holder = first.consume(&["q".into()], 20).await.expect("consumes");
    for number in 0..20 {
        first.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
    }
    let mut held = Vec::new();
    for _ in 0..15 {
        held.push(next(&mut holder).await);
    }
    let mut other = second.consume(&["q".into()], 20).await.expect("consumes");
    // Three times the timeout, with two brokers sweeping.
    let quiet = tokio::time::timeout(Duration::from_secs(6), other.next()).await;
    assert!(quiet.is_err(), "what the first one holds came again: {quiet:?}");
    for delivery in held {
        assert_eq!(delivery.deliveries, Some(0));
        ack(delivery).await;
    }
    holder.stop().await.expect("stops");
    for _ in 0..5 {
        let delivery = next(&mut other).await;
        assert!(!delivery.redelivered, "nobody had it in hand");
        ack(delivery).await;
    }
    nothing_is_unacked(&mut database.client().await).await;
}

#[test]
fn what_a_killed_worker_held_comes_again_and_is_counted() {
    let database = Database::new();
    let mut before = 0;
    for round in 0..3 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let broker = database.broker(short()).await;
            let mut consumer = broker.consume(&["q".into()], 5).await.expect("consumes");
            if round == 0 {
                broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
            }
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.deliveries, Some(before));
            assert_eq!(delivery.redelivered, before > 0);
            before += 1;
            // As a SIGKILL would: nothing is told to anybody.
            std::mem::forget((broker, consumer, delivery));
        });
        runtime.shutdown_background();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_message_goes_to_the_front_of_its_priority() {
    let database = Database::new();
    let mut client = database.client().await;
    let publisher = database.broker(short()).await;
    for (number, priority) in [(0, 9), (1, 9), (2, 0)] {
        let mut sent = message(number);
        sent.properties.priority = Some(priority);
        publisher.publish(&Route::queue("q"), &sent).await.expect("publishes");
    }
    // The oldest of the last priority is taken by somebody who vanishes.
    let text: String = client.rpop("q\u{6}\u{16}9", None).await.expect("answers");
    let tag = text.rsplit('"').nth(1).expect("the tag ends the envelope").to_owned();
    let _: () =
        client.hset("unacked", &tag, format!("[{text}, \"\", \"q\"]")).await.expect("answers");
    let _: () = client.zadd("unacked_index", &tag, 1.5).await.expect("answers");

    let broker = database.broker(short()).await;
    let _sweeper = broker.consume(&["elsewhere".into()], 1).await.expect("consumes");
    eventually("it is restored", async || {
        let waiting: u64 = client.llen("q\u{6}\u{16}9").await.expect("answers");
        if waiting == 2 { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    let mut order = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        order.push(String::from_utf8_lossy(&delivery.message.body).into_owned());
        ack(delivery).await;
    }
    assert_eq!(order, ["2", "0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_envelope_is_restored_as_it_is_whoever_has_kombus_lock() {
    let database = Database::new();
    let mut client = database.client().await;
    // A Python worker that died while it swept holds this for five minutes.
    let _: () = client.set("unacked_mutex", "a Python worker's").await.expect("answers");
    let _: () = client.hset("unacked", "t", r#"[{"x": 1}, "", "q"]"#).await.expect("answers");
    let _: () = client.zadd("unacked_index", "t", 1.0).await.expect("answers");
    let broker = database.broker(short()).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, r#"{"x": 1}"#, "what is no envelope goes back as it is");
    let lock: String = client.get("unacked_mutex").await.expect("answers");
    assert_eq!(lock, "a Python worker's");
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_gives_back_at_once_with_the_mark() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    for number in 0..4 {
        broker.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
    }
    let mut consumer = broker.consume(&["q".into()], 4).await.expect("consumes");
    let held = (next(&mut consumer).await, next(&mut consumer).await);
    consumer.stop().await.expect("stops");
    tokio::time::timeout(PATIENCE, broker.close()).await.expect("closes in time");
    drop(held);

    let other = database.broker(RedisOptions::default()).await;
    let mut consumer = other.consume(&["q".into()], 4).await.expect("consumes");
    let mut order = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut consumer).await;
        order.push((
            String::from_utf8_lossy(&delivery.message.body).into_owned(),
            delivery.redelivered,
        ));
        ack(delivery).await;
    }
    let wanted = [("0", true), ("1", true), ("2", false), ("3", false)];
    assert_eq!(order, wanted.map(|(body, again)| (body.to_owned(), again)));
    nothing_is_unacked(&mut database.client().await).await;
}
