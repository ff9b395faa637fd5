//! The embedded default from the outside: a worker, `call` and `result` in one folder.

use std::time::Duration;

use rustix::process::Signal;
use umbel_harness::process::Process;

use crate::{SOON, command, folder, put, umbel};

pub(crate) fn worker(folder: &std::path::Path, more: &[&str]) -> Process {
    let mut words = vec!["worker"];
    words.extend(more);
    if rustix::process::geteuid().is_root() {
        words.push("--allow-root");
    }
    let mut worker = Process::start("umbel worker", command(folder, &words));
    worker.await_log("ready.", SOON);
    worker
}

#[test]
fn a_call_is_answered_by_the_worker_of_the_same_folder() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let here = folder.path();
    let mut worker = worker(here, &["-n", "w1@%h", "--pidfile", "%n.pid"]);
    let log = worker.log();
    for part in [
        " -------------- w1@",
        "(umbel)",
        ".> transport:   sqlite://umbel.db",
        ".> results:     sqlite://umbel.db",
        ".> concurrency: 64 (wasm)",
        ".> celery           exchange=celery(direct) key=celery",
        "  . tasks.add(x: int, y: int) -> int",
        "5m 256MiB",
        ": INFO/MainProcess] w1@",
    ] {
        assert!(log.contains(part), "no `{part}` in:\n{log}");
    }
    let pid = std::fs::read_to_string(here.join("w1.pid")).expect("a pidfile");
    assert_eq!(pid.trim(), worker.pid().to_string());
    umbel(here, &["worker", "--allow-root", "-n", "w1@%h", "--pidfile", "%n.pid"])
        .refused(1, &["already exists", "running already?"]);

    umbel(here, &["call", "tasks.add", "2", "3", "--wait", "--timeout", "10s"]).said(&["5\n"]);
    umbel(here, &["call", "tasks.add", "[2, 3]", "--wait", "--timeout", "10s"]).said(&["5\n"]);
    umbel(here, &["call", "tasks.add", "-a", "[2]", "-k", "{\"y\": 4}", "-w", "--timeout", "10s"])
        .said(&["6\n"]);
    let failed = umbel(here, &["call", "tasks.fail", "no luck", "--wait", "--timeout", "10s"]);
    assert!(failed.text.contains("TaskError: no luck"), "{}", failed.text);
    assert_eq!(failed.code, 1);

    let sent = umbel(here, &["call", "tasks.add", "x=2", "y=40"]);
    let id = sent.text.trim();
    umbel(here, &["result", id, "--wait", "--timeout", "10s"]).said(&["42\n"]);
    umbel(here, &["result", id]).said(&["42\n"]);
    umbel(here, &["result", "no-such-id"]).refused(75, &["PENDING"]);
    umbel(here, &["call", "x.y", "-q", "nobody", "--wait", "--timeout", "300ms"])
        .refused(75, &["within 300ms"]);

    worker.signal(Signal::TERM);
    let status = worker.await_end(SOON);
    assert!(status.success(), "{status}\n{}", worker.log());
    assert!(worker.log().contains("worker: Warm shutdown"), "{}", worker.log());
    assert!(!here.join("w1.pid").exists());
}

#[test]
fn a_second_signal_cuts_running_tasks_off() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let mut worker = worker(folder.path(), &[]);
    umbel(folder.path(), &["call", "tasks.sleep", "60.0"]);
    worker.await_log("] received", SOON);
    worker.signal(Signal::INT);
    worker.await_log("Warm shutdown", SOON);
    worker.signal(Signal::INT);
    worker.await_end(Duration::from_secs(5));
    assert!(worker.log().contains("Cold shutdown"), "{}", worker.log());
}

#[test]
fn json_logs_are_one_object_a_line() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let mut worker = worker(folder.path(), &["--log-format", "json"]);
    umbel(folder.path(), &["call", "tasks.add", "1", "2", "--wait", "--timeout", "10s"]);
    worker.await_log("succeeded", SOON);
    worker.signal(Signal::TERM);
    worker.await_end(SOON);
    for line in worker.log().lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(object["level"].is_string() && object["message"].is_string(), "{line}");
    }
}

#[test]
fn a_worker_started_as_root_becomes_the_user_it_was_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nothing to become");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    };
    open(folder.path());
    let cache = folder.path().join("cache");
    let words = ["worker", "--uid", "65534", "--gid", "65534", "--cache"];
    let mut command = command(folder.path(), &words);
    command.arg(&cache);
    let mut worker = Process::start("umbel worker", command);
    worker.await_log("ready.", SOON);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("alive");
    let line = |name: &str| -> Vec<&str> {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of status");
        line.split_whitespace().skip(1).collect()
    };
    assert_eq!(line("Uid:"), ["65534"; 4]);
    assert_eq!(line("Gid:"), ["65534"; 4]);
    assert_eq!(line("Groups:"), ["65534"]);
    assert_eq!(line("NoNewPrivs:"), ["1"]);
    umbel(folder.path(), &["call", "tasks.add", "1", "2", "--wait", "--timeout", "10s"]);
    worker.await_log("succeeded", SOON);
}
