//! A Python worker and Umbel on the same queue, canvases with steps on both sides, either of them
//! killed now and then.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::python::Peer;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};

use crate::plan::{LONG, Plan};
use crate::witness::{Canvas, Loss, PYTHON, Witness};

const CHORDS: usize = 500;
const PARTS: usize = 10;
const CHAINS: usize = 500;
const STEPS: usize = 5;

/// Every task and every body.
const TASKS: usize = CHORDS * (PARTS + 1) + CHAINS * STEPS;

/// How fast Umbel may go, so that there is work for both until the last of them was killed.
const RATE: &str = "[plugins.tasks]\ntasks.add = { rate-limit = \"150/s\" }";

/// Kills of each worker.
const KILLS: usize = 2;

/// Messages that a worker may hold when it dies.
const HELD: usize = 4;

/// Seconds before a dead worker's messages are taken for abandoned on Redis.
const LEASE: u32 = 10;

/// How long nothing may wait or be held before what has not ended is taken for lost.
const AT_REST: Duration = Duration::from_secs(5);

#[test]
fn redis_carries_chords_and_chains_of_a_mixed_fleet_through_its_deaths() {
    let redis = RedisServer::durable();
    let at_rest = |client: &mut Peer| client.eval("waiting() + held() == 0") == true;
    fleet_survives(&redis.url(0), &redis, at_rest);
}

#[test]
fn rabbitmq_carries_chords_and_chains_of_a_mixed_fleet_through_its_deaths() {
    let (rabbit, redis) = (RabbitMq::shared(), RedisServer::durable());
    let vhost = rabbit.fresh_vhost();
    let at_rest = |_: &mut Peer| rabbit.depth(&vhost, "celery") == (0, 0);
    fleet_survives(&rabbit.url(&vhost), &redis, at_rest);
}

/// What the client sends, and how it looks at the ends.
const CLIENT: &str = "
app.backend.on_task_call = lambda *args, **kwargs: None
add, xsum = app.signature('tasks.add'), app.signature('tasks.xsum')
ends, canvases = {}, []

def send(number, parts, steps):
    body = chord([add.clone(args=(number, part)) for part in range(parts)])(xsum.clone())
    ends[body.id] = number * parts + sum(range(parts))
    header = [task.id for task in body.parent.results]
    canvases.append({'tasks': header, 'end': body.id, 'group': body.parent.id})
    last = chain(add.clone(args=(number, 0)), *[add.clone(args=(1,)) for _ in range(steps - 1)]).apply_async()
    ends[last.id] = number + steps - 1
    tasks, step = [], last
    while step:
        tasks, step = [step.id] + tasks, step.parent
    canvases.append({'tasks': tasks, 'end': last.id, 'group': None})

def records():
    keys = [app.backend.get_key_for_task(id) for id in ends]
    return {id: record and json.loads(record) for id, record in zip(ends, app.backend.client.mget(keys))}

def missing():
    return sum(record is None for record in records().values())

def wrong():
    return [record for id, record in records().items() if record and record['result'] != ends[id]]

def lost():
    found = records()
    return [canvas for canvas in canvases if found[canvas['end']] is None]

def bodies():
    return [canvas['end'] for canvas in canvases if canvas['group']]
";

fn fleet_survives(broker: &str, redis: &RedisServer, at_rest: impl Fn(&mut Peer) -> bool) {
    let mut witness = Witness::start(redis);
    let results = redis.url(0);
    let mut plan = Plan::draw();
    let mut client = Peer::connect(broker, &results);
    client.exec(CLIENT);
    let code = format!("for number in range({CHORDS}): send(number, {PARTS}, {STEPS})");
    assert_eq!(CHORDS, CHAINS, "they are sent in pairs");
    client.exec_within(&code, LONG);
    let mut fleet = Fleet::start(broker, &results);
    for (number, moment) in plan.moments(2 * KILLS, TASKS).into_iter().enumerate() {
        eventually(&format!("about {moment} of {TASKS} tasks have ended"), LONG, || {
            // Most of what is there are results.
            let ended = redis.command_line(&["DBSIZE"]).parse().unwrap_or(0);
            if ended >= moment { Ok(()) } else { Err(format!("{ended} have")) }
        });
        plan.pause();
        if number % 2 == 0 { fleet.kill_umbel() } else { fleet.kill_celery() }
    }
    await_the_end(&mut client, at_rest);
    assert_eq!(client.eval("wrong()"), serde_json::json!([]), "every value is right");
    let logs = fleet.stop();
    let lost = client.eval("lost()").as_array().expect("a list").iter().map(Canvas::of).collect();
    let losses = pinned(&mut witness, lost);
    report(&logs, &client.eval("bodies()"), &losses);
}

