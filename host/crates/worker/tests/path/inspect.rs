//! Remote control: what a worker tells of itself, and its slots and queues.

use std::time::Duration;

use umbel_protocol::message::Message;
use umbel_value::Value;

use crate::bench::{Bench, message};
use crate::control::ask;

async fn told(bench: &Bench, method: &str, arguments: Value) -> Value {
    Value::from_json(ask(bench, method, arguments).await.as_bytes()).unwrap()
}

fn ids(told: &Value) -> Vec<&str> {
    told.as_list().unwrap().iter().map(|one| one.get("id").unwrap().as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_task_is_listed_where_it_is() {
    let bench = Bench::start(|config| {
        config.concurrency = 1;
        config.prefetch_multiplier = 4;
    });
    let (running, waiting) = (message("slow"), message("slow-early"));
    bench.send(running.clone());
    bench.diary.eventually("run slow").await;
    bench.send(waiting.clone());
    let eta = jiff::Timestamp::now() + Duration::from_secs(3600);
    let held = Message { eta: Some(umbel_protocol::time::Timestamp::new(eta)), ..message("echo") };
    bench.send(held.clone());
    let scheduled = loop {
        let scheduled = told(&bench, "scheduled", Value::Null).await;
        if !scheduled.as_list().unwrap().is_empty() {
            break scheduled;
        }
    };
    let request = scheduled.as_list().unwrap()[0].get("request").unwrap();
    assert_eq!(request.get("id"), Some(&Value::from(&held.id)));
    let active = told(&bench, "active", Value::Null).await;
    assert_eq!(ids(&active), [&running.id]);
    let one = &active.as_list().unwrap()[0];
    assert_eq!(one.get("hostname"), Some(&"celery@localhost".into()));
    assert!(one.get("time_start").unwrap().as_f64().is_some());
    assert_eq!(one.get("args").unwrap().to_json(), "[1]");
    let safe = told(&bench, "dump_active", Value::from([("safe", true.into())])).await;
    assert_eq!(safe.as_list().unwrap()[0].get("args"), Some(&"(1,)".into()));
    assert_eq!(ids(&told(&bench, "reserved", Value::Null).await), [&waiting.id]);
    let asked: Value = [&held.id, &running.id, "nope"].into_iter().map(Value::from).collect();
    let states = told(&bench, "query_task", Value::from([("ids", asked)])).await;
    let state = |id: &str| states.get(id).unwrap().as_list().unwrap()[0].clone();
    assert_eq!((state(&held.id), state(&running.id)), ("scheduled".into(), "active".into()));
    assert_eq!(states.as_map().unwrap().len(), 2);
    bench.gate.add_permits(2);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_and_numbers_are_told() {
    let bench = Bench::start(|_| {});
    bench.send(message("echo"));
    bench.diary.eventually("Ack").await;
    let lines = told(&bench, "registered", Value::Null).await;
    let lines: Vec<&str> = lines.as_list().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(lines.contains(&"echo") && lines.contains(&"limited [rate_limit=1/s]"), "{lines:?}");
    assert!(lines.is_sorted() && !lines.iter().any(|name| name.starts_with("celery.")));
    let items: Value = ["acks_late", "name", "nonsense"].into_iter().map(Value::from).collect();
    let asked = Value::from([("taskinfoitems", items), ("builtins", true.into())]);
    let lines = told(&bench, "registered", asked).await.to_json();
    assert!(lines.contains("slow-early [acks_late=False name=slow-early]"), "{lines}");
    assert!(lines.contains("celery.accumulate"), "{lines}");
    let stats = told(&bench, "stats", Value::Null).await;
    assert_eq!(stats.get("total").unwrap().to_json(), r#"{"echo":1}"#);
    assert_eq!(stats.get("pool").unwrap().get("max-concurrency"), Some(&64.into()));
    assert!(stats.get("clock").unwrap().as_str().is_some());
    let report = told(&bench, "report", Value::Null).await;
    assert!(report.get("ok").is_some());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_refused_in_celerys_words() {
    let bench = Bench::start(|_| {});
    let table = [
        ("active_queues", r#"active_queues() got an unexpected keyword argument 'x'"#),
        ("query_task", r#"query_task() missing 1 required positional argument: 'ids'"#),
    ];
    for (method, expected) in table {
        let said = told(&bench, method, Value::from([("x", 1.into())])).await;
        let expected = format!("TypeError({expected:?})");
        assert_eq!(said.get("error").and_then(Value::as_str), Some(&*expected), "{method}");
    }
    assert_eq!(ask(&bench, "ping", Value::from([("x", 1.into())])).await, r#"{"ok":"pong"}"#);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_and_shrinks_while_tasks_run() {
    let bench = Bench::start(|config| {
        config.concurrency = 1;
        config.max_concurrency = 3;
        config.prefetch_multiplier = 1;
    });
    let runs = || bench.diary.lines().iter().filter(|line| *line == "run slow").count();
    for _ in 0..3 {
        bench.send(message("slow"));
    }
    bench.diary.eventually("run slow").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs(), 1);
    let by = |n: i64| Value::from([("n", n.into())]);
    assert_eq!(ask(&bench, "pool_grow", by(1)).await, r#"{"ok":"pool will grow"}"#);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs(), 2, "and the window grew with it");
    let refused = ask(&bench, "pool_grow", by(9)).await;
    assert!(refused.contains("there is room for 3 tasks at once"), "{refused}");
    assert_eq!(ask(&bench, "pool_shrink", by(1)).await, r#"{"ok":"pool will shrink"}"#);
    bench.gate.add_permits(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs(), 2, "a slot went with the run that ended");
    let range = Value::from([("max", 3.into()), ("min", 1.into())]);
    let said = ask(&bench, "autoscale", range).await;
    assert_eq!(said, r#"{"ok":"autoscale now max=3 min=1"}"#);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs(), 3);
    let refused = ask(&bench, "pool_shrink", by(1)).await;
    assert!(refused.contains("not supported with autoscale"), "{refused}");
    bench.gate.add_permits(2);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn queues_are_added_and_cancelled_while_tasks_run() {
    let bench = Bench::start(|_| {});
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    let queue = |name: &str| Value::from([("queue", Value::from(name))]);
    let said = ask(&bench, "add_consumer", queue("extra")).await;
    assert_eq!(said, r#"{"ok":"add consumer extra"}"#);
    let queues = told(&bench, "active_queues", Value::Null).await;
    let names: Vec<_> =
        queues.as_list().unwrap().iter().map(|one| one.get("name").unwrap().to_json()).collect();
    assert_eq!(names, [r#""celery""#, r#""extra""#]);
    let refused = ask(&bench, "add_consumer", queue("taken")).await;
    assert!(refused.contains("taken"), "{refused}");
    let refused = ask(&bench, "add_consumer", queue("w1@lab.celery.pidbox")).await;
    assert!(refused.contains("is no queue for tasks"), "{refused}");
    for name in ["extra", "extra", "celery"] {
        let said = ask(&bench, "cancel_consumer", queue(name)).await;
        assert_eq!(said, format!(r#"{{"ok":"no longer consuming from {name}"}}"#));
    }
    assert_eq!(ask(&bench, "active_queues", Value::Null).await, "[]");
    bench.send(message("echo"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.diary.lines().contains(&"run echo".to_owned()), "nothing is taken");
    ask(&bench, "add_consumer", queue("celery")).await;
    bench.diary.eventually("run echo").await;
    let subscriptions = bench.broker.subscriptions.lock().unwrap().clone();
    assert_eq!(
        subscriptions,
        [vec!["celery"], vec!["celery", "extra"], vec!["celery"], vec!["celery"]]
    );
    bench.gate.add_permits(1);
    bench.stop().await;
}
