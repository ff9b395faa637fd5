//! What a file keeps: from an older version, for later, put aside.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use umbel_protocol::message::Route;
use umbel_transport::broker::{Broker, Held};
use umbel_transport::conformance::PATIENCE;
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::results::ResultStore;
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};

use super::{DAY, File, LONG, next, publish};

/// The tables of the first version, with a message that waits, one that was handed out three times
/// and one that was discarded.
const FIRST: &str = r#"
    BEGIN;
    INSERT INTO content VALUES (1, '', 'q', x'7b7d', x'7b7d', CAST('first' AS BLOB)),
        (2, '', 'q', x'7b7d', x'7b7d', CAST('again' AS BLOB)),
        (3, '', 'q', x'7b7d', x'7b7d', CAST('dead' AS BLOB));
    INSERT INTO waiting VALUES ('q', 255, 1, 0), ('q', 255, 2, 3);
    INSERT INTO dead VALUES (3, 'q', 1, 1700000000000);
    PRAGMA application_id = 0x556d626c;
    PRAGMA user_version = 1;
    COMMIT;
"#;

#[tokio::test]
async fn a_file_of_the_first_version_is_taken_over() {
    let file = File::new();
    let hand = rusqlite::Connection::open(&file.address().path).expect("opens");
    hand.execute_batch(include_str!("../../src/sqlite/tables_1.sql")).expect("lays out");
    hand.execute_batch(FIRST).expect("fills");
    drop(hand);

    let broker = file.open(LONG).await;
    let mut consumer = broker.consume(&["q".into()], 5).await.expect("consumes");
    for (body, deliveries) in [("first", 0), ("again", 3)] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.body, body);
        assert_eq!(delivery.deliveries, Some(deliveries));
        assert_eq!(delivery.redelivered, deliveries > 0);
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
    let letters = broker.dead_letters(5).await.expect("lists");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].parked), ("discarded", false));
    assert!(broker.replay(&letters[0].id).await.expect("replays"));
    assert_eq!(next(&mut consumer).await.message.body, "dead");
    let store = SqliteStore::beside(&broker, DAY);
    store.begin_chord("g", 2).await.expect("there are chords");
}

fn held(delivery: Delivery) -> Held {
    let Delivery { message, queue, receipt, .. } = delivery;
    Held { message, queue, receipt }
}

#[tokio::test]
async fn a_delayed_message_is_handed_out_within_a_moment_of_its_time() {
    let file = File::new();
    let broker = file.open(LONG).await;
    // Another process, which knows only from the file what is due.
    let other = file.open(LONG).await;
    publish(&broker, "q", 0..3).await;
    let mut consumer = broker.consume(&["q".into()], 3).await.expect("consumes");
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(next(&mut consumer).await);
    }
    drop(consumer);
    let mut consumer = other.consume(&["q".into()], 3).await.expect("consumes");
    let now = Timestamp::now();
    let apart = Duration::from_millis(700);
    for (number, delivery) in (1u32..).zip(taken) {
        broker.delay(held(delivery), now + apart * number).await.expect("delays");
    }
    for number in 1u32..=3 {
        let delivery = next(&mut consumer).await;
        let late = Timestamp::now().duration_since(now + apart * number).as_secs_f64();
        assert!((0.0..0.25).contains(&late), "came {late} s after its time");
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
}

#[tokio::test]
async fn many_delayed_messages_cost_little() {
    const COUNT: u32 = 5_000;
    let file = File::new();
    let broker = file.open(LONG).await;
    let (route, message) = (Route::queue("q"), super::message("x"));
    let publishes = (0..COUNT).map(|_| broker.publish(&route, &message));
    for published in futures_util::future::join_all(publishes).await {
        published.expect("publishes");
    }
    let mut consumer = broker.consume(&["q".into()], 500).await.expect("consumes");
    let begin = Instant::now();
    let at = Timestamp::now() + Duration::from_secs(3600);
    for _ in 0..COUNT / 500 {
        let mut taken = Vec::new();
        for _ in 0..500 {
            taken.push(next(&mut consumer).await);
        }
        let delays = taken.into_iter().map(|delivery| broker.delay(held(delivery), at));
        for delayed in futures_util::future::join_all(delays).await {
            delayed.expect("delays");
        }
    }
    assert!(begin.elapsed() < PATIENCE, "{COUNT} delays took {:?}", begin.elapsed());
    broker.close().await;
    let look = rusqlite::Connection::open(&file.address().path).expect("opens");
    let rows: u32 =
        look.query_row("SELECT count(*) FROM delayed", [], |row| row.get(0)).expect("counts");
    assert_eq!(rows, COUNT);
}

#[tokio::test]
async fn what_was_said_is_forgotten_after_a_minute() {
    let file = File::new();
    let broker = SqliteBroker::open(file.address(), SqliteOptions::default()).await.expect("opens");
    broker.broadcast(&super::message("old")).await.expect("broadcasts");
    let hand = rusqlite::Connection::open(&file.address().path).expect("opens");
    hand.execute("UPDATE said SET at = at - 61000", []).expect("waits a minute");
    broker.broadcast(&super::message("new")).await.expect("broadcasts");
    let rows: u32 =
        hand.query_row("SELECT count(*) FROM said", [], |row| row.get(0)).expect("counts");
    assert_eq!(rows, 1);
}
