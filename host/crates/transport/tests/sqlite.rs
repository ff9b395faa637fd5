//! The embedded broker and store pass the suite; and what only a file can do.
#![cfg(feature = "sqlite")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_protocol::record::{ResultRecord, State};
use umbel_transport::address::Address;
use umbel_transport::broker::{Broker, Consumer};
use umbel_transport::conformance::{
    Abilities, BrokerFixture, PATIENCE, Priorities, StoreFixture, TimetableFixture, fresh,
};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::results::{Reply, ResultStore};
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};
use umbel_value::{Map, Value};

#[path = "sqlite/kept.rs"]
mod kept;

const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

mod broker {
    umbel_transport::broker_conformance!(super::File::new());
}

mod timetable {
    umbel_transport::timetable_conformance!(super::File::new());
}

mod store {
    umbel_transport::store_conformance!(super::File::new());
}

mod store_beside_its_broker {
    umbel_transport::store_conformance!(super::Shared::new().await);
}

/// A database of its own. Each handle has its own connections, as in another process.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> File {
        File { folder: tempfile::tempdir().expect("a private folder") }
    }

    fn address(&self) -> Address {
        address(&self.folder.path().join("umbel.db"))
    }

    async fn open(&self, lease: Duration) -> SqliteBroker {
        SqliteBroker::open(self.address(), SqliteOptions { lease }).await.expect("the file opens")
    }
}

#[async_trait]
impl TimetableFixture for File {
    async fn timetable(&self) -> Arc<dyn umbel_transport::timetable::Timetable> {
        Arc::new(self.open(Duration::from_secs(60)).await)
    }

    async fn broker(&self) -> Arc<dyn Broker> {
        BrokerFixture::broker(self).await
    }
}

#[async_trait]
impl BrokerFixture for File {
    async fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(self.open(Duration::from_secs(60)).await)
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            counts_deliveries: true,
            priorities: Priorities::HigherFirst,
            any_header: true,
            other_properties: true,
            returns_within: Duration::ZERO,
            delays_within: None,
            delays_early: Duration::ZERO,
            dead_letters: false,
            listens: false,
        }
    }
}

#[async_trait]
impl StoreFixture for File {
    async fn store(&self) -> Arc<dyn ResultStore> {
        Arc::new(SqliteStore::open(self.address(), DAY).await.expect("the file opens"))
    }
}

/// All stores share one broker's open file.
struct Shared {
    broker: SqliteBroker,
    _file: File,
}

impl Shared {
    async fn new() -> Shared {
        let file = File::new();
        Shared { broker: file.open(Duration::from_secs(60)).await, _file: file }
    }
}

#[async_trait]
impl StoreFixture for Shared {
    async fn store(&self) -> Arc<dyn ResultStore> {
        Arc::new(SqliteStore::beside(&self.broker, DAY))
    }
}

#[tokio::test]
async fn what_a_killed_process_held_comes_again() {
    let file = File::new();
    let broker = file.open(LONG).await;
    publish(&broker, "q", 0..3).await;

    let mut child = Command::new(std::env::current_exe().expect("this test's own program"))
        .args(["--exact", "holds_all_it_finds_when_told_to", "--nocapture"])
        .env(HOLD, file.folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let held = file.folder.path().join("held");
    eventually("the child holds the messages", || held.exists()).await;
    child.kill().expect("kills");
    child.wait().expect("was running");

    let mut consumer = broker.consume(&["q".into()], 10).await.expect("consumes");
    for number in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.body, number.to_string());
        assert!(delivery.redelivered);
        assert_eq!(delivery.deliveries, Some(1));
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
}

/// Longer than any test waits: the message comes back because the process is gone.
const LONG: Duration = Duration::from_secs(3600);

const HOLD: &str = "UMBEL_TEST_HOLD_MESSAGES_IN";

/// The victim of the test above; alone it does nothing.
#[tokio::test]
async fn holds_all_it_finds_when_told_to() {
    let Some(folder) = std::env::var_os(HOLD) else { return };
    let folder = Path::new(&folder);
    let options = SqliteOptions { lease: LONG };
    let broker = SqliteBroker::open(address(&folder.join("umbel.db")), options).await.unwrap();
    let mut consumer = broker.consume(&["q".into()], 10).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut consumer).await);
    }
    std::fs::write(folder.join("held"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_a_hanging_process_held_comes_again_when_its_lease_runs_out() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(1)).await;
    publish(&broker, "q", 0..2).await;
    let hand = rusqlite::Connection::open(&file.address().path).expect("opens");
    hand.execute_batch(
        "BEGIN IMMEDIATE;
         INSERT INTO holder (id, until) VALUES (99, CAST(unixepoch('subsec') * 1000 AS INTEGER) + 500);
         INSERT INTO held SELECT id, 99, queue, rank, 4, 0 FROM waiting;
         DELETE FROM waiting;
         COMMIT;",
    )
    .expect("takes");
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    for number in 0..2 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.body, number.to_string());
        assert_eq!(delivery.deliveries, Some(4));
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
}

