//! What is known after which events.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a good time")
}

/// A monitor that heard these events at these seconds.
fn heard(events: &[(i64, &str)]) -> Monitor {
    let mut monitor = Monitor::new(at(0));
    for (second, json) in events {
        match Value::from_json(json.as_bytes()) {
            Ok(Value::Map(event)) => monitor.hear(&event, at(*second)),
            other => panic!("{other:?}"),
        }
    }
    monitor
}

const RECEIVED: &str =
    r#"{"type": "task-received", "uuid": "a", "name": "tasks.add", "hostname": "w@lab"}"#;
const STARTED: &str =
    r#"{"type": "task-started", "uuid": "a", "hostname": "w@lab", "timestamp": 1700000002.0}"#;
const FAILED: &str = r#"{"type": "task-failed", "uuid": "a", "hostname": "w@lab",
    "timestamp": 1700000003.0, "exception": "ValueError('x')", "traceback": "…"}"#;
const BEAT: &str = r#"{"type": "worker-heartbeat", "hostname": "w@lab", "freq": 2.0, "active": 1,
    "processed": 7, "loadavg": [0.5, 0.4, 0.3], "sw_ident": "umbel", "sw_ver": "0.1.0"}"#;

#[test]
fn a_task_runs_from_its_start_to_its_end() {
    let monitor = heard(&[(1, RECEIVED)]);
    assert_eq!((monitor.running().len(), monitor.waiting()), (0, 1));
    let monitor = heard(&[(1, RECEIVED), (2, STARTED)]);
    let running = monitor.running();
    assert_eq!((running.len(), monitor.waiting()), (1, 0));
    assert_eq!((running[0].name.as_str(), running[0].worker.as_str()), ("tasks.add", "w@lab"));
    assert_eq!(running[0].since, Some(at(2)));
    let monitor = heard(&[(1, RECEIVED), (2, STARTED), (3, FAILED)]);
    assert_eq!((monitor.running().len(), monitor.waiting()), (0, 0));
    let failure = &monitor.failures[0];
    assert_eq!(
        (failure.name.as_str(), failure.exception.as_str()),
        ("tasks.add", "ValueError('x')")
    );
    assert_eq!(failure.at, at(3));
}

#[test]
fn a_task_whose_beginning_nobody_heard_has_no_name() {
    let monitor = heard(&[(2, STARTED)]);
    assert_eq!(monitor.running()[0].name, "");
    assert_eq!(heard(&[(3, FAILED)]).failures[0].id, "a");
}

#[test]
fn a_worker_that_is_silent_for_too_long_is_gone() {
    let monitor = heard(&[(10, BEAT)]);
    let seen = &monitor.workers["w@lab"];
    assert_eq!((seen.active, seen.processed, seen.load), (Some(1), Some(7), Some(0.5)));
    assert_eq!(seen.software, "umbel 0.1.0");
    assert!(seen.is_alive(at(13)) && !seen.is_alive(at(14)));
}

#[test]
fn a_worker_that_leaves_has_no_tasks() {
    let offline = r#"{"type": "worker-offline", "hostname": "w@lab", "freq": 2.0}"#;
    let monitor = heard(&[(1, BEAT), (1, RECEIVED), (2, STARTED), (3, offline)]);
    assert!(!monitor.workers["w@lab"].is_alive(at(3)));
    assert_eq!(monitor.workers["w@lab"].processed, Some(7));
    assert_eq!((monitor.running().len(), monitor.waiting()), (0, 0));
}

#[test]
fn a_flood_is_kept_within_bounds() {
    let mut monitor = Monitor::new(at(0));
    for number in 0..(MOST_TASKS + 500) {
        for (kind, more) in [("received", "t"), ("started", "t"), ("failed", "other")] {
            let event: Map = [
                ("type".to_owned(), format!("task-{kind}").into()),
                ("uuid".to_owned(), format!("{more}-{number}").into()),
                ("hostname".to_owned(), format!("w{number}@lab").into()),
                ("exception".to_owned(), "x".repeat(5_000).into()),
            ]
            .into_iter()
            .collect();
            monitor.hear(&event, at(1));
        }
        let beat: Map = [
            ("type".to_owned(), "worker-online".into()),
            ("hostname".to_owned(), format!("w{number}@lab").into()),
        ]
        .into_iter()
        .collect();
        monitor.hear(&beat, at(1));
    }
    assert_eq!((monitor.tasks.len(), monitor.numbers.len()), (MOST_TASKS, MOST_TASKS));
    assert_eq!((monitor.failures.len(), monitor.workers.len()), (MOST_FAILURES, MOST_WORKERS));
    assert_eq!(monitor.failures[0].exception.len(), MOST_TEXT);
    assert_eq!(monitor.running()[0].id, "t-500", "the oldest are forgotten first");
}

#[test]
fn nonsense_is_passed_over() {
    let monitor = heard(&[
        (1, r#"{"type": 7}"#),
        (1, "{}"),
        (1, r#"{"type": "worker-heartbeat", "freq": 1e300, "active": -1, "loadavg": "x"}"#),
        (1, r#"{"type": "task-started", "uuid": null, "timestamp": 1e300}"#),
    ]);
    assert_eq!(monitor.heard, 4);
}
