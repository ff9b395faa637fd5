//! `/metrics`: what becomes of messages is counted, in a form that Prometheus's own tool approves of,
//! and nothing that a sender makes up makes it grow.

use std::io::Write;
use std::process::{Command, Stdio};

use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;
use umbel_protocol::message::RawMessage;
use umbel_system_tests::client::Client;
use umbel_system_tests::request::request;
use umbel_value::Value;

use crate::scrape::{SERVE, address, ask, get, samples};
use crate::stage::{Broker, Stage, UMBEL};

/// What is counted of the messages below.
const COUNTED: &[(&str, f64)] = &[
    (r#"umbel_tasks_received_total{task="tasks.add",queue="celery"}"#, 3.0),
    (r#"umbel_tasks_received_total{task="(unregistered)",queue="celery"}"#, 1.0),
    (r#"umbel_tasks_ended_total{task="tasks.add",end="succeeded"}"#, 3.0),
    (r#"umbel_tasks_ended_total{task="tasks.add",end="failed"}"#, 0.0),
    (r#"umbel_tasks_ended_total{task="tasks.fail",end="failed"}"#, 1.0),
    (r#"umbel_tasks_ended_total{task="rogue.hoard",end="failed"}"#, 1.0),
    (r#"umbel_tasks_ended_total{task="(unregistered)",end="unregistered"}"#, 1.0),
    (r#"umbel_task_faults_total{task="tasks.fail",fault="error"}"#, 1.0),
    (r#"umbel_task_faults_total{task="rogue.hoard",fault="memory"}"#, 1.0),
    (r#"umbel_task_faults_total{task="rogue.hoard",fault="stack"}"#, 0.0),
    (r#"umbel_messages_malformed_total{queue="celery"}"#, 1.0),
    (r#"umbel_task_runtime_seconds_count{task="tasks.add"}"#, 3.0),
    (r#"umbel_task_runtime_seconds_bucket{le="+Inf",task="tasks.add"}"#, 3.0),
    (r#"umbel_task_wait_seconds_count{task="tasks.add"}"#, 3.0),
    (r#"umbel_task_queue_seconds_count{task="tasks.add"}"#, 1.0),
    (r#"umbel_task_memory_bytes_count{task="tasks.add"}"#, 3.0),
    (r#"umbel_task_output_bytes_total{task="tasks.add"}"#, 3.0),
    ("umbel_slots", 2.0),
    ("umbel_slots_in_use", 0.0),
    ("umbel_messages_held", 0.0),
    ("umbel_broker_connected", 1.0),
    ("umbel_broker_reconnects_total", 0.0),
    ("umbel_events_dropped_total", 0.0),
    ("umbel_ready", 1.0),
    ("umbel_plugins_loaded", 2.0),
    ("umbel_plugins_refused", 0.0),
    (r#"umbel_plugin_reloads_total{plugin="tasks",outcome="swapped"}"#, 0.0),
];

#[test]
fn what_becomes_of_messages_is_counted_on_redis() {
    what_becomes_of_messages_is_counted(Broker::Redis);
}

#[test]
fn what_becomes_of_messages_is_counted_on_rabbitmq() {
    what_becomes_of_messages_is_counted(Broker::RabbitMq);
}

fn what_becomes_of_messages_is_counted(broker: Broker) {
    let stage = Stage::set(broker);
    let mut umbel = stage.umbel_that_serves(UMBEL);
    let client = stage.sender();
    for _ in 0..2 {
        client.call("tasks.add", "[2, 3]");
    }
    client.call("tasks.fail", "[\"bad\"]");
    client.call("rogue.hoard", "[]");
    client.send("made.up", "[]");
    let garbage = RawMessage { body: "garbage".into(), ..RawMessage::default() };
    client.publish(&garbage).expect("the broker takes messages");
    let mut dated = request("tasks.add", vec![Value::Int(4), Value::Int(5)]).encode();
    dated.properties.timestamp = Some(1_700_000_000);
    client.publish(&dated).expect("the broker takes messages");
    let address = address(&mut umbel);
    eventually("everything is counted", PATIENCE, || {
        let samples = samples(&address);
        let wrong = COUNTED.iter().filter(|(name, value)| samples.get(*name) != Some(value));
        let wrong: Vec<_> = wrong.map(|(name, value)| (name, value, samples.get(*name))).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
    });
    let samples = samples(&address);
    let queued = samples[r#"umbel_task_queue_seconds_sum{task="tasks.add"}"#];
    assert!(queued > 1e7, "it was published long ago: {queued}");
    for name in [
        r#"umbel_task_cpu_seconds_total{task="rogue.hoard"}"#,
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(samples[name] > 0.0, "{name}");
    }
    assert!(samples.keys().any(|name| name.starts_with("umbel_build_info{version=")));
    promtool_approves(&get(&address, "/metrics").body);
}

/// It has nothing to say about it.
fn promtool_approves(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Debian's prometheus has promtool");
    let mut input = promtool.stdin.take().expect("its input is a pipe");
    input.write_all(page.as_bytes()).expect("it reads");
    drop(input);
    let said = promtool.wait_with_output().expect("it ends");
    let told = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn names_that_senders_make_up_do_not_make_the_page_grow() {
    const MANY: usize = 10_000;
    let redis = RedisServer::start();
    let worker = Worker::on(&redis.url(0)).results(&redis.url(1)).args(&SERVE);
    // Ten thousand lines about it would only take time.
    let quiet = worker.plugin("tasks", paths::plugin("tasks")).args(&["--log-format", "json"]);
    let mut umbel = quiet.start();
    let address = address(&mut umbel);
    let client = Client::of(&redis.url(0), &redis.url(1));
    client.call("tasks.add", "[2, 3]");
    client.send("made.up", "[]");
    let received = r#"umbel_tasks_received_total{task="(unregistered)",queue="celery"}"#;
    let ended = r#"umbel_tasks_ended_total{task="(unregistered)",end="unregistered"}"#;
    let await_ends = |count: f64| {
        eventually("they are counted", PATIENCE, || {
            let samples = samples(&address);
            let seen = (samples.get(received).copied(), samples.get(ended).copied());
            if seen == (Some(count), Some(count)) { Ok(samples) } else { Err(format!("{seen:?}")) }
        })
    };
    let before = await_ends(1.0);
    let made_up = (0..MANY).map(|number| request(&format!("made.up.{number}"), Vec::new()));
    client.publish_all(&made_up.collect::<Vec<_>>());
    let after = await_ends(1.0 + MANY as f64);
    assert!(before.keys().eq(after.keys()), "the page has other samples than before");
}

#[test]
fn whoever_asks_for_openmetrics_gets_it() {
    let redis = RedisServer::start();
    let worker = Worker::on(&redis.url(0)).args(&SERVE);
    let mut umbel = worker.plugin("tasks", paths::plugin("tasks")).start();
    let address = address(&mut umbel);
    let accepting = |types: &str| ask(&address, "GET", "/metrics", types).expect("it answers");
    let modern = accepting("accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
    assert!(modern.head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(modern.body.ends_with("# EOF\n") && modern.body.contains("# TYPE umbel_tasks_ended c"));
    let classic = accepting("accept: */*\r\n");
    assert!(classic.head.contains("content-type: text/plain; version=0.0.4"), "{}", classic.head);
    assert!(classic.body.contains("# TYPE umbel_tasks_ended_total counter"));
    assert!(!classic.body.contains("# EOF"));
}
