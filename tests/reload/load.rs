//! A plugin that is replaced again and again, by good ones and by broken ones, while its tasks run as
//! fast as they can: nothing is lost, nothing runs twice, each message meets one version.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;
use umbel_protocol::message::Route;
use umbel_protocol::names::DEFAULT_QUEUE;
use umbel_protocol::record::State;
use umbel_system_tests::request::request;
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions};
use umbel_transport::broker::Broker;
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::ResultStore;

use crate::component::{component, put};
use crate::logged::{Done, Log};

/// Messages that wait in the queue at most: enough that the worker is never idle.
const AHEAD: u64 = 3000;

/// From one replacement to the next: time enough for a new version to serve.
const APART: Duration = Duration::from_millis(1200);

#[test]
fn redis_loses_and_doubles_nothing_while_a_plugin_is_swapped() {
    let redis = RedisServer::start();
    swap_under_load(&redis.url(0), &redis.url(1));
}

#[test]
fn rabbitmq_loses_and_doubles_nothing_while_a_plugin_is_swapped() {
    let (redis, rabbitmq) = (RedisServer::start(), RabbitMq::shared());
    swap_under_load(&rabbitmq.url(&rabbitmq.fresh_vhost()), &redis.url(1));
}

fn swap_under_load(broker: &str, results: &str) {
    let swaps = paths::amount("UMBEL_SWAPS", 6);
    let folder = TempDir::with_prefix("umbel-swaps-").expect("a temporary folder");
    let first = folder.path().join("life.wasm");
    fs::write(&first, component("version 0")).expect("a temporary folder is writable");
    let worker = Worker::on(broker).results(results).plugin("life", first);
    let worker = worker.args(&["--concurrency", "16", "--prefetch-multiplier", "4"]).start();
    let file = worker.home().join("plugins/life.wasm");
    let mut log = Log::of(worker.process.log_file());
    let load = Load::start(broker);

    // As long without a swap as with them, within reason: what the broker itself explains.
    let quiet = run_for(&mut log, &load, APART * u32::try_from(swaps / 2).unwrap_or(1));
    for swap in 1..=swaps {
        match swap % 2 {
            0 => put(&file, &component("broken")[..120]),
            _ => put(&file, &component(&format!("version {swap}"))),
        }
        let deadline = Instant::now() + PATIENCE;
        while log.swaps < swap.div_ceil(2) && Instant::now() < deadline {
            run_for(&mut log, &load, Duration::from_millis(20));
        }
        run_for(&mut log, &load, APART);
    }
    let sent = load.stop();
    eventually("every message ends", PATIENCE, || {
        log.read();
        let done = log.done.len();
        if done >= sent.len() { Ok(()) } else { Err(format!("{done} of {} ended", sent.len())) }
    });
    report(broker, swaps, &log.done, quiet);
    judge(&sent, &log.done, swaps);
    stored(results, &log.done);
}

/// Lets it run for a while; gives how many have ended by then.
fn run_for(log: &mut Log, load: &Load, time: Duration) -> usize {
    let until = Instant::now() + time;
    while Instant::now() < until {
        log.read();
        load.ended.store(log.done.len() as u64, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(10));
    }
    log.done.len()
}

/// Somebody who sends as fast as the worker runs.
struct Load {
    ended: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sending: thread::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(url: &str) -> Load {
        let (ended, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped, url) = (Arc::clone(&ended), Arc::clone(&stop), url.to_owned());
        let sending = thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime can be made");
            runtime.block_on(send(&url, &seen, &stopped))
        });
        Load { ended, stop, sending }
    }

    /// The ids of all that was sent.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.join().expect("sending does not fail")
    }
}

async fn send(url: &str, ended: &AtomicU64, stop: &AtomicBool) -> Vec<String> {
    let broker = connect(url).await;
    let route = Route::queue(DEFAULT_QUEUE);
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if sent.len() as u64 > ended.load(Ordering::Relaxed) + AHEAD {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let mut sending = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let message = request("life.version", Vec::new());
            let (broker, route, raw) = (Arc::clone(&broker), route.clone(), message.encode());
            sending.spawn(async move { broker.publish(&route, &raw).await });
            sent.push(message.id);
        }
        for published in sending.join_all().await {
            published.expect("the broker takes messages");
        }
    }
    broker.close().await;
    sent
}

pub(crate) async fn connect(url: &str) -> Arc<dyn Broker> {
    let address = Address::parse(url).expect("a good address");
    if url.starts_with("redis") {
        let broker = RedisBroker::connect(address, RedisOptions::default()).await;
        return Arc::new(broker.expect("Redis is there"));
    }
    let broker = AmqpBroker::connect(address, AmqpOptions::default()).await;
    Arc::new(broker.expect("RabbitMQ is there"))
}

/// Every message once, and each version with its own value alone.
fn judge(sent: &[String], done: &[Done], swaps: u64) {
    let wanted: HashSet<&str> = sent.iter().map(String::as_str).collect();
    let mut ended: HashSet<&str> = HashSet::new();
    let mut values: HashMap<&str, &str> = HashMap::new();
    for one in done {
        assert!(ended.insert(&one.id), "{} ran twice", one.id);
        let value = values.entry(&one.version).or_insert(&one.value);
        assert_eq!(*value, one.value, "{} has two values", one.version);
    }
    assert_eq!(ended, wanted);
    let good = swaps.div_ceil(2);
    assert_eq!(values.len() as u64, good + 1, "a version that served nobody: {values:?}");
    let last = format!("'version {}'", swaps - (swaps + 1) % 2);
    assert_eq!(done.last().map(|one| one.value.as_str()), Some(last.as_str()));
}

/// What is stored is what the log says.
fn stored(results: &str, done: &[Done]) {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let address = Address::parse(results).expect("a good address");
        let store = RedisStore::connect(address, StoreOptions::default()).await;
        let store = store.expect("Redis is there");
        for one in done.iter().step_by(1 + done.len() / 2000) {
            let record = store.get(&one.id).await.expect("Redis answers").expect("a result");
            assert_eq!(record.state, State::Success);
            assert_eq!(format!("'{}'", record.result.as_str().unwrap_or_default()), one.value);
        }
    });
}

#[expect(clippy::print_stderr, reason = "what was measured is of interest beside what is asserted")]
fn report(broker: &str, swaps: u64, done: &[Done], quiet: usize) {
    let broker = broker.split(':').next().unwrap_or_default();
    let (before, with) = done.split_at(quiet);
    for (what, done) in [("without", before), ("with", with)] {
        let pauses = Log::pauses(done);
        let seconds = match (done.first(), done.last()) {
            (Some(first), Some(last)) => (last.at - first.at) as f64 / 1000.0,
            _ => 0.0,
        };
        let long = pauses.iter().filter(|pause| **pause > 20).count();
        eprintln!(
            "{broker}, {what} swaps ({swaps}): {} tasks in {seconds:.1} s, {:.0} a second, {long} \
             pauses over 20 ms, the longest {:?} ms",
            done.len(),
            done.len() as f64 / seconds,
            &pauses[..pauses.len().min(5)],
        );
    }
}
