//! A Python worker and Umbel on the same queue, canvases with steps on both sides, either of them
//! killed now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::python::Peer;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};

use crate::plan::{LONG, Plan};

const CHORDS: usize = 500;
const PARTS: usize = 10;
const CHAINS: usize = 500;
const STEPS: usize = 5;

/// Kills of each worker.
const KILLS: usize = 2;

/// Messages that a worker may hold when it dies.
const HELD: usize = 4;

/// Seconds before a dead worker's messages are taken for abandoned on Redis.
const LEASE: u32 = 10;

#[test]
fn redis_carries_chords_and_chains_of_a_mixed_fleet_through_its_deaths() {
    let server = RedisServer::durable();
    let url = server.url(0);
    fleet_survives(&url, &url, Some(Witness::start(&server)));
}

#[test]
fn rabbitmq_carries_chords_and_chains_of_a_mixed_fleet_through_its_deaths() {
    let (rabbit, redis) = (RabbitMq::shared(), RedisServer::durable());
    fleet_survives(&rabbit.url(&rabbit.fresh_vhost()), &redis.url(0), None);
}

/// What the client sends, and how it looks at the ends.
const CLIENT: &str = "
app.backend.on_task_call = lambda *args, **kwargs: None
add, xsum = app.signature('tasks.add'), app.signature('tasks.xsum')
bodies, ends = {}, {}

def send(number, parts, steps):
    body = chord([add.clone(args=(number, part)) for part in range(parts)])(xsum.clone())
    bodies[body.id] = ends[body.id] = number * parts + sum(range(parts))
    last = chain(add.clone(args=(number, 0)), *[add.clone(args=(1,)) for _ in range(steps - 1)]).apply_async()
    ends[last.id] = number + steps - 1

def records():
    keys = [app.backend.get_key_for_task(id) for id in ends]
    return {id: record and json.loads(record) for id, record in zip(ends, app.backend.client.mget(keys))}

def missing():
    return sum(record is None for record in records().values())

def wrong():
    return [record for id, record in records().items() if record and record['result'] != ends[id]]

def at_rest():
    if app.connection().transport.driver_type == 'redis':
        return waiting() + held() == 0
    return waiting() == 0

def without_result(ids):
    keys = [app.backend.get_key_for_task(id) for id in ids]
    return [id for id, record in zip(ids, app.backend.client.mget(keys)) if record is None]
";

fn fleet_survives(broker: &str, results: &str, witness: Option<Witness>) {
    // kombu pops a message and records it in a second command: killed in between, it has lost it.
    let by_celery = if witness.is_some() { KILLS } else { 0 };
    let mut plan = Plan::draw();
    let mut client = Peer::connect(broker, results);
    client.exec(CLIENT);
    let mut fleet = Fleet::start(broker, results);
    let code = format!("for number in range({CHORDS}): send(number, {PARTS}, {STEPS})");
    assert_eq!(CHORDS, CHAINS, "they are sent in pairs");
    client.exec_within(&code, LONG);
    let total = CHORDS + CHAINS;
    for (number, moment) in plan.moments(2 * KILLS, total).into_iter().enumerate() {
        eventually(&format!("{moment} of {total} have ended"), LONG, || {
            let missing = count(&mut client, "missing()");
            if missing <= total - moment { Ok(()) } else { Err(format!("{missing} are missing")) }
        });
        plan.pause();
        if number % 2 == 0 { fleet.kill_umbel() } else { fleet.kill_celery() }
    }
    let lost = eventually("every chord and chain has ended", LONG, || {
        let missing = count(&mut client, "missing()");
        let over = missing == 0 || (missing <= by_celery && client.eval("at_rest()") == true);
        if over { Ok(missing) } else { Err(format!("{missing} of {total} are missing")) }
    });
    assert_eq!(client.eval("wrong()"), serde_json::json!([]), "every value is right");
    let logs = fleet.stop();
    // The others it lost later: a chord that it had claimed, whose body it did not live to send.
    let popped = witness.filter(|_| lost > 0).map_or(0, |witness| {
        let popped = serde_json::to_string(&witness.popped()).expect("ids are text");
        let gone = client.eval(&format!("without_result({popped})"));
        gone.as_array().map_or(0, Vec::len)
    });
    let taken = serde_json::to_string(&logs.taken_by_umbel()).expect("ids are text");
    let unended = client.eval(&format!("without_result({taken})"));
    assert_eq!(unended, serde_json::json!([]), "what Umbel took has ended");
    report(&logs.runs(), &client.eval("list(bodies)"), (lost, popped));
}

fn count(client: &mut Peer, code: &str) -> usize {
    let number = client.eval(code).as_u64().expect("the helper gives a number");
    usize::try_from(number).expect("small")
}

