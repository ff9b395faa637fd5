//! A broker that can be killed, a result store, and somebody who sends and counts.

use std::ops::Range;
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::paths;
use umbel_harness::python::Peer;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, url};
use umbel_value::Value;

/// How long a dead worker's messages stay its own.
const LEASE: &str = "visibility_timeout=2";

/// What the tests need of a broker with its results.
pub(crate) trait Fleet {
    /// Sends `tasks.add(i, 1)` for every number up to `count`; returns when the broker has them safe.
    fn send(&mut self, count: usize);
    /// A worker to be started.
    fn worker(&self) -> Worker;
    /// Whether any of these messages has its result.
    fn any_done(&mut self, numbers: Range<usize>) -> bool;
    /// How many have no result.
    fn missing(&mut self) -> usize;
    /// How many results are not the sum.
    fn wrong(&mut self) -> usize;
    /// Whether nothing is left in the queue.
    fn is_empty(&mut self) -> bool;
    /// Kills the broker without notice.
    fn kill_broker(&mut self) {
        panic!("this broker is no process");
    }
    /// Starts it again.
    fn start_broker(&mut self) {}
}

fn worker(broker: &str, results: &str) -> Worker {
    Worker::on(broker).results(results).plugin("tasks", paths::plugin("tasks"))
}

/// The embedded broker: one file.
pub(crate) struct Sqlite {
    folder: TempDir,
    client: Client,
    ids: Vec<String>,
}

impl Sqlite {
    pub(crate) fn open() -> Sqlite {
        let folder = TempDir::with_prefix("umbel-chaos-").expect("a temporary folder");
        let client = Client::open(&folder.path().join("queue.db"));
        Sqlite { folder, client, ids: vec![] }
    }
}

impl Fleet for Sqlite {
    fn send(&mut self, count: usize) {
        let sums = (0..count as u64).map(|number| vec![Value::from(number), Value::from(1_u64)]);
        self.ids = self.client.send_all("tasks.add", sums);
    }

    fn worker(&self) -> Worker {
        let file = url(&self.folder.path().join("queue.db"));
        worker(&format!("{file}?{LEASE}"), &file)
    }

    fn any_done(&mut self, numbers: Range<usize>) -> bool {
        // A few will do: each is a transaction of its own.
        numbers.step_by(50).any(|number| self.client.get(&self.ids[number]).is_some())
    }

    fn missing(&mut self) -> usize {
        self.ids.iter().filter(|id| self.client.get(id).is_none()).count()
    }

    fn wrong(&mut self) -> usize {
        let wrong = |(number, id): (usize, &String)| {
            let record = self.client.get(id)?;
            let right = record.state == State::Success
                && record.result.as_u64() == u64::try_from(number + 1).ok();
            (!right).then_some(())
        };
        self.ids.iter().enumerate().filter_map(wrong).count()
    }

    fn is_empty(&mut self) -> bool {
        self.client.is_empty()
    }
}

/// A Python client that sends, and looks at the results in Redis.
struct Python {
    peer: Peer,
}

const HELPERS: &str = "
results = app.backend.client
ids = []

# Nobody subscribes to the results: they are looked up.
app.backend.on_task_call = lambda *args, **kwargs: None

def send(count):
    with app.connection_for_write() as connection:
        channel = connection.channel()
        unconfirmed = set()
        if connection.transport.driver_type == 'amqp':
            # What is not confirmed is not on the disk.
            channel.confirm_select()
            unconfirmed.update(range(1, count + 1))
            channel.events['basic_ack'].add(lambda tag, multiple: unconfirmed.difference_update(
                range(1, tag + 1) if multiple else [tag]))
        producer = app.amqp.Producer(channel)
        for number in range(count):
            ids.append(app.send_task('tasks.add', (number, 1), producer=producer).id)
        while unconfirmed:
            connection.drain_events(timeout=60)

def records(numbers):
    found = results.mget([app.backend.get_key_for_task(ids[number]) for number in numbers])
    return [record and json.loads(record) for record in found]

def wrong():
    pairs = zip(range(len(ids)), records(range(len(ids))))
    return sum(r['status'] != 'SUCCESS' or r['result'] != number + 1 for number, r in pairs)
";

impl Python {
    /// `results` must be a Redis.
    fn connect(broker: &str, results: &str) -> Python {
        let mut peer = Peer::connect(broker, results);
        peer.exec(HELPERS);
        Python { peer }
    }

    fn send(&mut self, count: usize) {
        self.peer.exec_within(&format!("send({count})"), Duration::from_secs(180));
    }

    fn any_done(&mut self, numbers: Range<usize>) -> bool {
        let code = format!("any(records(range({}, {})))", numbers.start, numbers.end);
        self.peer.eval(&code) == true
    }

    fn number(&mut self, code: &str) -> usize {
        let number = self.peer.eval(code).as_u64().expect("the helper gives a number");
        usize::try_from(number).expect("small")
    }

    fn missing(&mut self) -> usize {
        self.number("records(range(len(ids))).count(None)")
    }

    fn wrong(&mut self) -> usize {
        self.number("wrong()")
    }

    fn waiting(&mut self) -> usize {
        self.number("waiting()")
    }
}

/// Redis as broker and result store, every write on disk before it is answered.
pub(crate) struct Kept {
    server: RedisServer,
    python: Python,
}

impl Kept {
    pub(crate) fn open() -> Kept {
        let server = RedisServer::durable();
        let python = Python::connect(&server.url(0), &server.url(0));
        Kept { server, python }
    }
}

impl Fleet for Kept {
    fn send(&mut self, count: usize) {
        self.python.send(count);
    }

    fn worker(&self) -> Worker {
        let url = self.server.url(0);
        worker(&format!("{url}?{LEASE}"), &url)
    }

    fn any_done(&mut self, numbers: Range<usize>) -> bool {
        self.python.any_done(numbers)
    }

    fn missing(&mut self) -> usize {
        self.python.missing()
    }

    fn wrong(&mut self) -> usize {
        self.python.wrong()
    }

    fn is_empty(&mut self) -> bool {
        self.python.waiting() == 0
    }

    fn kill_broker(&mut self) {
        self.server.kill();
    }

    fn start_broker(&mut self) {
        self.server.restart();
    }
}

/// RabbitMQ with Celery's durable queue; results in a Redis that nobody kills.
pub(crate) struct Amqp {
    server: RabbitMq,
    results: RedisServer,
    python: Python,
}

impl Amqp {
    pub(crate) fn open() -> Amqp {
        // Its own node: it is going to be killed.
        let server = RabbitMq::start();
        let results = RedisServer::start();
        let python = Python::connect(&server.url("/"), &results.url(0));
        Amqp { server, results, python }
    }
}

impl Fleet for Amqp {
    fn send(&mut self, count: usize) {
        self.python.send(count);
    }

    fn worker(&self) -> Worker {
        worker(&self.server.url("/"), &self.results.url(0))
    }

    fn any_done(&mut self, numbers: Range<usize>) -> bool {
        self.python.any_done(numbers)
    }

    fn missing(&mut self) -> usize {
        self.python.missing()
    }

    fn wrong(&mut self) -> usize {
        self.python.wrong()
    }

    fn is_empty(&mut self) -> bool {
        self.python.waiting() == 0
    }

    fn kill_broker(&mut self) {
        self.server.kill();
    }

    fn start_broker(&mut self) {
        self.server.restart();
    }
}