/// Waits until every canvas has ended, or else nothing is left that could end one.
fn await_the_end(client: &mut Peer, at_rest: impl Fn(&mut Peer) -> bool) {
    let mut since = None;
    eventually("every chord and chain has ended", LONG, || {
        let missing = count(client, "missing()");
        since = at_rest(client).then(|| since.unwrap_or_else(Instant::now));
        let over = since.is_some_and(|since: Instant| since.elapsed() > AT_REST);
        if missing == 0 || over { Ok(()) } else { Err(format!("{missing} are missing")) }
    });
}

/// What Celery itself cannot keep when a worker of its own is killed may be lost: on Redis kombu
/// pops a message in one command and notes it in another; and a part of a chord that comes back from
/// a worker that died with the claim is acknowledged before that claim is over.
fn pinned(witness: &mut Witness<'_>, lost: Vec<Canvas>) -> Vec<Loss> {
    if lost.is_empty() {
        return vec![];
    }
    let history = witness.history();
    assert!(history.knows_both(), "the witness tells the workers apart");
    let losses: Vec<Loss> = lost.iter().map(|canvas| history.loss(canvas)).collect();
    let ours = lost.iter().zip(&losses).filter(|(_, loss)| !loss.is_pythons());
    let stories: Vec<String> =
        ours.map(|(canvas, loss)| format!("{loss:?}: {}", history.story(canvas))).collect();
    assert!(stories.is_empty(), "lost, and not by the Python worker:\n{}", stories.join("\n\n"));
    assert!(losses.len() <= KILLS * HELD, "more were lost than it held: {losses:?}");
    losses
}

fn count(client: &mut Peer, code: &str) -> usize {
    let number = client.eval(code).as_u64().expect("the helper gives a number");
    usize::try_from(number).expect("small")
}

/// Whatever ran twice was held by a worker when it died.
#[expect(clippy::print_stderr, reason = "how often something ran twice is to be reported")]
fn report(logs: &Logs, bodies: &serde_json::Value, losses: &[Loss]) {
    let runs = logs.runs();
    let [umbel, celery] = [&logs.umbel, &logs.celery].map(|log| ids(log, RAN).count());
    let twice: Vec<&String> = runs.iter().filter(|(_, ran)| **ran > 1).map(|(id, _)| id).collect();
    let is_body =
        |id: &&&String| bodies.as_array().is_some_and(|all| all.iter().any(|b| b == **id));
    let twice_bodies = twice.iter().filter(is_body).count();
    eprintln!(
        "{} tasks ran ({umbel} runs by Umbel, {celery} by Celery), {} of them twice, \
         {twice_bodies} of those bodies; {} workers died; {} canvases lost by the Python worker: {losses:?}",
        runs.len(),
        twice.len(),
        2 * KILLS,
        losses.len(),
    );
    assert!(umbel > 0 && celery > 0, "both sides work");
    let held = 2 * KILLS * HELD;
    assert!(twice.len() <= held, "more ran twice than dead workers held: {twice:?}");
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
    /// How often each task ran to its end.
    fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for log in [&self.umbel, &self.celery] {
            for id in ids(log, RAN) {
                *runs.entry(id.to_owned()).or_default() += 1;
            }
        }
        runs
    }
}

/// What a log says of a task that ran to its end.
const RAN: &str = "] succeeded in ";

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
            .config(RATE)
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
        .env("PEER_NAME", PYTHON)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "celery", "-A", "fleet_tasks", "worker", "--loglevel", "INFO"])
        .args(["--concurrency", "2", "--without-gossip", "--without-mingle"]);
    let mut process = Process::start("celery worker", command);
    process.await_log("ready.", PATIENCE);
    process
}
