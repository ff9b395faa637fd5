//! Runs that are to end while they are in a host call, one kind of call after the other.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::process::tail;
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, url};
use umbel_system_tests::guests::guest;

/// Every host call that a plugin without grants of its own can make.
const KINDS: &[&str] = &[
    "sleep",
    "nap",
    "clock",
    "random",
    "output",
    "errors",
    "input",
    "environment",
    "files",
    "network",
    "log",
    "progress",
    "context",
    "remaining",
    "submit",
];

/// Generous: what matters is that it is not the time limit of a minute.
const SOON: Duration = Duration::from_secs(10);

const CONFIG: &str = "[limits]\ntime = \"60s\"\n[tasks]\ntrack-started = true\n\
                      [plugins.lingers]\nallow = { submit = [\"nobody.*\"] }";

fn start(client: &Client, kind: &str) -> String {
    client.start("lingers.in_call", &format!("[\"{kind}\"]"))
}

#[test]
fn a_revoked_run_ends_at_once_in_whatever_call_it_is() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let umbel = Worker::on(&url(&file)).plugin("lingers", guest("lingers")).config(CONFIG).start();
    let client = Client::open(&file);
    for kind in KINDS {
        let id = start(&client, kind);
        let asked = Instant::now();
        client.terminate(&id);
        let record = client.wait(&id, PATIENCE);
        assert_eq!(record.state, State::Revoked, "{kind}: {record:?}");
        assert!(asked.elapsed() < SOON, "{kind}: {:?} after it was revoked", asked.elapsed());
    }
    // The last line may be on its way while the result is there already.
    eventually("each was terminated", PATIENCE, || {
        let log = umbel.process.log();
        match log.matches("Terminated revoked task: ").count() {
            count if count == KINDS.len() => Ok(()),
            count => Err(format!("{count}: {}", tail(&log, 20))),
        }
    });
}

#[test]
fn a_worker_that_is_cut_off_gives_every_run_back_in_whatever_call_it_is() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let worker = Worker::on(&url(&file)).plugin("lingers", guest("lingers"));
    let mut umbel = worker.plugin("tasks", paths::plugin("tasks")).config(CONFIG).start();
    let client = Client::open(&file);
    for kind in KINDS {
        start(&client, kind);
    }
    umbel.terminate();
    umbel.process.await_log("Warm shutdown", PATIENCE);
    let asked = Instant::now();
    umbel.terminate();
    umbel.process.await_end(PATIENCE);
    assert!(asked.elapsed() < SOON, "{:?} after it was cut off", asked.elapsed());
    let log = umbel.process.log();
    assert_eq!(log.matches(" returned to its queue").count(), KINDS.len(), "{log}");
    assert!(!client.is_empty(), "what it gave back is there");
}
