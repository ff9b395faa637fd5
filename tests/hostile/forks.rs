//! Tasks that send themselves.

use std::collections::HashSet;
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::worker::Worker;
use umbel_system_tests::client::{Client, url};
use umbel_system_tests::guests::guest;

/// Two of each are sent, three generations of them: 1 + 2 + 4 + 8.
const RUNS: usize = 15;

#[test]
fn a_fork_bomb_ends_after_its_generations() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let grant = "[plugins.forks]\nallow = { submit = [\"forks.*\"], submit-depth = 3 }";
    let umbel = Worker::on(&url(&file)).plugin("forks", guest("forks")).config(grant).start();
    let client = Client::open(&file);
    client.call("forks.bomb", "[]");
    let ended = || ends(&umbel.process.log());
    eventually("every generation has run", PATIENCE, || match ended().len() {
        RUNS.. => Ok(()),
        fewer => Err(format!("{fewer} runs")),
    });
    // Whoever is sent is received at once; a generation more would be here by then.
    assert!(client.is_empty(), "nothing waits");
    std::thread::yield_now();
    eventually("nothing runs any more", Duration::from_secs(5), || match ended().len() {
        RUNS => Ok(()),
        more => Err(format!("{more} runs")),
    });
}

fn ends(log: &str) -> HashSet<String> {
    let lines = log.lines().filter_map(|line| line.split_once("] succeeded in "));
    lines.filter_map(|(start, _)| start.rsplit('[').next()).map(str::to_owned).collect()
}
