//! Two beats, the leading one killed again and again: each run is sent, none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use umbel_harness::eventually::eventually;
use umbel_harness::process::Process;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker;
use umbel_protocol::message::{Message, RawMessage};
use umbel_system_tests::client::Client;

use crate::plan::{LONG, Plan};

/// Runs of all entries together, at least.
const RUNS: usize = 200;
const KILLS: usize = 20;

/// All are due at the same moment, so that a leader has work on its hands when it is killed.
const ENTRIES: usize = 10;

#[test]
fn redis_gets_each_run_once_while_its_beats_are_killed() {
    let server = RedisServer::start();
    let scene = Scene::set(&server.url(0), &server.url(0));
    let sent = scene.run(RUNS, KILLS);
    assert_eq!(sent.messages, sent.noted, "messages and runs that were noted");
    assert_eq!(sent.ids, sent.noted, "none was sent twice");
}

#[test]
fn sqlite_gets_each_run_once_while_its_beats_are_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let url = format!("sqlite://{}", folder.path().join("umbel.db").display());
    let sent = Scene::set(&url, &url).run(RUNS, KILLS);
    assert_eq!(sent.messages, sent.noted, "messages and runs that were noted");
    assert_eq!(sent.ids, sent.noted, "none was sent twice");
}

#[test]
fn rabbitmq_misses_no_run_and_gets_what_comes_again_under_its_id() {
    let (node, server) = (RabbitMq::shared(), RedisServer::start());
    let scene = Scene::set(&node.url(&node.fresh_vhost()), &server.url(0));
    let sent = scene.run(RUNS / 4, KILLS / 4);
    assert_eq!(sent.ids, sent.noted, "each run that was noted has its id");
}

/// What came of it.
struct Sent {
    /// Runs that were noted, of all entries.
    noted: usize,
    messages: usize,
    ids: usize,
}

struct Scene {
    folder: TempDir,
    broker: String,
    results: String,
}

impl Scene {
    fn set(broker: &str, results: &str) -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let entry = |number| {
            format!(
                "[beat.entry-{number}]\ntask = 'tasks.add'\nschedule = {{ every = '2s' }}\n\
                 args = [{number}, 1]\nqueue = 'scheduled'\n"
            )
        };
        let toml: String = (0..ENTRIES).map(entry).collect();
        std::fs::write(folder.path().join("umbel.toml"), toml).expect("it is writable");
        Scene { folder, broker: broker.to_owned(), results: results.to_owned() }
    }

    /// Kills the leader that often while so many runs are sent.
    fn run(&self, runs: usize, kills: usize) -> Sent {
        let mut plan = Plan::draw();
        let mut beats = [self.start(), self.start()];
        for (number, moment) in plan.moments(kills, runs).into_iter().enumerate() {
            let leader = self.await_sends(&beats, moment);
            if number % 2 == 0 {
                await_burst(&beats[leader]);
            }
            plan.pause();
            beats[leader].kill();
            beats[leader] = self.start();
        }
        self.await_sends(&beats, runs);
        for beat in &mut beats {
            beat.signal(rustix::process::Signal::TERM);
            assert!(beat.await_end(LONG).success(), "it stops:\n{}", beat.log());
        }
        self.count()
    }

    fn start(&self) -> Process {
        let mut command = self.command();
        command.args(["--beat-lease", "1s"]);
        Process::start("umbel beat", command)
    }

    fn command(&self) -> std::process::Command {
        let mut command = worker::command("beat");
        command.current_dir(self.folder.path());
        command.args(["--broker", &self.broker]);
        command.env("UMBEL_RESULT_BACKEND", &self.results);
        command
    }

    /// Waits until so many runs are noted; gives who leads.
    fn await_sends(&self, beats: &[Process; 2], runs: usize) -> usize {
        let what = format!("{runs} runs are noted and somebody leads");
        eventually(&what, LONG, || {
            let noted: usize = self.noted().values().sum();
            let leader = beats.iter().position(leads);
            match leader {
                Some(leader) if noted >= runs => Ok(leader),
                leader => Err(format!("{noted} are noted, {leader:?} leads")),
            }
        })
    }

    /// How often each entry has run, as the command line tells.
    fn noted(&self) -> BTreeMap<String, usize> {
        let output = self.command().args(["--list", "--json"]).output().expect("it starts");
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let count = |row: &serde_json::Value| {
            let name = row["name"].as_str()?.to_owned();
            Some((name, usize::try_from(row["runs"].as_u64()?).ok()?))
        };
        rows.iter().filter_map(count).collect()
    }

    fn count(&self) -> Sent {
        let noted: usize = self.noted().values().sum();
        let taken = Client::of(&self.broker, &self.results).take_all("scheduled", noted);
        let id = |raw: &RawMessage| Message::decode(raw).expect("a task's message").id;
        let ids: BTreeSet<_> = taken.iter().map(id).collect();
        Sent { noted, messages: taken.len(), ids: ids.len() }
    }
}

/// Waits until it sends again, or has the lead no more; looks without a rest, for it takes
/// milliseconds.
fn await_burst(beat: &Process) {
    let sends = || beat.log().matches("Sending due task").count();
    let (before, end) = (sends(), Instant::now() + LONG);
    while sends() == before && leads(beat) && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Whether it has the lead, as far as its log tells.
fn leads(beat: &Process) -> bool {
    let log = beat.log();
    let last = log.lines().rfind(|line| {
        ["beat: leading", "another one leads", "lead was lost"].iter().any(|say| line.contains(say))
    });
    last.is_some_and(|line| line.contains("beat: leading"))
}
