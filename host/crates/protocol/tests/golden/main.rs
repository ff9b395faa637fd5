//! What Python's Celery recorded decodes, and encodes again to the same meaning.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

mod content;
mod control;
mod matrix;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use umbel_protocol::body::{Compression, Content, Serializer};
use umbel_protocol::message::{Properties, RawMessage};
use umbel_value::{Map, Value};

/// Files that hold neither a task message nor a result.
const NEITHER: [&str; 4] = ["amqp-run-revoke-eta", "pure-crontab", "pure-saferepr", "pure-solar"];

/// Files whose messages cannot be decoded, and what each such message says.
const REFUSED: [(&str, &str); 7] = [
    ("amqp-run-bad-eta", "invalid task message: invalid ETA value 'tomorrow'"),
    ("amqp-run-disallowed", PICKLE),
    ("amqp-run-malformed", "cannot decode message body: expected a key in double quotes at byte 1"),
    ("amqp-run-notatask", "unknown message: no header `task`, and the body is dict without one"),
    ("amqp-task-serializer-pickle", PICKLE),
    ("redis-run-disallowed", PICKLE),
    ("redis-task-serializer-pickle", PICKLE),
];
const PICKLE: &str =
    "Refusing to deserialize untrusted content of type pickle (application/x-python-serialize)";

#[test]
fn every_recording_means_the_same_after_a_round_trip() {
    let mut found = BTreeMap::new();
    for (name, content) in recordings() {
        if name == "amqp-malformed-matrix" || is_of_control(&name) {
            continue; // have tests of their own
        }
        let mut finds = wire::Finds::default();
        finds.walk(&name, &content);
        found.insert(name, finds);
    }
    let neither: Vec<_> =
        found.iter().filter(|(_, finds)| finds.is_empty()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(neither, NEITHER, "files without a task message or a result");

    let refused: BTreeMap<_, _> = REFUSED.into_iter().collect();
    for (name, finds) in &found {
        let expected: Vec<_> = refused.get(name.as_str()).into_iter().collect();
        let mut errors: Vec<_> = finds.errors.iter().map(String::as_str).collect();
        errors.dedup();
        assert_eq!(errors.iter().collect::<Vec<_>>(), expected, "{name}");
    }
    let tasks: usize = found.values().map(|finds| finds.tasks).sum();
    let results: usize = found.values().map(|finds| finds.results).sum();
    assert!(tasks > 200 && results > 200, "{tasks} tasks, {results} results");
}

#[test]
fn every_malformed_message_is_judged() {
    matrix::check(&recording("amqp-malformed-matrix"));
}

/// Remote control, and what workers tell of themselves.
fn is_of_control(name: &str) -> bool {
    ["amqp-pidbox-", "amqp-control-", "amqp-worker-"].iter().any(|start| name.starts_with(start))
}

/// Every file, by its name without the ending.
fn recordings() -> Vec<(String, Value)> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the recordings are in the repository")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 150, "recordings are missing");
    names.into_iter().map(|name| (name.clone(), recording(&name))).collect()
}

fn recording(name: &str) -> Value {
    let text = fs::read(folder().join(format!("{name}.json"))).unwrap();
    Value::from_json(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden")
}

/// Another way to write for every turn.
fn content(turn: usize) -> Content {
    let compressions = [None].into_iter().chain(Compression::ALL.map(Some));
    Content {
        serializer: Serializer::ALL[turn % 3],
        compression: compressions.cycle().nth(turn / 3 % 6).unwrap(),
    }
}

/// A message as AMQP's tracer recorded it.
fn raw(recorded: &Value) -> RawMessage {
    let properties = recorded.get("properties").and_then(Value::as_map).unwrap();
    let text = |key: &str| properties.get(key).and_then(Value::as_str).map(str::to_owned);
    let small = |key: &str| properties.get(key).and_then(Value::as_i64).map(|n| n as u8);
    RawMessage {
        properties: Properties {
            content_type: text("content_type"),
            content_encoding: text("content_encoding"),
            correlation_id: text("correlation_id"),
            reply_to: text("reply_to"),
            delivery_mode: small("delivery_mode"),
            priority: small("priority"),
            expiration: text("expiration"),
            ..Properties::default()
        },
        headers: recorded.get("headers").and_then(Value::as_map).cloned().unwrap_or_else(Map::new),
        body: bytes(recorded.get("body").unwrap()).into(),
    }
}

fn bytes(recorded: &Value) -> Vec<u8> {
    STANDARD.decode(recorded.get("b64").and_then(Value::as_str).unwrap()).unwrap()
}
