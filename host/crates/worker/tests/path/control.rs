//! Remote control: revoking, limiting, asking.

use std::time::Duration;

use umbel_protocol::message::{Message, RawMessage};
use umbel_protocol::record::State;
use umbel_value::Value;

use crate::bench::{Bench, exception, message};

/// A request to every worker, as clients send it.
fn request(method: &str, arguments: Value) -> RawMessage {
    let body = Value::from([
        ("method", Value::from(method)),
        ("arguments", arguments),
        ("destination", Value::Null),
        ("pattern", Value::Null),
        ("matcher", Value::Null),
        ("ticket", "t".into()),
        (
            "reply_to",
            Value::from([("exchange", Value::from("replies")), ("routing_key", "oid".into())]),
        ),
    ]);
    let mut raw = Message::new("", Vec::new(), Default::default()).encode();
    raw.body = body.to_json().into_bytes().into();
    raw
}

/// Asks, and waits for the reply.
pub(crate) async fn ask(bench: &Bench, method: &str, arguments: Value) -> String {
    let listening = || bench.broker.said.lock().unwrap().clone();
    while listening().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = bench.broker.published.lock().unwrap().len();
    listening().unwrap().send(request(method, arguments)).unwrap();
    while bench.broker.published.lock().unwrap().len() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (route, reply) = bench.broker.published.lock().unwrap().pop().unwrap();
    assert_eq!((route.exchange.as_str(), route.routing_key.as_str()), ("replies", "oid"));
    assert_eq!(reply.headers["ticket"], Value::from("t"));
    let body = Value::from_json(&reply.body).unwrap();
    body.get("celery@localhost").unwrap().to_json()
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_and_an_unknown_command_is_an_error() {
    let bench = Bench::start(|_| {});
    assert_eq!(ask(&bench, "ping", Value::Null).await, r#"{"ok":"pong"}"#);
    let said = ask(&bench, "no_such", Value::Null).await;
    assert_eq!(said, r#"{"error":"KeyError('no_such')"}"#);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_revoked_before_it_arrives_does_not_run() {
    let bench = Bench::start(|_| {});
    let sent = message("echo");
    let said = ask(&bench, "revoke", Value::from([("task_id", Value::from(&sent.id))])).await;
    assert_eq!(said, format!(r#"{{"ok":"tasks {{'{}'}} flagged as revoked"}}"#, sent.id));
    assert_eq!(bench.store.last().state, State::Revoked, "and its caller knows at once");
    bench.send(sent);
    bench.diary.eventually("Ack").await;
    assert_eq!(exception(&bench.store), ("celery.exceptions".into(), "TaskRevokedError".into()));
    assert!(!bench.diary.lines().contains(&"run echo".to_owned()));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_revoked_while_it_waits_for_its_time_ends_at_once() {
    let bench = Bench::start(|_| {});
    let eta = jiff::Timestamp::now() + Duration::from_secs(3600);
    let sent = Message { eta: Some(umbel_protocol::time::Timestamp::new(eta)), ..message("echo") };
    bench.send(sent.clone());
    // It is held once the worker has looked at the next one.
    bench.send(message("fail"));
    bench.diary.eventually("put FAILURE").await;
    ask(&bench, "revoke", Value::from([("task_id", Value::from(&sent.id))])).await;
    bench.diary.eventually("put REVOKED").await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_terminate_ends_a_task_that_runs() {
    let bench = Bench::start(|_| {});
    let sent = message("slow");
    bench.send(sent.clone());
    bench.diary.eventually("run slow").await;
    let id = Value::from(&sent.id);
    ask(&bench, "revoke", Value::from([("task_id", id.clone())])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.diary.lines().contains(&"put REVOKED".to_owned()));
    let said =
        ask(&bench, "revoke", Value::from([("task_id", id), ("terminate", true.into())])).await;
    assert_eq!(said, format!(r#"{{"ok":"terminate: {}"}}"#, sent.id));
    bench.diary.eventually("Ack").await;
    let record = bench.store.last();
    assert_eq!(record.state, State::Revoked);
    assert!(record.result.to_json().contains("terminated"), "{:?}", record.result);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stamp_revokes_whatever_carries_it() {
    let bench = Bench::start(|_| {});
    let headers = Value::from([("tenant", Value::from("acme"))]);
    let said = ask(&bench, "revoke_by_stamped_headers", Value::from([("headers", headers)])).await;
    assert!(said.contains("flagged as revoked, but not terminated"), "{said}");
    let mut sent = message("echo");
    sent.stamps.insert("tenant".to_owned(), "acme".into());
    bench.send(sent);
    bench.saw(&["publish oid", "put REVOKED", "Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_can_be_set_and_a_wrong_one_is_refused() {
    let bench = Bench::start(|_| {});
    let set = |task: &str, rate: &str| {
        Value::from([("task_name", Value::from(task)), ("rate_limit", rate.into())])
    };
    let said = ask(&bench, "rate_limit", set("echo", "1/m")).await;
    assert_eq!(said, r#"{"ok":"new rate limit set successfully"}"#);
    assert_eq!(ask(&bench, "rate_limit", set("nope", "1/m")).await, r#"{"error":"unknown task"}"#);
    let said = ask(&bench, "rate_limit", set("echo", "1/d")).await;
    assert_eq!(said, r#"{"error":"KeyError('d')"}"#);
    let said = ask(&bench, "rate_limit", set("echo", "zzz")).await;
    assert!(said.contains("Invalid rate limit string: ValueError("), "{said}");
    bench.stop().await;
}
