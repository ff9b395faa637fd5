//! Logs for programs: each line about a task names it in fields of its own, its own lines included;
//! lines for people stay as they are.

use serde_json::Value;
use umbel_harness::eventually::PATIENCE;
use umbel_harness::paths;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_system_tests::client::Client;

/// A task of each kind has run; gives their ids by name.
fn runs(redis: &RedisServer, format: &str) -> (Umbel, Vec<(&'static str, String)>) {
    let worker = Worker::on(&redis.url(0)).results(&redis.url(1));
    let worker = ["chatters", "floods"]
        .into_iter()
        .fold(worker, |worker, guest| worker.plugin(guest, paths::guest(guest)));
    let worker = worker.plugin("tasks", paths::plugin("tasks"));
    let mut umbel = worker.args(&["--log-format", format]).start();
    let client = Client::of(&redis.url(0), &redis.url(1));
    let calls = [
        ("tasks.add", "[2, 3]"),
        ("tasks.fail", "[\"bad\"]"),
        ("chatters.log", "[1]"),
        ("floods.flood", "[1]"),
        ("made.up", "[]"),
    ];
    let ids = calls.map(|(task, args)| {
        let id = client.send(task, args);
        client.wait(&id, PATIENCE);
        (task, id)
    });
    // Its last line is written after its result.
    umbel.stop();
    (umbel, ids.to_vec())
}

#[test]
fn each_line_about_a_task_names_it_in_fields_of_its_own() {
    let redis = RedisServer::start();
    let (umbel, ids) = runs(&redis, "json");
    let log = umbel.process.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let about = |id: &str| -> Vec<&Value> {
        let says = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains(id));
        lines.iter().filter(says).collect()
    };
    for (task, id) in &ids {
        let lines = about(id);
        assert!(lines.len() >= 2, "{task}: {log}");
        for line in &lines {
            assert_eq!((&line["task"], &line["id"]), (&(*task).into(), &id.as_str().into()));
            let received = line["message"].as_str().is_some_and(|text| text.ends_with("received"));
            let plugin = line["plugin"].as_str().unwrap_or_default();
            let name = task.split('.').next().unwrap_or_default();
            let known = !received && *task != "made.up";
            assert_eq!(plugin.starts_with(&format!("{name}@")), known, "{line}");
        }
    }
    let own = |task: &str, text: &str| {
        let says = |line: &&Value| line["message"].as_str().is_some_and(|t| t.contains(text));
        let line = lines.iter().find(says).unwrap_or_else(|| panic!("{text} in {log}"));
        assert_eq!(line["task"], task, "{line}");
    };
    own("chatters.log", "log: chatter 0");
    own("floods.flood", "stdout: flood 0");
    own("floods.flood", "stderr: spill 0");
    let others = lines.iter().filter(|line| line.get("id").is_none());
    assert!(others.clone().count() > 2, "the worker's own life is about no task: {log}");
    assert!(others.clone().all(|line| line.get("task").is_none()), "{log}");
}

#[test]
fn lines_for_people_are_as_celery_writes_them() {
    let redis = RedisServer::start();
    let (umbel, ids) = runs(&redis, "text");
    let log = umbel.process.log();
    for (task, id) in &ids {
        let received = format!("INFO/MainProcess] Task {task}[{id}] received\n");
        assert!(log.contains(&received), "{received} in {log}");
    }
    assert!(!log.contains(" task=") && !log.contains(" id="), "{log}");
    let (task, id) = &ids[2];
    assert!(log.contains(&format!("/MainProcess] {task}[{id}] log: chatter 0\n")), "{log}");
}
