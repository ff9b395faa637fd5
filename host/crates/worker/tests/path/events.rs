//! What monitors are told, and when.

use std::time::Duration;

use umbel_value::{Map, Value};

use crate::bench::{Bench, message, signature};
use crate::control::ask;

/// The events of this kind so far.
fn told(bench: &Bench, kind: &str) -> Vec<Map> {
    let events = bench.broker.events.lock().unwrap();
    events.iter().filter(|event| event["type"] == Value::from(kind)).cloned().collect()
}

async fn eventually(bench: &Bench, kind: &str) -> Map {
    for _ in 0..2000 {
        if let Some(event) = told(bench, kind).pop() {
            return event;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no {kind} in {:#?}", bench.broker.events.lock().unwrap());
}

fn kinds(bench: &Bench) -> Vec<String> {
    let events = bench.broker.events.lock().unwrap();
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap().to_owned());
    kinds.filter(|kind| kind.starts_with("task-")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_ending_is_told_with_what_led_to_it() {
    let table: [(&str, &[&str]); 6] = [
        ("echo", &["task-received", "task-started", "task-succeeded"]),
        ("fail", &["task-received", "task-started", "task-failed"]),
        ("retry", &["task-received", "task-started", "task-retried"]),
        ("reject", &["task-received", "task-started", "task-failed", "task-rejected"]),
        ("ignore", &["task-received", "task-started"]),
        ("unheard-of", &["task-failed"]),
    ];
    for (task, expected) in table {
        let bench = Bench::start(|config| config.task_events = true);
        bench.send(message(task));
        eventually(&bench, expected.last().unwrap()).await;
        assert_eq!(kinds(&bench), expected, "{task}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_with_what_it_cost_and_a_clock_that_goes_on() {
    let bench = Bench::start(|config| config.task_events = true);
    let sent = message("echo");
    bench.send(sent.clone());
    let succeeded = eventually(&bench, "task-succeeded").await;
    assert_eq!(succeeded["uuid"], Value::from(&sent.id));
    assert_eq!(succeeded["result"], Value::from("[1]"));
    for key in ["runtime", "cpu_ms", "memory_bytes", "plugin", "timestamp", "pid"] {
        assert!(succeeded.contains_key(key), "{key} in {succeeded:?}");
    }
    let received = eventually(&bench, "task-received").await;
    assert_eq!(received["name"], Value::from("echo"));
    assert_eq!(received["args"], Value::from("(1,)"));
    let clock = |event: &Map| event["clock"].as_u64().unwrap();
    assert!(clock(&received) < clock(&succeeded));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_that_it_comes_lives_and_goes() {
    let bench = Bench::start(|_| {});
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    while told(&bench, "worker-heartbeat").len() < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let beat = eventually(&bench, "worker-heartbeat").await;
    assert_eq!(beat["freq"], Value::from(2.0));
    assert_eq!((&beat["active"], &beat["processed"]), (&1.into(), &1.into()));
    bench.shutdown.drain();
    eventually(&bench, "worker-offline").await;
    assert!(told(&bench, "worker-online").len() == 1);
    bench.gate.add_permits(1);
    let events = bench.broker.events.clone();
    bench.worker.await.unwrap().unwrap();
    let last = events.lock().unwrap().last().unwrap()["type"].clone();
    assert_eq!(last, Value::from("worker-offline"), "no task is told of without -E");
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_that_it_is_there_again_after_its_broker_was_away() {
    let bench = Bench::start(|_| {});
    eventually(&bench, "worker-heartbeat").await;
    assert_eq!(told(&bench, "worker-online").len(), 1);
    let line = bench.broker.presence.line();
    line.lost();
    line.back();
    while told(&bench, "worker-online").len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let beats = told(&bench, "worker-heartbeat").len();
    while told(&bench, "worker-heartbeat").len() < beats + 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(told(&bench, "worker-online").len(), 2, "once for each time");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_are_told_of_once_somebody_asks_for_it() {
    let bench = Bench::start(|_| {});
    for (command, expected) in [
        ("disable_events", "task events already disabled"),
        ("enable_events", "task events enabled"),
        ("enable_events", "task events already enabled"),
    ] {
        let said = ask(&bench, command, Value::Null).await;
        assert_eq!(said, format!(r#"{{"ok":"{expected}"}}"#));
    }
    bench.send(message("echo"));
    eventually(&bench, "task-succeeded").await;
    let said = ask(&bench, "disable_events", Value::Null).await;
    assert_eq!(said, r#"{"ok":"task events disabled"}"#);
    let before = kinds(&bench);
    bench.send(message("echo"));
    bench.diary.eventually("Ack").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(kinds(&bench), before);
    assert_eq!(ask(&bench, "heartbeat", Value::Null).await, "null");
    while !told(&bench, "worker-heartbeat").iter().any(|beat| beat["freq"] == 5.into()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.stop().await;
}

/// Celery's workers answer so, and go on: monitors rely on it.
#[tokio::test(start_paused = true)]
async fn who_tells_of_tasks_from_the_start_is_not_switched_off() {
    let bench = Bench::start(|config| config.task_events = true);
    let said = ask(&bench, "disable_events", Value::Null).await;
    assert_eq!(said, r#"{"ok":"task events already disabled"}"#);
    let said = ask(&bench, "enable_events", Value::Null).await;
    assert_eq!(said, r#"{"ok":"task events already enabled"}"#);
    bench.send(message("echo"));
    eventually(&bench, "task-succeeded").await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_worker_wins_its_election_and_sends_what_it_was_about() {
    let bench = Bench::start(|_| {});
    let arguments = Value::from([
        ("id", Value::from("e")),
        ("topic", "task".into()),
        ("action", signature("far.away", "x")),
    ]);
    assert_eq!(ask(&bench, "election", arguments).await, "null");
    eventually(&bench, "worker-elect-ack").await;
    bench.diary.eventually("publish celery").await;
    let sent = bench.broker.sent().pop().unwrap();
    assert_eq!((sent.task.as_str(), sent.id.as_str()), ("far.away", "x"));
    bench.stop().await;
}
