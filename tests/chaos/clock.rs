//! The wall clock jumps by an hour, back and ahead, under workers with all kinds of work in hand:
//! times that a message names are those of the new clock, times that pass are not touched, and
//! nothing is lost or done twice.

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use umbel_harness::clock::JumpingClock;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::redis::{RedisOptions, RedisServer};
use umbel_harness::worker::{Umbel, Worker};
use umbel_protocol::message::Message;
use umbel_protocol::record::State;
use umbel_protocol::time::Timestamp as WireTime;
use umbel_system_tests::client::url;
use umbel_system_tests::request::request;
use umbel_value::Value;

use crate::hops::Client;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Seconds, of a task that would take much longer; three leases.
const LIMIT: u64 = 6;

#[test]
fn redis_and_its_workers_come_through_jumps_of_their_clock() {
    let clock = JumpingClock::new();
    let variables = clock.variables().to_vec();
    let redis = RedisServer::with(RedisOptions { variables, ..RedisOptions::default() });
    let url = redis.url(0);
    come_through_jumps(&clock, &format!("{url}?visibility_timeout=2"), &url);
}

#[test]
fn workers_on_one_file_come_through_jumps_of_their_clock() {
    let clock = JumpingClock::new();
    let folder = TempDir::with_prefix("umbel-clock-").expect("a folder");
    let file = url(&folder.path().join("umbel.db"));
    come_through_jumps(&clock, &file, &file);
}

fn come_through_jumps(clock: &JumpingClock, broker: &str, results: &str) {
    let client = Client::open(broker, results);
    let worker = || {
        let worker = Worker::on(broker).results(results).plugin("tasks", paths::plugin("tasks"));
        // One waits in the worker, the others where they came from.
        let worker = worker.args(&["--hold-limit", "1", "-c", "4"]);
        clock.variables().iter().fold(worker, |worker, (name, value)| worker.variable(name, value))
    };
    let mut first = worker().start();
    let work = Work::send(&client);
    work.is_in_hand(&first);
    let mut second = worker().start();

    clock.jump_to(-HOUR);
    let stopped = client.wait(&work.limited, State::Failure);
    let text = stopped.0.to_json();
    assert!(text.contains("TimeLimitExceeded"), "the time limit ended it: {text}");
    let took = work.limit_took(&first);
    let limit = LIMIT as f64;
    assert!(took >= limit && took < 2.0 * limit, "a limit goes by the time that passes: {took}");
    for early in work.timed().chain([&work.stale]) {
        assert!(client.get(early).is_none(), "{early} ended before its time");
    }

    clock.jump_to(HOUR);
    client.wait(&work.running, State::Success);
    for due in work.due() {
        client.wait(due, State::Success);
    }
    client.wait(&work.stale, State::Revoked);
    assert!(client.get(&work.later).is_none(), "by neither clock has its time come");

    clock.jump_to(0);
    let fresh = request("tasks.add", vec![1.into(), 2.into()]);
    client.publish(&fresh);
    client.wait(&fresh.id, State::Success);
    for worker in [&mut first, &mut second] {
        assert!(worker.stop().success(), "it stops as usual");
    }
    assert!(client.get(&work.later).is_none(), "by neither clock has its time come");

    clock.jump_to(4 * HOUR);
    let mut third = worker().start();
    client.wait(&work.later, State::Success);
    assert!(third.stop().success(), "it stops as usual");
    work.check_runs(&[first, second, third]);
    client.close();
}

/// Ids of what was sent.
struct Work {
    /// Runs through both jumps.
    running: String,
    /// Is stopped by its time limit.
    limited: String,
    /// Due in some seconds: not before the clock that was set back has come there again.
    soon: String,
    /// Due after half an hour: held by the worker or kept by the broker.
    held: Vec<String>,
    /// Due and expired within the hour.
    stale: String,
    /// Due hours later.
    later: String,
}

impl Work {
    fn send(client: &Client) -> Work {
        let send = |message: Message| {
            client.publish(&message);
            message.id
        };
        let add = |eta: i64| {
            let eta = in_seconds(eta);
            Message { eta, ..request("tasks.add", vec![1.into(), 2.into()]) }
        };
        let lasting = |task: &str, seconds: f64| request(task, vec![Value::Float(seconds)]);
        let time_limit = Some(LIMIT as f64);
        Work {
            running: send(lasting("tasks.nap", 2.0 * LIMIT as f64)),
            limited: send(Message { time_limit, ..lasting("tasks.sleep", 60.0) }),
            soon: send(add(4)),
            held: (30..33).map(|minutes| send(add(minutes * MINUTE))).collect(),
            stale: send(Message { expires: in_seconds(45 * MINUTE), ..add(40 * MINUTE) }),
            later: send(add(3 * HOUR)),
        }
    }

    fn is_in_hand(&self, worker: &Umbel) {
        eventually("the worker has looked at everything", PATIENCE, || {
            let log = worker.process.log();
            let unseen = self.all().find(|id| !log.contains(&format!("[{id}] received")));
            unseen.map_or(Ok(()), |id| Err(format!("not at {id}")))
        });
    }

    /// How many seconds passed before the time limit, as the worker counted them.
    fn limit_took(&self, worker: &Umbel) -> f64 {
        let log = worker.process.log();
        let said = format!("[{}] raised after ", self.limited);
        let seconds = log.split_once(&said).and_then(|(_, rest)| rest.split_once("s:"));
        let seconds = seconds.and_then(|(seconds, _)| seconds.parse().ok());
        seconds.unwrap_or_else(|| panic!("the log does not say it: {log}"))
    }

    /// Whatever waits for an hour that is nearer than the jump ahead.
    fn due(&self) -> impl Iterator<Item = &String> {
        [&self.soon].into_iter().chain(&self.held)
    }

    fn timed(&self) -> impl Iterator<Item = &String> {
        self.due().chain([&self.later])
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.timed().chain([&self.running, &self.limited, &self.stale])
    }

    fn check_runs(&self, workers: &[Umbel]) {
        let log: String = workers.iter().map(|worker| worker.process.log()).collect();
        let count = |id: &str, said: &str| log.matches(&format!("[{id}] {said}")).count();
        for id in self.timed().chain([&self.running]) {
            assert_eq!(count(id, "succeeded in "), 1, "{id} ran once\n{log}");
        }
        assert_eq!(count(&self.stale, "succeeded in "), 0, "what is expired does not run\n{log}");
        for id in [&self.running, &self.limited] {
            assert_eq!(count(id, "received"), 1, "nobody took {id} for abandoned\n{log}");
        }
    }
}

fn in_seconds(seconds: i64) -> Option<WireTime> {
    Some(WireTime::new(Timestamp::now() + SignedDuration::from_secs(seconds)))
}

/// What a task ended with.
pub(crate) struct Ended(pub(crate) Value);

impl Client {
    /// Waits until a task has ended, as it should.
    #[track_caller]
    pub(crate) fn wait(&self, id: &str, state: State) -> Ended {
        eventually(&format!("{id} ends as {}", state.as_str()), PATIENCE, || {
            let record = self.get(id).ok_or("it has no result")?;
            match record.state == state {
                true => Ok(Ended(record.result)),
                false => Err(format!("{record:?}")),
            }
        })
    }
}
