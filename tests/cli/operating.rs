//! What operators ask and tell: mistakes, and workers on the embedded broker.

use serde_json::{Value, json};
use umbel_harness::eventually::eventually;
use umbel_harness::net::free_port;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::terminal::{Step, play};

use crate::embedded::worker;
use crate::{SOON, command, folder, put, umbel};

#[test]
fn mistakes_are_refused_before_anything_is_sent() {
    let folder = folder("");
    // Whoever tried to send would find nobody, and end with 69.
    let nowhere = format!("redis://127.0.0.1:{}/0", free_port());
    for (words, parts) in [
        (
            &["inspect", "pign"] as &[_],
            &["`umbel inspect` has no command `pign`", "`ping`"] as &[_],
        ),
        (&["inspect", "revoke", "x"], &["write `umbel control revoke`"]),
        (&["control", "ping"], &["write `umbel inspect ping`"]),
        (&["control", "revoke"], &["takes <id>...", "umbel control revoke "]),
        (&["control", "rate_limit", "tasks.add"], &["takes <task> <rate>", "tasks.add 10/m"]),
        (&["control", "rate_limit", "tasks.add", "5/d"], &["`5/d` is no rate"]),
        (&["control", "pool_grow", "-1"], &["`-1` is no whole number"]),
        (&["control", "terminate", "an-id", "other"], &["`an-id` is no signal"]),
        (&["control", "time_limit", "t", "soon"], &["`soon` is no number of seconds"]),
        (&["inspect", "ping", "x"], &["takes no arguments"]),
        (&["inspect", "ping", "-t", "5x"], &["`x` is no unit of time"]),
        (&["inspect"], &["<COMMAND>"]),
        (&["purge"], &["nobody to ask", "--force"]),
        (&["purge", "-f", "-X", "celry"], &["`celry` is to be left out", "celery"]),
        (&["purge", "-f", "-X", "celery"], &["every queue is left out"]),
    ] {
        umbel(folder.path(), &[words, &["-b", &nowhere]].concat()).refused(2, parts);
    }
    for words in [&["inspect", "ping"] as &[_], &["status"], &["events"], &["purge", "-f"]] {
        umbel(folder.path(), &[words, &["-b", &nowhere]].concat()).refused(69, &["cannot reach"]);
    }
}

#[test]
fn the_help_lists_the_commands() {
    let folder = folder("");
    umbel(folder.path(), &["inspect", "--help"]).said(&[
        "active_queues",
        "query_task <id>...",
        "Tasks that run now",
    ]);
    umbel(folder.path(), &["control", "-h"]).said(&[
        "rate_limit <task> <rate>",
        "terminate <signal> <id>...",
        "Add slots",
    ]);
}

#[test]
fn workers_of_the_embedded_broker_answer() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let here = folder.path();
    umbel(here, &["status", "-t", "0.2"]).refused(69, &["no node replied within 200ms", "help: "]);
    let mut worker = worker(here, &["-n", "w1@lab", "-c", "2"]);
    let only = ["-d", "w1@lab", "-t", "30"];
    let ask = |words: &[&str]| umbel(here, &[words, &only].concat());
    ask(&["status"]).said(&["NODE", "w1@lab", "OK", "umbel:", "1 node online."]);
    ask(&["inspect", "ping"]).said(&["w1@lab", "pong", "1 node online."]);
    ask(&["inspect", "registered"]).said(&["w1@lab (", "  tasks.add\n"]);
    ask(&["inspect", "stats"]).said(&["UPTIME", "SLOTS", "MEMORY"]);
    ask(&["inspect", "conf"]).said(&["worker_concurrency", "2"]);
    ask(&["inspect", "active_queues"]).said(&["celery", "direct"]);
    ask(&["inspect", "active"]).said(&["- empty -"]);
    ask(&["control", "rate-limit", "tasks.add", "5/s"]).said(&["new rate limit set successfully"]);
    ask(&["inspect", "registered"]).said(&["tasks.add [rate_limit=5/s]"]);
    let failed = ask(&["control", "rate_limit", "no.such.task", "5/s"]);
    failed.refused(1, &["error: w1@lab: unknown task"]);
    let sent = umbel(here, &["call", "tasks.sleep", "600.0"]);
    let id = sent.text.trim();
    eventually("it runs", SOON, || {
        let shown = ask(&["inspect", "active"]).text;
        if shown.contains(id) && shown.contains("600.0") { Ok(()) } else { Err(shown) }
    });
    ask(&["inspect", "query_task", id]).said(&[id, "active", "tasks.sleep"]);
    ask(&["control", "terminate", "TERM", id]).said(&["terminate"]);
    let json = ask(&["inspect", "ping", "-j"]).text;
    let told: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told, json!({ "w1@lab": { "ok": "pong" } }));
    umbel(here, &["inspect", "ping", "-d", "w2@lab", "-t", "0.2"])
        .refused(69, &["none of w2@lab replied"]);
    umbel(here, &["events"]).refused(1, &["has no events", "inspect active"]);
    ask(&["control", "shutdown"]).said(&["told to shutdown"]);
    worker.await_end(SOON);
}

#[track_caller]
fn check_purging(broker: &[&str]) {
    let folder = folder("queues = ['celery', 'pictures']\n");
    let run = |words: &[&str]| umbel(folder.path(), &[words, broker].concat());
    let fill = || {
        for queue in ["celery", "celery", "pictures", "other"] {
            for priority in ["0", "9"] {
                run(&["call", "tasks.add", "1", "2", "-q", queue, "--priority", priority])
                    .said(&[]);
            }
        }
    };
    fill();
    run(&["purge", "-f"]).said(&["celery    4\n", "pictures  2\n", "6 messages removed"]);
    run(&["purge", "-f"]).said(&["0 messages removed"]);
    fill();
    run(&["purge", "--force", "-X", "pictures"]).said(&["4 messages removed"]);
    let json = run(&["purge", "-f", "-Q", "other,pictures,nowhere", "--json"]);
    let told: Value = serde_json::from_str(&json.text).expect("JSON");
    let queues = json!({ "other": 4, "pictures": 2, "nowhere": 0 });
    assert_eq!(told, json!({ "purged": 6, "queues": queues }));
    fill();
    let asked = command(folder.path(), &[&["purge"], broker].concat());
    let question = ["4  celery", "2  pictures", "Remove 6 messages?"];
    let kept = play(&asked, &[Step::see(&question).press("n\n")]);
    assert_eq!(kept.exit, 1);
    assert!(kept.screens.concat().contains("nothing was removed"), "{kept:?}");
    let removed = play(&asked, &[Step::see(&question).press("y\n")]);
    assert_eq!(removed.exit, 0);
    assert!(removed.screens.concat().contains("6 messages removed"), "{removed:?}");
}

#[test]
fn queues_of_the_embedded_broker_are_purged() {
    check_purging(&[]);
}

#[test]
fn queues_on_redis_are_purged() {
    let server = RedisServer::start();
    check_purging(&["-b", &server.url(0)]);
}

#[test]
fn queues_on_rabbitmq_are_purged() {
    let server = RabbitMq::shared();
    check_purging(&["-b", &server.url(&server.fresh_vhost())]);
}
