//! What was put aside is kept with its reason, and can be replayed.

use jiff::Timestamp;

use super::bench::{Bench, ack, message, next, nothing_comes, settle, sorted};
use super::{BrokerFixture, eventually, fresh, soon};
use crate::broker::DeadLetter;
use crate::delivery::{Delivery, Settlement};

/// More than any test leaves.
const ALL: usize = 100_000;

pub async fn a_buried_message_is_listed_with_its_reason(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().dead_letters {
        return;
    }
    let bench = Bench::new(fixture).await;
    let sent = message("[[1], {}, {}]");
    bench.publish(&sent).await;
    let mut consumer = bench.consume(1).await;
    let before = Timestamp::now();
    bury(&bench, next(&mut consumer).await, "five workers died of it: \"größe\"").await;

    let other = bench.another(fixture).await;
    let letter = letters(&other, 1).await.remove(0);
    assert!(!letter.id.is_empty());
    assert_eq!(letter.queue, bench.queue);
    assert_eq!(letter.reason, "five workers died of it: \"größe\"");
    assert!(letter.parked);
    let apart = letter.at.duration_since(before).as_secs_f64();
    assert!((-1.0..60.0).contains(&apart), "put aside {apart} s after the test began");
    assert_eq!(letter.message.body, sent.body);
    assert_eq!(letter.message.properties, sent.properties);
    assert_eq!(sorted(&letter.message.headers), sorted(&sent.headers));
}

pub async fn a_buried_message_never_comes_again(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().dead_letters {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..2).await;
    let mut consumer = bench.consume(1).await;
    bury(&bench, next(&mut consumer).await, "why").await;
    // It left its place in the window.
    ack(next(&mut consumer).await).await;
    nothing_comes(&mut consumer).await;
    soon("stop", consumer.stop()).await.expect("stops");
    drop(consumer);
    bench.broker.close().await;
    bench.is_empty(fixture).await;
}

pub async fn a_replayed_message_starts_afresh(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().dead_letters {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(7..8).await;
    let mut consumer = bench.consume(1).await;
    settle(next(&mut consumer).await, Settlement::Reject).await;
    bury(&bench, next(&mut consumer).await, "why").await;
    let id = letters(&bench, 1).await.remove(0).id;

    assert!(soon("replay", bench.broker.replay(&id)).await.expect("replays"));
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, "7");
    assert_eq!(delivery.message.properties, message("").properties);
    assert!(!delivery.redelivered, "its deliveries are forgotten");
    assert!(delivery.deliveries.is_none_or(|before| before == 0), "{:?}", delivery.deliveries);
    ack(delivery).await;
    letters(&bench, 0).await;
    assert!(!soon("replay", bench.broker.replay(&id)).await.expect("answers"), "it is gone");
    nothing_comes(&mut consumer).await;
}

pub async fn replaying_what_is_not_there_changes_nothing(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().dead_letters {
        return;
    }
    let bench = Bench::new(fixture).await;
    for id in ["", "no such letter", &fresh("letter")] {
        assert!(!soon("replay", bench.broker.replay(id)).await.expect("answers"), "{id}");
    }
}

pub async fn dead_letters_are_listed_oldest_first_up_to_a_limit(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().dead_letters {
        return;
    }
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..5).await;
    let mut consumer = bench.consume(1).await;
    for number in 0..5 {
        bury(&bench, next(&mut consumer).await, &number.to_string()).await;
    }
    let reasons: Vec<_> =
        letters(&bench, 5).await.into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["0", "1", "2", "3", "4"]);
    for limit in [0, 2] {
        let few = soon("the letters", bench.broker.dead_letters(limit)).await.expect("lists");
        assert!(few.len() <= limit, "{} letters, where {limit} were asked for", few.len());
    }
}

async fn bury(bench: &Bench, delivery: Delivery, reason: &str) {
    let letter = DeadLetter {
        id: String::new(),
        queue: delivery.queue.to_string(),
        reason: reason.to_owned(),
        at: Timestamp::now(),
        parked: true,
        message: delivery.message,
    };
    soon("bury", bench.broker.bury(letter, delivery.receipt)).await.expect("buries");
}

/// The letters of the bench's queue, once there are so many.
async fn letters(bench: &Bench, count: usize) -> Vec<DeadLetter> {
    eventually(&format!("{count} dead letters"), async || {
        let mut letters = bench.broker.dead_letters(ALL).await.expect("lists");
        letters.retain(|letter| letter.queue == bench.queue);
        (letters.len() == count).then_some(letters)
    })
    .await
}
