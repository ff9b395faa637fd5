//! Messages that were put aside: listed, shown, put back.

use std::path::Path;

use umbel_harness::eventually::eventually;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;

use crate::embedded::worker;
use crate::{SOON, folder, put, umbel};

/// A failure of `fail` becomes a dead letter.
const KEEPS_FAILURES: &str = "[plugins.tasks.tasks.fail]\nack-on-failure = false\n";

/// The dead letters as programs read them, once there are so many.
#[track_caller]
fn letters(folder: &Path, broker: &[&str], count: usize) -> Vec<serde_json::Value> {
    eventually(&format!("{count} dead letters"), SOON, || {
        let ended = umbel(folder, &[&["dead-letter", "list", "--json"], broker].concat());
        let letters: Vec<_> = serde_json::from_str(&ended.text).map_err(|_| ended.text.clone())?;
        if letters.len() == count { Ok(letters) } else { Err(ended.text) }
    })
}

#[track_caller]
fn check(folder: &Path, broker: &[&str]) {
    let run = |words: &[&str]| umbel(folder, &[words, broker].concat());
    let mut worker = worker(folder, broker);
    run(&["dead-letter", "list"]).said(&["no dead letters"]);
    let failed = run(&["call", "tasks.fail", "no luck", "--wait", "--timeout", "10s"]);
    assert_eq!(failed.code, 1, "{}", failed.text);
    let letter = letters(folder, broker, 1).remove(0);
    assert_eq!(letter["task"], "tasks.fail");
    assert_eq!(letter["queue"], "celery");
    let id = letter["id"].as_str().expect("an id");
    run(&["dead-letter", "list"]).said(&[id, "REASON", "celery", "tasks.fail"]);
    let reason = letter["reason"].as_str().expect("a reason");
    run(&["dead-letter", "show", id]).said(&[id, reason, "tasks.fail", "[\"no luck\"]"]);
    let shown = run(&["dead-letter", "show", id, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.text).expect("JSON");
    assert_eq!(shown["args"][0], "no luck");

    run(&["dead-letter", "show", "nothing"]).refused(1, &["the id `nothing`", "dead-letter list"]);
    run(&["dead-letter", "replay", "nothing"]).refused(1, &["0 messages", "the id `nothing`"]);
    run(&["dead-letter", "replay"]).refused(2, &["<ID>"]);
    run(&["dead-letter", "replay", "--all"]).refused(2, &["nobody to ask", "--yes"]);

    run(&["dead-letter", "replay", id]).said(&["1 message replayed"]);
    // It runs, fails, and is put aside again.
    let again = letters(folder, broker, 1).remove(0);
    assert_eq!(again["task_id"], shown["task_id"]);
    run(&["call", "tasks.fail", "twice", "--wait", "--timeout", "10s"]);
    letters(folder, broker, 2);
    run(&["dead-letter", "list", "--limit", "1"]).said(&[again["id"].as_str().expect("an id")]);
    worker.kill();
    run(&["dead-letter", "replay", "--all", "--yes"]).said(&["2 messages replayed"]);
    letters(folder, broker, 0);
}

#[test]
fn dead_letters_of_the_embedded_broker_are_shown_and_replayed() {
    let folder = folder(KEEPS_FAILURES);
    put(folder.path(), "tasks", "tasks");
    check(folder.path(), &[]);
}

#[test]
fn dead_letters_on_redis_are_shown_and_replayed() {
    let folder = folder(KEEPS_FAILURES);
    put(folder.path(), "tasks", "tasks");
    let server = RedisServer::start();
    check(folder.path(), &["-b", &server.url(0)]);
}

#[test]
fn dead_letters_on_rabbitmq_are_shown_and_replayed() {
    // RabbitMQ keeps what is rejected where its operator says.
    let folder = folder(&format!(
        "amqp.dead-letter-queue = 'dead'\n{KEEPS_FAILURES}[[queues]]\nname = 'celery'\n\
         arguments = {{ x-dead-letter-exchange = '', x-dead-letter-routing-key = 'dead' }}\n"
    ));
    put(folder.path(), "tasks", "tasks");
    let server = RabbitMq::shared();
    let url = server.url(&server.fresh_vhost());
    let broker = ["-b", url.as_str()];
    // Declares it.
    worker(folder.path(), &[&broker[..], &["-Q", "dead"]].concat()).kill();
    check(folder.path(), &broker);
}
