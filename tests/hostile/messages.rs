//! What any client can publish, on every broker: nothing stops the worker, nothing vanishes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, failure, url};
use umbel_system_tests::messages::{BadMessage, MESSAGES, Trace};
use umbel_value::Value;

const MEBIBYTE: u64 = 1 << 20;

/// A broker with a worker on it.
struct Stage {
    client: Client,
    umbel: RefCell<Umbel>,
    /// What is put aside can be listed.
    keeps_letters: bool,
}

impl Stage {
    fn set(broker: &str, results: &str) -> Stage {
        let worker = Worker::on(broker).results(results).plugin("tasks", paths::plugin("tasks"));
        let umbel = RefCell::new(worker.start());
        let client = Client::of(broker, results);
        Stage { client, umbel, keeps_letters: !broker.starts_with("amqp") }
    }

    fn log(&self) -> String {
        self.umbel.borrow().process.log()
    }
}

#[test]
fn bad_messages_on_sqlite_leave_a_trace_and_stop_nobody() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = url(&folder.path().join("queue.db"));
    check(&Stage::set(&file, &file));
}

#[test]
fn bad_messages_on_redis_leave_a_trace_and_stop_nobody() {
    let server = RedisServer::start();
    check(&Stage::set(&server.url(0), &server.url(1)));
}

#[test]
fn bad_messages_on_rabbitmq_leave_a_trace_and_stop_nobody() {
    let (server, results) = (RabbitMq::shared(), RedisServer::start());
    check(&Stage::set(&server.url(&server.fresh_vhost()), &results.url(1)));
}

fn check(stage: &Stage) {
    let mut sent: BTreeMap<String, &BadMessage> = BTreeMap::new();
    let mut refused = 0;
    for (number, bad) in MESSAGES.iter().enumerate() {
        let id = format!("bad-message-{number:03}");
        // What the broker itself will not carry (headers beyond AMQP's frame) is the sender's error.
        if stage.client.publish(&(bad.make)(&id)).is_err() {
            continue;
        }
        refused += usize::from(bad.trace == Trace::Refused);
        sent.insert(id, bad);
    }
    assert!(sent.len() + 3 >= MESSAGES.len(), "{} of {} sent", sent.len(), MESSAGES.len());
    let sum = stage.client.call("tasks.add", "[2, 3]");
    assert_eq!(sum.result.as_u64(), Some(5), "the worker goes on: {sum:?}");

    let mut wrong = Vec::new();
    for (id, bad) in &sent {
        match bad.trace {
            Trace::Answered => {
                stage.client.wait(id, PATIENCE);
            }
            Trace::Waits => await_line(stage, &format!("[{id}] received")),
            Trace::Refused => {}
        }
        if let (Trace::Refused | Trace::Waits, Some(record)) = (bad.trace, stage.client.get(id)) {
            wrong.push(format!("{}: {record:?}", bad.tries));
        }
    }
    let told = |log: &str| {
        log.matches("Discarded a message").count()
            + log.matches("discarded unknown message").count()
    };
    eventually("each refusal is in the log", PATIENCE, || match told(&stage.log()) {
        lines if lines >= refused => Ok(()),
        lines => Err(format!("{lines} lines for {refused} messages")),
    });
    if stage.keeps_letters {
        wrong.extend(missing_letters(stage, &sent));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = stage.log();
    assert!(!log.lines().any(|line| line.starts_with("[2030-01-01")), "a forged line:\n{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert!(stage.umbel.borrow_mut().stop().success());
    assert!(!stage.log().contains(" left running"));
}

fn await_line(stage: &Stage, line: &str) {
    eventually("the log tells", PATIENCE, || match stage.log().contains(line) {
        true => Ok(()),
        false => Err(format!("no line with `{line}`")),
    });
}

/// Refused messages that are no dead letters.
fn missing_letters(stage: &Stage, sent: &BTreeMap<String, &BadMessage>) -> Vec<String> {
    let refused = sent.iter().filter(|(_, bad)| bad.trace == Trace::Refused);
    let wanted: Vec<_> = refused.map(|(id, bad)| (bad.tries, (bad.make)(id))).collect();
    let letters = eventually("the dead letters are there", PATIENCE, || {
        let letters = stage.client.dead_letters();
        match letters.len() >= wanted.len() {
            true => Ok(letters),
            false => Err(format!("{} of {}", letters.len(), wanted.len())),
        }
    });
    let lost = wanted.iter().filter(|(_, raw)| {
        !letters.iter().any(|letter| letter.message.body == raw.body && !letter.reason.is_empty())
    });
    lost.map(|(tries, _)| format!("{tries}: no dead letter")).collect()
}

#[test]
fn what_a_caller_is_told_names_the_mistake() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = url(&folder.path().join("queue.db"));
    let stage = Stage::set(&file, &file);
    for bad in MESSAGES.iter().filter(|bad| bad.trace == Trace::Answered) {
        let id = format!("told-{}", bad.tries.replace(' ', "-"));
        stage.client.publish(&(bad.make)(&id)).expect("the file takes messages");
        let record = stage.client.wait(&id, PATIENCE);
        if record.state != State::Success {
            let raised = failure(&record);
            assert!(!raised.kind.is_empty() && !raised.to_string().is_empty(), "{raised}");
            assert!(record.to_json().len() < 100_000, "{}: a short complaint", bad.tries);
        }
    }
}

/// Names that nobody has are no keys of anything that stays.
#[test]
fn five_thousand_unknown_names_and_stamps_leave_nothing() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = url(&folder.path().join("queue.db"));
    let stage = Stage::set(&file, &file);
    let flood = |round: usize| {
        let ids: Vec<String> = (0..2500)
            .flat_map(|n| {
                stage.client.send_all(&format!("nobody{round}.task{n}"), [vec![]].into_iter())
            })
            .collect();
        for id in ids {
            assert_eq!(failure(&stage.client.wait(&id, PATIENCE)).kind, "NotRegistered");
        }
    };
    flood(0);
    let before = stage.umbel.borrow().process.usage().resident;
    flood(1);
    eventually("the memory comes back", PATIENCE, || {
        let now = stage.umbel.borrow().process.usage().resident;
        let grown = now.saturating_sub(before) / MEBIBYTE;
        if grown < 16 { Ok(()) } else { Err(format!("{grown} MiB more than before")) }
    });
    let sum = stage.client.call("tasks.add", "[2, 3]");
    assert_eq!(sum.result, Value::Int(5));
}