#[tokio::test]
async fn a_lease_lives_as_long_as_the_delivery() {
    let file = File::new();
    let lease = Duration::from_millis(400);
    let (first, second) = (file.open(lease).await, file.open(lease).await);
    publish(&first, "q", 0..1).await;
    let mut holder = first.consume(&["q".into()], 1).await.expect("consumes");
    let held = next(&mut holder).await;
    let mut other = second.consume(&["q".into()], 1).await.expect("consumes");
    assert!(timeout(lease * 4, other.next()).await.is_err(), "the lease was not renewed");
    held.receipt.settle(Settlement::Ack).await.expect("still ours");
}

/// To others a clock that jumped ahead looks as if every lease had run out long ago.
#[tokio::test]
async fn a_lease_that_is_over_by_a_clock_that_jumped_takes_nothing_from_who_lives() {
    let file = File::new();
    let lease = Duration::from_secs(2);
    let (first, second) = (file.open(lease).await, file.open(lease).await);
    publish(&first, "q", 0..1).await;
    let mut holder = first.consume(&["q".into()], 1).await.expect("consumes");
    let held = next(&mut holder).await;
    let mut other = second.consume(&["q".into()], 1).await.expect("consumes");
    let hand = rusqlite::Connection::open(&file.address().path).expect("opens");
    hand.execute("UPDATE holder SET until = until - 3600000", []).expect("jumps");
    assert!(timeout(lease * 2, other.next()).await.is_err(), "it was taken from a living holder");
    held.receipt.settle(Settlement::Ack).await.expect("still ours");
}

#[tokio::test]
async fn a_message_given_back_unseen_is_no_redelivery() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(60)).await;
    publish(&broker, "q", 0..5).await;
    let mut first = broker.consume(&["q".into()], 5).await.expect("consumes");
    let seen = next(&mut first).await;
    first.stop().await.expect("stops");

    let mut second = broker.consume(&["q".into()], 5).await.expect("consumes");
    for number in 1..5 {
        let delivery = next(&mut second).await;
        assert_eq!(delivery.message.body, number.to_string());
        assert_eq!((delivery.redelivered, delivery.deliveries), (false, Some(0)));
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
    seen.receipt.settle(Settlement::Ack).await.expect("settles");
}

#[tokio::test]
async fn a_smaller_window_gives_back_what_was_not_handed_out() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(60)).await;
    publish(&broker, "q", 0..10).await;
    let mut first = broker.consume(&["q".into()], 10).await.expect("consumes");
    let mut held = vec![next(&mut first).await];
    first.resize(3).await.expect("resizes");

    let mut second = broker.consume(&["q".into()], 10).await.expect("consumes");
    for number in 3..10 {
        let delivery = next(&mut second).await;
        assert_eq!(delivery.message.body, number.to_string());
        held.push(delivery);
    }
    for number in 1..3 {
        let delivery = next(&mut first).await;
        assert_eq!(delivery.message.body, number.to_string());
        held.push(delivery);
    }
    for delivery in held {
        delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    }
}

#[tokio::test]
async fn a_discarded_message_stays_in_the_file() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(60)).await;
    publish(&broker, "q", 7..8).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    next(&mut consumer).await.receipt.settle(Settlement::Discard).await.expect("settles");
    broker.close().await;

    let look = rusqlite::Connection::open(&file.address().path).expect("opens");
    let dead: (String, Vec<u8>) = look
        .query_row("SELECT queue, body FROM dead JOIN content USING (id)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("one dead message");
    assert_eq!(dead, ("q".to_owned(), b"7".to_vec()));
}

