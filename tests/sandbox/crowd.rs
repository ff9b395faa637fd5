//! Many sleeping tasks at once: they cost neither threads nor much memory.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, url};
use umbel_value::Value;

const SLEEPERS: usize = 1000;

#[test]
fn a_thousand_tasks_sleep_at_once() {
    let folder = TempDir::with_prefix("umbel-crowd-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let worker =
        Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks")).args(&["-c", "1000"]);
    let worker = worker.start();
    let client = Client::open(&file);

    let started = Instant::now();
    let calls = std::iter::repeat_n(vec![Value::Float(5.0)], SLEEPERS);
    let ids = client.send_all("tasks.sleep", calls);
    for id in &ids {
        let record = client.wait(id, Duration::from_secs(120));
        assert_eq!(record.state, State::Success, "{record:?}");
    }
    // How fast is the benchmark's business; one after the other they would sleep for 83 minutes,
    // a hundred at a time for 50 seconds.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(40), "they did not sleep at once: {took:?}");
    let peak = worker.process.usage().resident_peak >> 20;
    assert!(peak < 300, "{peak} MiB resident");
}
