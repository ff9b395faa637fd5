//! How often a message was handed out, and what does not count.

use super::bench::{Bench, ack, next, nothing_comes, settle};
use super::{BrokerFixture, within};
use crate::delivery::Settlement;

pub async fn handing_out_is_counted(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().counts_deliveries {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    for before in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries, Some(before));
        assert_eq!(delivery.redelivered, before > 0);
        settle(delivery, Settlement::Reject).await;
    }
    ack(next(&mut consumer).await).await;
}

pub async fn a_requeue_does_not_count(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().counts_deliveries {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    settle(next(&mut consumer).await, Settlement::Reject).await;
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries, Some(1));
        settle(delivery, Settlement::Requeue).await;
    }
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.deliveries, Some(1));
    // Nor does a receipt that is dropped.
    drop(delivery);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.deliveries, Some(1));
    ack(delivery).await;
}

pub async fn a_rejected_message_comes_again_and_says_so(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(7..8).await;
    let mut consumer = bench.consume(1).await;
    settle(next(&mut consumer).await, Settlement::Reject).await;
    let delivery = next(&mut consumer).await;
    assert!(delivery.redelivered, "a rejected message says that it was handed out before");
    assert_eq!(delivery.message.body, "7");
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

pub async fn a_vanished_consumers_deliveries_are_counted_or_given_back(
    fixture: &dyn BrokerFixture,
) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    let held = next(&mut consumer).await;
    drop(consumer);
    bench.broker.close().await;

    let other = bench.another(fixture).await;
    let mut second = other.consume(1).await;
    let limit = fixture.abilities().returns_within + super::PATIENCE;
    let delivery = within(limit, "what the first consumer held", next(&mut second)).await;
    assert!(delivery.redelivered);
    assert!(delivery.deliveries.is_none_or(|before| before <= 1), "{:?}", delivery.deliveries);
    ack(delivery).await;
    drop(held);
}
