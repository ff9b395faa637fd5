//! Deliveries that are not wanted now come back at their time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use umbel_value::{Map, Value};

use super::bench::{Bench, ack, message, next, nothing_comes, number, settle, sorted, take};
use super::{BrokerFixture, PATIENCE, within};
use crate::broker::{Broker, Held};
use crate::delivery::{Delivery, Settlement};

/// Longer than anything in the way, shorter than anybody's patience.
const WHILE: Duration = Duration::from_millis(1500);

/// What a busy machine may add.
const BUSY: Duration = Duration::from_secs(3);

pub async fn a_delayed_delivery_comes_back_at_its_time_and_not_before(fixture: &dyn BrokerFixture) {
    let Some(late) = fixture.abilities().delays_within else { return };
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(7..8).await;
    let mut consumer = bench.consume(1).await;
    let at = Timestamp::now() + WHILE;
    delay(&*bench.broker, next(&mut consumer).await, at).await;

    let delivery = within(WHILE + late + BUSY, "the delayed message", next(&mut consumer)).await;
    let came = Timestamp::now();
    let earliest = at - fixture.abilities().delays_early;
    assert!(came >= earliest, "came at {came}, not to come before {earliest}");
    assert_eq!(delivery.message.body, "7");
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

pub async fn a_delayed_message_arrives_as_it_was_published(fixture: &dyn BrokerFixture) {
    if fixture.abilities().delays_within.is_none() {
        return;
    }
    let bench = Bench::new(fixture).await;
    let mut sent = message("[[1], {}, {}]");
    sent.properties.priority = Some(3);
    sent.headers.insert("stamps".into(), Value::Map(Map::new()));
    bench.publish(&sent).await;
    let mut consumer = bench.consume(1).await;
    delay(&*bench.broker, next(&mut consumer).await, Timestamp::now() + WHILE).await;

    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, sent.body);
    assert_eq!(delivery.message.properties, sent.properties);
    assert_eq!(sorted(&delivery.message.headers), sorted(&sent.headers));
    assert_eq!(&*delivery.queue, bench.queue.as_str());
    assert_eq!(delivery.route.routing_key, bench.queue);
    ack(delivery).await;
}

pub async fn a_delay_does_not_count(fixture: &dyn BrokerFixture) {
    let abilities = fixture.abilities();
    if abilities.delays_within.is_none() || !abilities.counts_deliveries {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    let delivery = next(&mut consumer).await;
    delay(&*bench.broker, delivery, Timestamp::now() + Duration::from_millis(200)).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.deliveries, Some(0));
    settle(delivery, Settlement::Reject).await;
    delay(&*bench.broker, next(&mut consumer).await, Timestamp::now() + WHILE).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.deliveries, Some(1), "what counted before still does");
    ack(delivery).await;
}

pub async fn a_delayed_delivery_leaves_its_place_in_the_window(fixture: &dyn BrokerFixture) {
    if fixture.abilities().delays_within.is_none() {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..5).await;
    let mut consumer = bench.consume(1).await;
    let at = Timestamp::now() + Duration::from_secs(3600);
    for wanted in 0..4 {
        let delivery = next(&mut consumer).await;
        assert_eq!(number(&delivery), wanted);
        delay(&*bench.broker, delivery, at).await;
    }
    ack(next(&mut consumer).await).await;
}

pub async fn a_time_that_has_passed_is_now(fixture: &dyn BrokerFixture) {
    let Some(late) = fixture.abilities().delays_within else { return };
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    for ago in [0, 5, 3600] {
        let at = Timestamp::now() - Duration::from_secs(ago);
        delay(&*bench.broker, next(&mut consumer).await, at).await;
        let again = within(late + BUSY, "a message that is due", next(&mut consumer)).await;
        settle(again, Settlement::Requeue).await;
    }
    ack(next(&mut consumer).await).await;
}

pub async fn a_sooner_delay_overtakes_a_later_one(fixture: &dyn BrokerFixture) {
    let Some(late) = fixture.abilities().delays_within else { return };
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..3).await;
    let mut consumer = bench.consume(3).await;
    let now = Timestamp::now();
    let apart = late + Duration::from_millis(800);
    for (held, wait) in take(&mut consumer, 3).await.into_iter().zip([3u32, 1, 2]) {
        delay(&*bench.broker, held, now + apart * wait).await;
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        order.push(number(&delivery));
        ack(delivery).await;
    }
    assert_eq!(order, [1, 2, 0]);
}

pub async fn a_delayed_message_outlives_whoever_delayed_it(fixture: &dyn BrokerFixture) {
    let Some(late) = fixture.abilities().delays_within else { return };
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..3).await;
    let mut consumer = bench.consume(3).await;
    let at = Timestamp::now() + WHILE;
    for held in take(&mut consumer, 3).await {
        delay(&*bench.broker, held, at).await;
    }
    drop(consumer);
    bench.broker.close().await;

    let other = bench.another(fixture).await;
    let mut second = other.consume(3).await;
    let back = within(WHILE + late + PATIENCE, "the delayed ones", take(&mut second, 3)).await;
    let earliest = at - fixture.abilities().delays_early;
    assert!(Timestamp::now() >= earliest, "closing brought them back before their time");
    assert_eq!(back.iter().map(number).collect::<BTreeSet<_>>(), (0..3).collect());
    join_all(back.into_iter().map(ack)).await;
}

pub async fn many_delayed_messages_come_back_once_each(fixture: &dyn BrokerFixture) {
    if fixture.abilities().delays_within.is_none() {
        return;
    }
    const COUNT: u32 = 300;
    let bench = Bench::new(fixture).await;
    let other = bench.another(fixture).await;
    let mut first = bench.consume(100).await;
    let mut second = other.consume(100).await;
    bench.publish_numbers(0..COUNT).await;
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    let now = Timestamp::now();
    while seen.values().filter(|times| **times >= 2).count() < COUNT as usize {
        let (delivery, broker) = tokio::select! {
            delivery = next(&mut first) => (delivery, &bench.broker),
            delivery = next(&mut second) => (delivery, &other.broker),
        };
        let number = number(&delivery);
        let times = seen.entry(number).or_default();
        *times += 1;
        match *times {
            1 => {
                let at = now + WHILE + Duration::from_millis(u64::from(number));
                delay(&**broker, delivery, at).await;
            }
            _ => ack(delivery).await,
        }
    }
    nothing_comes(&mut first).await;
    nothing_comes(&mut second).await;
    assert!(seen.values().all(|times| *times == 2), "{seen:?}");
}

async fn delay(broker: &dyn Broker, delivery: Delivery, at: Timestamp) {
    let Delivery { message, queue, receipt, .. } = delivery;
    let delaying = broker.delay(Held { message, queue, receipt }, at);
    super::soon("delay", delaying).await.expect("the broker delays");
}
