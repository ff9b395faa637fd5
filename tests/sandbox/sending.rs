//! Runs that send tasks: only what they may, only so much, and never at the worker's expense.

use std::fs;

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::{paths, worker};
use umbel_protocol::record::State;
use umbel_system_tests::client::failure;
use umbel_value::Value;

use crate::scene::{Scene, shared};

const MEBIBYTE: u64 = 1 << 20;

#[test]
pub(crate) fn a_flood_of_submissions_is_counted() {
    let (scene, _shown) = shared();
    let record = scene.call("spams.flood", r#"["tasks.add", 1000000]"#);
    assert_eq!(record.result, taken(100, "too many"), "{record:?}");
    // A canvas counts as many as it holds, and none of it goes out if that is too many.
    let record = scene.call("spams.crowd", r#"["tasks.add", 5000]"#);
    assert_eq!(record.result, Value::from("too many"), "{record:?}");
}

#[test]
fn what_is_not_granted_is_refused_and_the_run_goes_on() {
    let (scene, _shown) = shared();
    for name in ["patient.forever", "tasks.add2", "", "*", "tasks.*", "celery.chord"] {
        let args = Value::List(vec![Value::from(name), Value::from(3_u64)]).to_json();
        let record = scene.call("spams.flood", &args);
        let answer = if name.is_empty() { "invalid" } else { "denied" };
        assert_eq!(record.result, taken(0, answer), "{name}: {record:?}");
    }
    let record = scene.call("spams.crowd", r#"["patient.forever", 3]"#);
    assert_eq!(record.result, Value::from("denied"), "{record:?}");
    let raised = failure(&scene.call("spams.insist", r#"["patient.forever"]"#));
    assert_eq!(raised.kind, "TimeLimitExceeded", "{raised}");
}

#[test]
fn a_signature_a_hundred_thousand_levels_deep_is_invalid() {
    let (scene, _shown) = shared();
    let record = scene.call("spams.deep", "[100000]");
    assert_eq!((record.state, record.result), (State::Success, Value::from("invalid")));
}

/// Each run tries to send 100 MiB, and may send as much as a result may have: 1 MiB.
#[test]
fn the_workers_memory_does_not_grow_with_what_runs_send() {
    let scene = Scene::open(&[]);
    let args = || ["tasks.echo".into(), Value::from(100_000_u64), Value::from(1000_u64)].to_vec();
    let run = |count: usize| {
        for id in scene.client.send_all("spams.bulk", std::iter::repeat_n(args(), count)) {
            let record = scene.client.wait(&id, PATIENCE);
            assert_eq!(record.result, taken(10, "too many"), "{record:?}");
        }
    };
    // The first runs make what stays: code pages, slots, what the allocator keeps for the next.
    run(100);
    let before = scene.worker().process.usage().resident;
    run(100);
    eventually("the memory comes back", PATIENCE, || {
        let now = scene.worker().process.usage().resident;
        let grown = now.saturating_sub(before) / MEBIBYTE;
        if grown < 32 { Ok(()) } else { Err(format!("{grown} MiB more than before")) }
    });
}

#[test]
fn sending_without_a_grant_is_refused_at_load() {
    let folder = TempDir::with_prefix("umbel-sandbox-").expect("a temporary folder");
    let file = folder.path().join("spams.wasm");
    fs::copy(paths::guest("spams"), &file).expect("a component can be copied");
    let checked = worker::run("check", &[&file.display().to_string()]);
    let text = [checked.stdout, checked.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!checked.status.success(), "{text}");
    assert!(text.contains("umbel:task/tasks@0.1.0"), "the interface is named: {text}");
    assert!(text.contains("[plugins.spams] allow = { submit = "), "so is the way out: {text}");
}

/// How many calls were taken, and the answer to the one that was not.
fn taken(calls: u64, answer: &str) -> Value {
    Value::List(vec![Value::from(calls), Value::from(answer)])
}
