//! What waits in a queue can be counted and removed; what somebody has in its care stays.

use super::bench::{Bench, ack, message, next, nothing_comes};
use super::{BrokerFixture, eventually, fresh, soon};
use crate::broker::Broker;

pub async fn what_waits_in_a_queue_is_counted(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    publish_with_all_priorities(&bench).await;
    let other = bench.another(fixture).await;
    has(&other, 10).await;
    let mut consumer = bench.consume(10).await;
    for _ in 0..10 {
        ack(next(&mut consumer).await).await;
    }
    has(&other, 0).await;
}

pub async fn purging_removes_what_waits_in_a_queue_and_nothing_else(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    let held = next(&mut consumer).await;
    publish_with_all_priorities(&bench).await;
    let neighbour = Bench::new(fixture).await;
    neighbour.publish_numbers(0..1).await;

    let operator = bench.another(fixture).await;
    has(&operator, 10).await;
    assert_eq!(purge(&*operator.broker, &bench.queue).await, 10);
    has(&operator, 0).await;
    ack(held).await;
    nothing_comes(&mut consumer).await;
    let mut consumer = neighbour.consume(1).await;
    ack(next(&mut consumer).await).await;
}

pub async fn a_queue_that_nobody_declared_is_empty(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let nowhere = fresh("nowhere");
    // Twice: the first answer must not have cost the connection.
    for _ in 0..2 {
        assert_eq!(soon("count", bench.broker.depth(&nowhere)).await.expect("counts"), 0);
        assert_eq!(purge(&*bench.broker, &nowhere).await, 0);
    }
    bench.publish_numbers(0..1).await;
    has(&bench, 1).await;
}

async fn publish_with_all_priorities(bench: &Bench) {
    for priority in 0..10 {
        let mut message = message(&priority.to_string());
        message.properties.priority = Some(priority);
        bench.publish(&message).await;
    }
}

/// Removes until nothing is left; says how many messages that were.
async fn purge(broker: &dyn Broker, queue: &str) -> u64 {
    let mut all = 0;
    loop {
        match soon("purge", broker.purge(queue)).await.expect("purges") {
            0 => return all,
            some => all += some,
        }
    }
}

/// Waits until so many messages wait in the bench's queue: a server may count with a delay.
async fn has(bench: &Bench, count: u64) {
    eventually(&format!("{count} messages"), async || {
        let seen = soon("count", bench.broker.depth(&bench.queue)).await.expect("counts");
        (seen == count).then_some(())
    })
    .await;
}
