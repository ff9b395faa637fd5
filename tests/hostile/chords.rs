//! Messages that pretend to be parts of somebody's chord.

use tempfile::TempDir;
use umbel_harness::eventually::PATIENCE;
use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_protocol::message::{Embed, Message};
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, url};
use umbel_system_tests::request::request;
use umbel_value::Value;

const GROUP: &str = "7f9c2b1e-0000-4000-8000-00000000c0de";

/// A part of a chord of two whose body is `tasks.xsum` under this id.
fn part(body: &str, group: &str, index: u32, number: u64) -> Message {
    let signature = Value::from([
        ("task", Value::from("tasks.xsum")),
        ("args", Value::List(vec![])),
        ("kwargs", Value::Map(Default::default())),
        ("options", Value::from([("task_id", Value::from(body))])),
        ("subtask_type", Value::Null),
        ("chord_size", Value::from(2_u64)),
        ("immutable", Value::Bool(false)),
    ]);
    Message {
        group: Some(group.to_owned()),
        group_index: Some(index),
        embed: Embed { chord: Some(signature), ..Embed::default() },
        ..request("tasks.add", vec![Value::from(number), Value::from(0_u64)])
    }
}

#[test]
fn strangers_neither_complete_a_chord_nor_run_its_body_twice() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let mut umbel = Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::open(&file);
    let send = |message: &Message| {
        client.publish(&message.encode()).expect("the broker takes messages");
        assert_eq!(client.wait(&message.id, PATIENCE).state, State::Success);
    };
    let body = "body-of-the-chord";
    client.begin_chord(GROUP, 2);
    let first = part(body, GROUP, 0, 20);
    send(&first);
    // A part of another group, and the same part once more, leave it incomplete.
    send(&part("another-body", "another-group", 1, 999));
    send(&first);
    assert!(client.get(body).is_none(), "one part of two is not all of them");
    send(&part(body, GROUP, 1, 22));
    assert_eq!(client.wait(body, PATIENCE).result.as_u64(), Some(42));
    // One part more, in a place that is taken and in one that is not, comes too late.
    send(&part(body, GROUP, 1, 1000));
    send(&part(body, GROUP, 7, 1000));
    assert_eq!(client.call("tasks.add", "[1, 1]").result.as_u64(), Some(2));
    assert!(umbel.stop().success());
    let log = umbel.process.log();
    let runs = log.matches(&format!("tasks.xsum[{body}] succeeded")).count();
    assert_eq!(runs, 1, "the body ran once:\n{log}");
    assert_eq!(client.wait(body, PATIENCE).result.as_u64(), Some(42), "and its result stands");
}
