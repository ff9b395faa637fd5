//! Results as Celery reads and writes them.

use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncCommands;
use umbel_protocol::record::{ResultRecord, State};
use umbel_transport::redis::{RedisStore, StoreOptions};
use umbel_transport::results::{Reply, ResultStore};
use umbel_value::{Map, Value};

use super::{Database, PATIENCE, address};

pub(crate) fn record(id: &str, state: State) -> ResultRecord {
    ResultRecord {
        id: id.to_owned(),
        state,
        result: Value::Int(5),
        traceback: None,
        children: Some(Vec::new()),
        date_done: None,
        group_id: None,
        parent_id: None,
        other: Map::new(),
    }
}

async fn put(store: &RedisStore, record: &ResultRecord) {
    store.put(record, &Reply::default()).await.expect("stores");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_stored_with_its_expiry_and_told_on_its_channel() {
    let database = Database::new();
    let client = redis::Client::open(database.url.as_str()).expect("a good URL");
    let mut channel = client.get_async_pubsub().await.expect("connects");
    channel.subscribe("celery-task-meta-a").await.expect("subscribes");
    let store = database.store().await;
    put(&store, &record("a", State::Success)).await;

    let mut client = database.client().await;
    let stored: Vec<u8> = client.get("celery-task-meta-a").await.expect("answers");
    assert_eq!(stored, record("a", State::Success).to_json());
    let seconds: i64 = client.ttl("celery-task-meta-a").await.expect("answers");
    assert!((86_000..=86_400).contains(&seconds), "kept for {seconds} s");
    let told = tokio::time::timeout(PATIENCE, channel.on_message().next()).await;
    let told = told.expect("told in time").expect("the channel lives");
    assert_eq!(told.get_payload_bytes(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_may_be_kept_for_ever_and_under_a_prefix() {
    let database = Database::new();
    let options =
        StoreOptions { expires: None, global_keyprefix: "x".into(), ..StoreOptions::default() };
    let store = RedisStore::connect(address(&database.url), options).await.expect("connects");
    put(&store, &record("a", State::Success)).await;
    let mut client = database.client().await;
    let seconds: i64 = client.ttl("x_celery-task-meta-a").await.expect("answers");
    assert_eq!(seconds, -1, "the key exists and does not expire");

    let url = format!("{}?global_keyprefix=x", database.url);
    let store =
        RedisStore::connect(address(&url), StoreOptions::default()).await.expect("connects");
    assert!(store.get("a").await.expect("reads").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_of_another_writer_is_never_replaced() {
    let success = record("a", State::Success);
    let mut other_order = success.clone();
    other_order.other.insert("status_of".into(), Value::Null);
    let text = String::from_utf8(other_order.to_json()).expect("UTF-8");
    let spaced = text.replace("\":", "\": ").replace(",\"", ", \"");
    let status = "\"status\":\"SUCCESS\",";
    let last = text.replacen(status, "", 1).replacen(
        '}',
        &format!(",{}}}", &status[..status.len() - 1]),
        1,
    );
    for stands in [text.clone(), spaced, last] {
        let database = Database::new();
        let mut client = database.client().await;
        let _: () = client.set("celery-task-meta-a", &stands).await.expect("answers");
        put(&database.store().await, &record("a", State::Failure)).await;
        let stored: String = client.get("celery-task-meta-a").await.expect("answers");
        assert_eq!(stored, stands);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_is_replaced() {
    for stands in [
        "rubbish",
        r#"{"status": "FAILURE", "task_id": "a"}"#,
        r#"{"task_id": "a", "status": "STARTED"}"#,
    ] {
        let database = Database::new();
        let mut client = database.client().await;
        let _: () = client.set("celery-task-meta-a", stands).await.expect("answers");
        let store = database.store().await;
        put(&store, &record("a", State::Success)).await;
        let found = store.get("a").await.expect("reads").expect("is there");
        assert_eq!(found.state, State::Success, "over {stands}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_hears_of_the_result_at_once_again_and_again() {
    let database = Database::new();
    let (store, caller) = (database.store().await, database.store().await);
    // A progress line asks like this: short waits one after the other.
    for number in 0..5 {
        let id = format!("task-{number}");
        for _ in 0..5 {
            let none = caller.wait(&id, Duration::from_millis(5)).await.expect("waits");
            assert_eq!(none, None);
        }
        let ready = record(&id, State::Success);
        let begin = tokio::time::Instant::now();
        let (found, ()) = tokio::join!(caller.wait(&id, PATIENCE), put(&store, &ready));
        assert_eq!(found.expect("waits"), Some(ready));
        assert!(begin.elapsed() < PATIENCE / 2, "waited {:?}", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_survives_a_lost_connection() {
    let server = umbel_harness::redis::RedisServer::start();
    let url = server.url(0);
    let open = || RedisStore::connect(address(&url), StoreOptions::default());
    let (store, caller) = (open().await.expect("connects"), open().await.expect("connects"));
    let waiting = tokio::spawn(async move { caller.wait("a", PATIENCE).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.command_line(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    server.command_line(&["CLIENT", "KILL", "TYPE", "normal"]);
    put(&store, &record("a", State::Success)).await;
    let found = waiting.await.expect("runs").expect("waits");
    assert_eq!(found, Some(record("a", State::Success)));
}
