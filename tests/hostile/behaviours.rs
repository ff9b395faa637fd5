//! Every behaviour of the table in a real worker: how it ends, when, and what it leaves behind.

use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::worker::{Umbel, Worker};
use umbel_protocol::record::State;
use umbel_system_tests::behaviours::{BEHAVIOURS, Behaviour, Ends, TIME_LIMIT_MS, serve};
use umbel_system_tests::client::{Client, url};
use umbel_value::Value;

/// A machine that does other things as well may be so late. What it is on a quiet one, `make
/// hostile` measures.
const NOISE: Duration = Duration::from_millis(1500);

/// Sums that are sent beside each hostile task.
const SUMS: u64 = 5;

const MEBIBYTE: u64 = 1 << 20;

struct Stage {
    client: Client,
    umbel: Umbel,
    _folder: TempDir,
}

fn stage() -> Stage {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let umbel = serve(Worker::on(&url(&file))).start();
    Stage { client: Client::open(&file), umbel, _folder: folder }
}

#[test]
fn each_ends_as_it_should_within_its_limit_and_its_neighbours_go_on() {
    let stage = stage();
    let complaints: Vec<String> =
        BEHAVIOURS.iter().flat_map(|behaviour| complaints(&stage, behaviour)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complaints(stage: &Stage, behaviour: &Behaviour) -> Vec<String> {
    let mut complaints = Vec::new();
    let hostile = stage.client.send(&behaviour.task(), behaviour.args);
    let sums = (0..SUMS).map(|number| vec![Value::from(number), Value::from(1_u64)]);
    for (number, id) in (0..SUMS).zip(stage.client.send_all("tasks.add", sums)) {
        let record = stage.client.wait(&id, PATIENCE);
        if record.result.as_u64() != Some(number + 1) {
            complaints.push(format!("{}: a neighbour's sum: {record:?}", behaviour.tries));
        }
    }
    let record = stage.client.wait(&hostile, PATIENCE);
    complaints.extend(behaviour.complaint(&record));
    if behaviour.ends == Ends::AtItsTimeLimit {
        let limit = Duration::from_millis(TIME_LIMIT_MS.into());
        let wall = wall(&stage.umbel, &hostile);
        if wall < limit || wall > limit + NOISE {
            complaints.push(format!("{}: ended after {wall:?}", behaviour.tries));
        }
    }
    complaints
}

/// How long a failed run took, as the log has it.
fn wall(umbel: &Umbel, id: &str) -> Duration {
    eventually("the end is logged", PATIENCE, || {
        let log = umbel.process.log();
        let (_, rest) = log.split_once(&format!("[{id}] raised after ")).ok_or("no line")?;
        let seconds = rest.split('s').next().and_then(|number| number.parse().ok());
        seconds.map(Duration::from_secs_f64).ok_or_else(|| "no number".to_owned())
    })
}

/// All at once, three times: the first time makes what stays.
#[test]
fn memory_and_files_are_back_where_they_were() {
    let stage = stage();
    all_at_once(&stage.client);
    let before = stage.umbel.process.usage();
    all_at_once(&stage.client);
    all_at_once(&stage.client);
    eventually("memory and files come back", PATIENCE, || {
        let now = stage.umbel.process.usage();
        let grown = now.resident.saturating_sub(before.resident) / MEBIBYTE;
        let opened = now.files.saturating_sub(before.files);
        let threads = now.threads.saturating_sub(before.threads);
        match (grown < 48, opened, threads) {
            (true, 0, 0) => Ok(()),
            _ => Err(format!("{grown} MiB, {opened} files, {threads} threads more")),
        }
    });
}

fn all_at_once(client: &Client) {
    let sent: Vec<(&Behaviour, String)> =
        BEHAVIOURS.iter().map(|one| (one, client.send(&one.task(), one.args))).collect();
    for (behaviour, id) in sent {
        let record = client.wait(&id, PATIENCE);
        assert_eq!(behaviour.complaint(&record), None, "{record:?}");
    }
}

/// A guest that sleeps, in whatever steps, costs next to nothing.
#[test]
fn sleeping_keeps_no_thread_busy() {
    let stage = stage();
    stage.client.call("sleeps.forever", "[]");
    let before = stage.umbel.process.usage().cpu;
    for _ in 0..2 {
        let record = stage.client.call("sleeps.forever", "[]");
        assert_eq!(record.state, State::Failure, "{record:?}");
    }
    let spent = stage.umbel.process.usage().cpu.saturating_sub(before);
    assert!(spent < Duration::from_millis(500), "a second of sleep cost {spent:?}");
}
