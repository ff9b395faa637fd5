//! Messages that wait long: longer than a lease, and more of them than memory should hold.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::python::Peer;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;

use crate::mixed::start_celery;
use crate::plan::LONG;

/// Messages with an eta in an hour.
const MANY: usize = 200_000;

/// As many of them are sent by Celery's client; the others are copies with ids of their own, which
/// take seconds where Celery takes minutes.
const SENT: usize = 2_000;

/// What the worker may grow by meanwhile.
const GROWTH: u64 = 60 << 20;

/// Neither worker's sweep may take the messages for abandoned.
#[test]
fn a_task_held_three_leases_long_runs_once_beside_a_python_worker() {
    let redis = RedisServer::start();
    let url = redis.url(0);
    let leased = format!("{url}?visibility_timeout=5");
    let mut umbel =
        Worker::on(&leased).results(&url).plugin("tasks", paths::plugin("tasks")).start();
    let mut python = Peer::connect(&url, &url);
    python.exec("app.conf.broker_transport_options = {'visibility_timeout': 5}");
    // Sent first, so that Umbel has it before there is anybody else.
    python.exec("held = app.send_task('tasks.sleep', (0.1,), countdown=15)");
    python.exec("running = app.send_task('tasks.nap', (15,))");
    eventually("Umbel holds both", PATIENCE, || {
        match umbel.process.log().matches("received").count() {
            2 => Ok(()),
            other => Err(format!("{other} received")),
        }
    });
    let mut celery = start_celery(&url, &url, 5);
    let began = Instant::now();
    python.eval_within("held.get(timeout=60)", LONG);
    python.eval_within("running.get(timeout=60)", LONG);
    assert!(began.elapsed() >= Duration::from_secs(10), "it was held three leases long");
    assert!(umbel.stop().success());
    celery.signal(Signal::TERM);
    celery.await_end(PATIENCE);
    let log = umbel.process.log() + &celery.log();
    assert_eq!(log.matches("received").count(), 2, "each was taken once\n{log}");
    assert_eq!(log.matches("] succeeded in ").count(), 2, "each ran once\n{log}");
}

#[test]
fn two_hundred_thousand_messages_for_later_take_little_memory_and_survive_a_kill() {
    let redis = RedisServer::start();
    let url = redis.url(0);
    let mut python = Peer::connect(&url, &url);
    python.exec(HELPERS);
    python.exec_within(&format!("send({SENT})"), LONG);
    let mut worker = Worker::on(&format!("{url}?visibility_timeout=5"))
        .results(&url)
        .plugin("tasks", paths::plugin("tasks"))
        .start();
    let before = worker.process.usage().resident;
    for _ in 1..MANY / SENT {
        python.exec_within("copy()", LONG);
    }
    eventually("none of them waits in the queue", LONG, || {
        match number(&mut python, "waiting()") {
            0 => Ok(()),
            left => Err(format!("{left} are left in the queue")),
        }
    });
    let grown = worker.process.usage().resident.saturating_sub(before);
    assert!(grown < GROWTH, "the worker has grown by {} MiB", grown >> 20);
    worker.kill();
    assert_eq!(number(&mut python, "total()"), MANY, "none is lost");
    worker.start_again();
    worker.await_ready();
    eventually("another worker has them again", LONG, || match number(&mut python, "waiting()") {
        0 => Ok(()),
        left => Err(format!("{left} are left in the queue")),
    });
    assert_eq!(number(&mut python, "total()"), MANY, "none is lost, none doubled");
    assert!(worker.stop().success());
    assert_eq!(number(&mut python, "total()"), MANY, "and none runs before its time");
}

const HELPERS: &str = "
import re, redis, uuid

client = redis.Redis.from_url(app.conf.broker_url)
app.backend.on_task_call = lambda *args, **kwargs: None

def send(count):
    global sent
    eta = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection.channel())
        ids = [app.send_task('tasks.add', (n, 1), eta=eta, producer=producer).id for n in range(count)]
    sent = list(zip(ids, client.lrange('celery', 0, -1)[::-1]))

def copy():
    pipe = client.pipeline(transaction=False)
    for id, text in sent:
        text = text.replace(id.encode(), str(uuid.uuid4()).encode())
        tag = b'\"delivery_tag\": \"%s\"' % str(uuid.uuid4()).encode()
        pipe.lpush('celery', re.sub(rb'\"delivery_tag\": \"[^\"]*\"', tag, text))
    pipe.execute()

def total():
    return waiting() + held()
";

fn number(python: &mut Peer, code: &str) -> usize {
    let number = python.eval(code).as_u64().expect("the helper gives a number");
    usize::try_from(number).expect("small")
}