/// Whatever ran twice was held by a worker when it died.
#[expect(clippy::print_stderr, reason = "how often something ran twice is to be reported")]
fn report(
    runs: &BTreeMap<String, usize>,
    bodies: &serde_json::Value,
    (lost, popped): (usize, usize),
) {
    let twice: Vec<&String> = runs.iter().filter(|(_, ran)| **ran > 1).map(|(id, _)| id).collect();
    let is_body =
        |id: &&&String| bodies.as_array().is_some_and(|all| all.iter().any(|b| b == **id));
    let twice_bodies = twice.iter().filter(is_body).count();
    eprintln!(
        "{} tasks ran, {} of them twice, {twice_bodies} of those bodies; {} workers died; \
         {lost} canvases lost by the Python worker, {popped} messages between its pop and its note",
        runs.len(),
        twice.len(),
        2 * KILLS,
    );
    let held = 2 * KILLS * HELD;
    assert!(twice.len() <= held, "more ran twice than dead workers held: {twice:?}");
}

/// Sees every command that a Redis server carries out.
struct Witness(Process);

impl Witness {
    fn start(server: &RedisServer) -> Witness {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &server.port().to_string(), "MONITOR"]);
        let mut process = Process::start("redis-cli", command);
        process.await_log("OK", PATIENCE);
        Witness(process)
    }

    /// Ids of the messages that were put into a queue and never recorded as taken after that.
    /// Umbel takes and records in one step, so it was not Umbel who popped them.
    fn popped(&self) -> BTreeSet<String> {
        let mut waiting = BTreeSet::new();
        for line in self.0.log().lines() {
            let Some(id) = written_id(line) else { continue };
            if line.contains(r#"] "LPUSH" "#) || line.contains(r#"] "RPUSH" "#) {
                waiting.insert(id.to_owned());
            } else if line.contains(r#"] "HSET" "unacked" "#)
                || line.contains(r#"] "HSETNX" "unacked" "#)
            {
                waiting.remove(id);
            }
        }
        waiting
    }
}

/// The header `id` of a message in a command, as the server shows it.
fn written_id(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(r#"\"id\":"#)?;
    let (_, id) = rest.split_once(r#"\""#)?;
    Some(id.split_once(r#"\""#)?.0)
}

/// Both workers, and what their predecessors wrote.
struct Fleet {
    broker: String,
    results: String,
    umbel: Umbel,
    celery: Process,
    logs: Logs,
}

/// What workers wrote in their lives.
#[derive(Default)]
struct Logs {
    umbel: String,
    celery: String,
}

impl Logs {
    fn taken_by_umbel(&self) -> Vec<&str> {
        ids(&self.umbel, "] received").collect()
    }

    /// How often each task ran to its end.
    fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for log in [&self.umbel, &self.celery] {
            for id in ids(log, "] succeeded in ") {
                *runs.entry(id.to_owned()).or_default() += 1;
            }
        }
        runs
    }
}

/// Ids of the tasks of which a log says this.
fn ids<'a>(log: &'a str, said: &'a str) -> impl Iterator<Item = &'a str> {
    let id = move |line: &'a str| Some(line.split_once(said)?.0.rsplit_once('[')?.1);
    log.lines().filter_map(id)
}

impl Fleet {
    fn start(broker: &str, results: &str) -> Fleet {
        let leased = if broker.starts_with("redis") {
            format!("{broker}?visibility_timeout={LEASE}")
        } else {
            broker.to_owned()
        };
        let umbel = Worker::on(&leased)
            .results(results)
            .plugin("tasks", paths::plugin("tasks"))
            .args(&["-c", "2", "--prefetch-multiplier", "1"])
            .start();
        let (broker, results) = (broker.to_owned(), results.to_owned());
        let celery = start_celery(&broker, &results, LEASE);
        Fleet { broker, results, umbel, celery, logs: Logs::default() }
    }

    fn kill_umbel(&mut self) {
        self.umbel.kill();
        self.logs.umbel += &self.umbel.process.log();
        self.umbel.start_again();
    }

    fn kill_celery(&mut self) {
        self.celery.kill();
        self.logs.celery += &self.celery.log();
        self.celery = start_celery(&self.broker, &self.results, LEASE);
    }

    /// Stops both; gives what all of them wrote.
    fn stop(mut self) -> Logs {
        assert!(self.umbel.stop().success(), "Umbel stops as usual");
        self.celery.signal(rustix::process::Signal::TERM);
        self.celery.await_end(PATIENCE);
        self.logs.umbel += &self.umbel.process.log();
        self.logs.celery += &self.celery.log();
        self.logs
    }
}

/// A Celery worker that takes messages for abandoned after `lease` seconds.
pub(crate) fn start_celery(broker: &str, results: &str, lease: u32) -> Process {
    let mut command = Command::new(paths::python());
    command
        .current_dir(paths::tests().join("chaos"))
        .env("PEER_BROKER", broker)
        .env("PEER_RESULTS", results)
        .env("PEER_LEASE", lease.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "celery", "-A", "fleet_tasks", "worker", "--loglevel", "INFO"])
        .args(["--concurrency", "2", "--without-gossip", "--without-mingle"]);
    let mut process = Process::start("celery worker", command);
    process.await_log("ready.", PATIENCE);
    process
}
