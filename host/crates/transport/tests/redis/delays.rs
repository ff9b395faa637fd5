//! Delayed messages stand in kombu's own hash, with a score that any sweep understands.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use redis::AsyncCommands;
use tokio::time::Instant;
use umbel_harness::redis::RedisServer;
use umbel_protocol::message::Route;
use umbel_transport::broker::{Broker, Held};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::redis::RedisOptions;

use super::{
    Database, PATIENCE, ack, client, message, next, nothing_comes, nothing_is_unacked, open,
};

fn held(delivery: Delivery) -> Held {
    let Delivery { message, queue, receipt, .. } = delivery;
    Held { message, queue, receipt }
}

async fn delay(broker: &dyn Broker, delivery: Delivery, at: Timestamp) {
    let delaying = tokio::time::timeout(PATIENCE, broker.delay(held(delivery), at));
    delaying.await.expect("in time").expect("delays");
}

fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_stands_where_any_sweep_restores_it_at_its_time() {
    let database = Database::new();
    let mut client = database.client().await;
    let options =
        RedisOptions { visibility_timeout: Duration::from_secs(30), ..RedisOptions::default() };
    let broker = database.broker(options).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    let waiting = next(&mut consumer).await;
    let at = Timestamp::now() + Duration::from_secs(600);
    delay(&broker, waiting, at).await;

    let scores: Vec<(String, f64)> =
        client.zrange_withscores("unacked_index", 0, -1).await.expect("answers");
    assert_eq!(scores.len(), 1);
    let off = scores[0].1 + 30.0 - seconds(at);
    assert!((0.0..1.0).contains(&off), "restored {off} s after its time");
    let record: String = client.hget("unacked", &scores[0].0).await.expect("answers");
    assert!(record.starts_with(r#"[{"umbel_delayed": 0, "body""#), "{record}");
    assert!(record.ends_with(r#", "", "q"]"#), "{record}");

    // Nobody renews it: a lease of thirty seconds would be renewed within ten.
    let options =
        RedisOptions { visibility_timeout: Duration::from_millis(600), ..RedisOptions::default() };
    let other = database.broker(options).await;
    drop((broker, consumer));
    let mut consumer = other.consume(&["q".into()], 1).await.expect("consumes");
    nothing_comes(&mut consumer).await;
    let _: () = client.zadd("unacked_index", &scores[0].0, 1.0).await.expect("answers");
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.deliveries, delivery.redelivered), (Some(0), false));
    ack(delivery).await;
    nothing_is_unacked(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_is_handed_out_within_a_moment_of_its_time() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    let other = database.broker(RedisOptions::default()).await;
    // A machine that stands still for a while is no worker that sleeps too long.
    let mut late = Vec::new();
    for _ in 0..5 {
        late.push(latest_of_five(&broker, &other).await);
        if late.last().is_some_and(|late| *late < 0.3) {
            return;
        }
    }
    panic!("the latest of five came so many seconds after its time: {late:?}");
}

/// Has one broker delay five messages, which another one's consumer waits for; says how late the latest was.
async fn latest_of_five(broker: &dyn Broker, other: &dyn Broker) -> f64 {
    let mut consumer = broker.consume(&["q".into()], 5).await.expect("consumes");
    for number in 0..5 {
        broker.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
    }
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(next(&mut consumer).await);
    }
    drop(consumer);
    // Another worker's consumer, which is not told what the first one delays.
    let mut consumer = other.consume(&["q".into()], 5).await.expect("consumes");
    let now = Timestamp::now() + Duration::from_millis(1500);
    let apart = Duration::from_millis(330);
    for (number, delivery) in (0u32..).zip(taken) {
        delay(broker, delivery, now + apart * number).await;
    }
    let mut latest = 0.0_f64;
    for number in 0u32..5 {
        let delivery = next(&mut consumer).await;
        let late = Timestamp::now().duration_since(now + apart * number).as_secs_f64();
        assert!(late >= 0.0, "came {late} s before its time");
        assert_eq!(delivery.message.body, number.to_string());
        ack(delivery).await;
        latest = latest.max(late);
    }
    latest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_copy_goes_back_to_its_own_queue_alone() {
    let database = Database::new();
    let mut client = database.client().await;
    for queue in ["one", "two"] {
        let member = format!("a.#\u{6}\u{16}^a\\..*?$\u{6}\u{16}{queue}");
        let _: () = client.sadd("_kombu.binding.tx", member).await.expect("answers");
    }
    let broker = database.broker(RedisOptions::default()).await;
    let mut consumer = broker.consume(&["one".into()], 2).await.expect("consumes");
    let route = Route { exchange: "tx".into(), routing_key: "a.b".into() };
    broker.publish(&route, &message("x")).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    delay(&broker, delivery, Timestamp::now() + Duration::from_millis(300)).await;
    let delivery = next(&mut consumer).await;
    assert_eq!((&delivery.route, &*delivery.queue), (&route, "one"));
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
    let waiting: usize = client.llen("two").await.expect("answers");
    assert_eq!(waiting, 1, "the other copy was there before");
}

#[test]
fn a_delay_survives_the_death_of_who_asked_for_it() {
    let database = Database::new();
    let at = Timestamp::now() + Duration::from_secs(2);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let broker = database.broker(RedisOptions::default()).await;
        let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
        broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
        delay(&broker, next(&mut consumer).await, at).await;
        // As a SIGKILL would: nothing is told to anybody.
        std::mem::forget((broker, consumer));
    });
    runtime.shutdown_background();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let broker = database.broker(RedisOptions::default()).await;
        let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
        let delivery = next(&mut consumer).await;
        assert!(Timestamp::now() >= at, "it came before its time");
        assert_eq!((delivery.deliveries, delivery.redelivered), (Some(0), false));
        ack(delivery).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_delays_are_cheap_to_make_and_to_end() {
    const COUNT: usize = 20_000;
    let server = RedisServer::start();
    let broker = open(&server.url(0), RedisOptions::default()).await;
    let (route, sent) = (Route::queue("q"), message("x"));
    for _ in 0..COUNT / 1000 {
        let publishes = (0..1000).map(|_| broker.publish(&route, &sent));
        join_all(publishes).await.into_iter().for_each(|sent| sent.expect("publishes"));
    }
    let mut consumer = broker.consume(&["q".into()], 500).await.expect("consumes");
    let begin = Instant::now();
    let later = Timestamp::now() + Duration::from_secs(3600);
    for _ in 0..COUNT / 500 {
        let mut taken = Vec::new();
        for _ in 0..500 {
            taken.push(next(&mut consumer).await);
        }
        let delays = taken.into_iter().map(|delivery| broker.delay(held(delivery), later));
        join_all(delays).await.into_iter().for_each(|delayed| delayed.expect("delays"));
    }
    let delayed = begin.elapsed();
    assert!(delayed < PATIENCE, "{COUNT} delays took {delayed:?}");

    // An hour passes at once.
    let mut client = client(&server.url(0)).await;
    let script = "for _, tag in ipairs(redis.call('ZRANGE', 'unacked_index', 0, -1)) do \
                  redis.call('ZINCRBY', 'unacked_index', -3600, tag) end";
    let _: () = redis::cmd("EVAL").arg(script).arg(0).query_async(&mut client).await.expect("runs");
    let begin = Instant::now();
    let mut seen = 0;
    while seen < COUNT {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries, Some(0));
        seen += 1;
        tokio::spawn(delivery.receipt.settle(Settlement::Ack));
    }
    let ended = begin.elapsed();
    assert!(ended < PATIENCE, "{COUNT} delays took {ended:?} to end");
    nothing_is_unacked(&mut client).await;
}