#[tokio::test]
async fn a_settled_message_leaves_nothing_in_the_file() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(60)).await;
    publish(&broker, "q", 0..5).await;
    let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
    for _ in 0..5 {
        next(&mut consumer).await.receipt.settle(Settlement::Ack).await.expect("settles");
    }
    drop(consumer);
    broker.close().await;

    let look = rusqlite::Connection::open(&file.address().path).expect("opens");
    for table in ["content", "waiting", "held", "holder", "dead"] {
        let rows: i64 = look
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .expect("counts");
        assert_eq!(rows, 0, "rows in {table}");
    }
    drop(look);
    let mut left: Vec<_> = std::fs::read_dir(file.folder.path())
        .expect("lists")
        .map(|entry| entry.expect("lists").file_name())
        .collect();
    left.retain(|name| name.to_string_lossy().contains("-alive-"));
    assert!(left.is_empty(), "signs of life left: {left:?}");
}

#[tokio::test]
async fn a_damaged_message_is_set_aside_and_the_next_one_comes() {
    let file = File::new();
    let broker = file.open(Duration::from_secs(60)).await;
    publish(&broker, "q", 0..2).await;
    let hand = rusqlite::Connection::open(&file.address().path).expect("opens");
    hand.execute("UPDATE content SET headers = x'7b7b' WHERE id = 1", []).expect("damages");
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    assert_eq!(next(&mut consumer).await.message.body, "1");
}

#[tokio::test]
async fn old_results_expire() {
    let file = File::new();
    let store = SqliteStore::open(file.address(), Some(Duration::from_millis(200))).await;
    let store = store.expect("opens");
    let id = fresh("task");
    store.put(&success(&id), &Reply::default()).await.expect("stores");
    let keeps = SqliteStore::open(file.address(), DAY).await.expect("opens");
    eventually_async("the record expires", async || keeps.get(&id).await.expect("reads").is_none())
        .await;

    // The next record clears it away.
    keeps.put(&success(&fresh("task")), &Reply::default()).await.expect("stores");
    let look = rusqlite::Connection::open(&file.address().path).expect("opens");
    let rows: i64 =
        look.query_row("SELECT count(*) FROM result", [], |row| row.get(0)).expect("counts");
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_one_clear_error() {
    let file = File::new();
    let folder = file.folder.path();
    let path = |name: &str| folder.join(name);

    std::fs::write(path("text.db"), "no database, but long enough to look at".repeat(100)).unwrap();
    refused(&path("text.db"), "is not an SQLite database").await;

    refused(&path("nowhere/umbel.db"), "its folder does not exist").await;
    refused(folder, "it is a folder").await;
    refused(Path::new("/proc/umbel.db"), "cannot open or create").await;

    let other = rusqlite::Connection::open(path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE customer (name TEXT)").unwrap();
    refused(&path("other.db"), "is the database of another program").await;

    drop(file.open(Duration::from_secs(60)).await);
    let newer = rusqlite::Connection::open(&file.address().path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    refused(Path::new(&file.address().path), "was made by a newer umbel (layout 99").await;
}

async fn refused(path: &Path, why: &str) {
    let broker = SqliteBroker::open(address(path), SqliteOptions::default()).await;
    let store = SqliteStore::open(address(path), DAY).await;
    let texts = [broker.expect_err(why).to_string(), store.expect_err(why).to_string()];
    for text in texts {
        assert!(text.contains(why), "{text}");
        assert!(text.contains(&path.display().to_string()), "names the path: {text}");
        assert!(text.contains("\nhelp: "), "shows a way out: {text}");
    }
}

fn address(path: &Path) -> Address {
    Address::parse(&format!("sqlite://{}", path.display())).expect("a good address")
}

async fn publish(broker: &SqliteBroker, queue: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        broker.publish(&Route::queue(queue), &message(number)).await.expect("publishes");
    }
}

fn message(body: impl ToString) -> RawMessage {
    RawMessage {
        properties: Properties::default(),
        headers: Map::new(),
        body: body.to_string().into(),
    }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    timeout(PATIENCE, consumer.next()).await.expect("in time").expect("works").expect("goes on")
}

fn success(id: &str) -> ResultRecord {
    ResultRecord {
        id: id.to_owned(),
        state: State::Success,
        result: Value::Int(5),
        traceback: None,
        children: Some(Vec::new()),
        date_done: Some("2026-01-02T03:04:05.678901+00:00".into()),
        group_id: None,
        parent_id: None,
        other: Map::new(),
    }
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    eventually_async(what, async || done()).await;
}

async fn eventually_async(what: &str, done: impl AsyncFn() -> bool) {
    let wait = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: not within {PATIENCE:?}");
}
