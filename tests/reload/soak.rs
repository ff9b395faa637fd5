//! All example plugins for a long time: memory and files stay what they were.

use std::fs;
use std::time::Duration;

use tokio::runtime::Runtime;
use umbel_harness::eventually::eventually;
use umbel_harness::paths;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{self, Umbel, Worker};
use umbel_protocol::message::Route;
use umbel_protocol::names::DEFAULT_QUEUE;
use umbel_system_tests::request::request;
use umbel_transport::broker::Broker;
use umbel_value::Value;

use crate::load::connect;

/// What worker and commands call the node.
const NODE: &str = "soak@lab";

/// Tasks on their way at once.
const CHUNK: u64 = 1000;

/// So many tasks are the start, whose memory the end is compared with.
const START: u64 = 100_000;

/// So many tasks of a large guest fill every slot: each keeps a bounded part of what it last held.
const FILLING: u64 = 1000;

/// Looks of which the middle one counts: which slots hold a large guest's pages differs from one to the next.
const LOOKS: usize = 21;

#[test]
#[expect(clippy::print_stderr, reason = "what was measured is of interest beside what is asserted")]
fn a_long_run_over_all_plugins_keeps_memory_and_files_as_they_were() {
    let all = paths::amount("UMBEL_SOAK", 2000).max(2 * CHUNK);
    let start = START.min(all / 2);
    let redis = RedisServer::start();
    let worker = Worker::on(&redis.url(0)).results(&redis.url(0));
    let worker =
        worker.config("[results]\nexpires = \"10s\"\n[plugins.rogue.limits]\ntime = \"1s\"");
    // It writes nothing, not even that it is ready.
    let worker = worker.args(&["--hostname", NODE, "--loglevel", "critical"]).spawn();
    let runtime = Runtime::new().expect("a runtime can be made");
    let broker = runtime.block_on(connect(&redis.url(0)));
    let (mut sent, mut early, mut looks) = (FILLING, None, Vec::new());
    let large = (0..FILLING).map(|_| ("text.to_html", vec![Value::from("# A title")]));
    runtime.block_on(send(&*broker, large));
    while sent < all {
        let chunk = (sent..sent + CHUNK).map(call);
        runtime.block_on(send(&*broker, chunk));
        sent += CHUNK;
        eventually("a thousand tasks end", Duration::from_secs(300), || {
            let ended = ended(&redis.url(0));
            if ended >= sent { Ok(()) } else { Err(format!("{ended} of {sent}")) }
        });
        looks.push(look(&worker));
        if early.is_none() && sent >= start {
            early = Some((sent, middle(&looks)));
        }
    }
    let (early, late) = (early.expect("it had a start"), middle(&looks));
    eprintln!(
        "resident KiB and open files: {:?} after {} tasks, {late:?} after {sent}",
        early.1, early.0
    );
    assert!(late.1 <= early.1.1 + 2, "files stay open: {early:?} became {late:?}");
    if all > 2 * START {
        assert!(late.0 * 100 <= early.1.0 * 105, "memory grows: {early:?} became {late:?}");
    }
}

/// Mostly small things, now and then a large one, and every way to fail.
fn call(number: u64) -> (&'static str, Vec<Value>) {
    let table = "city,people\nA,1\nB,2\nC,3\n";
    match number % 200 {
        0 => ("text.to_html", vec!["# A title\n\nSome *text* and `code`.".into()]),
        1 => ("data.summarize", vec![table.into()]),
        2 => ("images.info", vec!["no picture at all".into()]),
        3 => ("rogue.recurse", vec![]),
        4 => ("tasks.fail", vec!["as it should".into()]),
        5 => ("tasks.nothing_of_the_kind", vec![]),
        6..20 => ("tasks.primes", vec![1000_u64.into()]),
        20..60 => ("text.count", vec!["one two three".into()]),
        60..100 => ("tasks.echo", vec![Value::from([("number", number.into())])]),
        _ => ("tasks.add", vec![number.into(), 1_u64.into()]),
    }
}

async fn send(broker: &dyn Broker, calls: impl Iterator<Item = (&'static str, Vec<Value>)>) {
    let route = Route::queue(DEFAULT_QUEUE);
    for (task, args) in calls {
        let message = request(task, args).encode();
        broker.publish(&route, &message).await.expect("Redis takes messages");
    }
}

/// How many runs the worker counts, and those that nobody knows.
fn ended(broker: &str) -> u64 {
    let args = ["--broker", broker, "--running", "--json", "-d", NODE, "--timeout", "60s"];
    let output = worker::run("tasks", &args);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let plugins = said[NODE]["plugins"].as_array().cloned().unwrap_or_default();
    let tasks = plugins.iter().flat_map(|plugin| plugin["tasks"].as_array()).flatten();
    let runs: u64 = tasks.filter_map(|task| task["runs"].as_u64()).sum();
    // One of each two hundred is of no plugin.
    runs + runs.div_ceil(199)
}

/// The middle one of the last looks, and the most files of them.
fn middle(looks: &[(u64, usize)]) -> (u64, usize) {
    let mut last = looks[looks.len().saturating_sub(LOOKS)..].to_vec();
    last.sort_unstable();
    let files = last.iter().map(|(_, files)| *files).max();
    (last[last.len() / 2].0, files.unwrap_or(0))
}

/// Resident KiB and open files.
fn look(worker: &Umbel) -> (u64, usize) {
    let files = fs::read_dir(format!("/proc/{}/fd", worker.process.pid()));
    (worker.process.usage().resident >> 10, files.map_or(0, Iterator::count))
}
