//! The servers of a measurement, a queue that is filled beforehand, and somebody who watches.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Connection;
use tokio::runtime::Runtime;
use umbel_harness::process::Process;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::names::{DEFAULT_QUEUE, PRIORITY_STEPS, RESULT_PREFIX, UNACKED, queue_key};
use umbel_system_tests::request::request;
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions};
use umbel_transport::broker::Broker as Seam;
use umbel_transport::redis::{RedisBroker, RedisOptions};
use umbel_value::Value;

/// The two brokers that Celery and Umbel share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Redis,
    RabbitMq,
}

impl Broker {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Broker::Redis => "Redis",
            Broker::RabbitMq => "RabbitMQ",
        }
    }
}

/// A fresh Redis for results, and the broker.
pub(crate) struct Stage {
    broker: Broker,
    redis: RedisServer,
    rabbitmq: Option<RabbitMq>,
    pusher: Mutex<Option<Connection>>,
    pub(crate) runtime: Runtime,
}

/// How long nothing may change before a measurement is given up.
const STUCK: Duration = Duration::from_secs(60);

impl Stage {
    pub(crate) fn set(broker: Broker) -> Stage {
        let rabbitmq = (broker == Broker::RabbitMq).then(RabbitMq::start);
        let runtime = Runtime::new().expect("a runtime can be made");
        Stage { broker, redis: RedisServer::start(), rabbitmq, pusher: Mutex::default(), runtime }
    }

    pub(crate) fn broker_url(&self) -> String {
        match &self.rabbitmq {
            Some(server) => server.url("/"),
            None => self.redis.url(0),
        }
    }

    /// A database of their own, so that results can be counted.
    pub(crate) fn results_url(&self) -> String {
        self.redis.url(1)
    }

    /// A connection to the results.
    pub(crate) fn results(&self) -> Connection {
        let client = redis::Client::open(self.results_url()).expect("a Redis address");
        client.get_connection().expect("Redis is there")
    }

    /// Nothing in the queue, no results.
    pub(crate) fn clear(&self) {
        redis::cmd("FLUSHALL").query::<()>(&mut self.results()).expect("Redis answers");
        if let Some(server) = &self.rabbitmq {
            self.runtime.block_on(purge(&server.url("/")));
        }
    }

    /// Fills the queue with this many sums, each as a Python client would have sent it.
    pub(crate) fn fill(&self, count: usize) {
        self.send((0..count as u64).map(|number| {
            let args = vec![Value::from(number), Value::from(1_u64)];
            request("tasks.add", args).encode()
        }));
    }

    /// Sends messages to the default queue, many at a time.
    pub(crate) fn send(&self, messages: impl Iterator<Item = RawMessage>) {
        self.runtime.block_on(async {
            let broker = self.connect().await;
            publish_all(&broker, messages).await;
            broker.close().await;
        });
    }

    /// Sends sums at a steady rate for a while; gives how many.
    pub(crate) fn pace(&self, by_the_second: usize, during: Duration) -> usize {
        self.runtime.block_on(async {
            let broker = self.connect().await;
            let started = Instant::now();
            let mut sent = 0;
            while started.elapsed() < during {
                let due = (started.elapsed().as_secs_f64() * by_the_second as f64) as usize;
                let sums = (sent..due).map(|number| {
                    let args = vec![Value::from(number as u64), Value::from(1_u64)];
                    request("tasks.add", args).encode()
                });
                publish_all(&broker, sums).await;
                sent = due;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            broker.close().await;
            sent
        })
    }

    async fn connect(&self) -> Arc<dyn Seam> {
        let address = Address::parse(&self.broker_url()).expect("an address");
        match self.broker {
            Broker::Redis => {
                let options = RedisOptions::default();
                Arc::new(RedisBroker::connect(address, options).await.expect("Redis is there"))
            }
            Broker::RabbitMq => {
                let options = AmqpOptions::default();
                Arc::new(AmqpBroker::connect(address, options).await.expect("RabbitMQ is there"))
            }
        }
    }

    /// The process of the broker.
    pub(crate) fn broker_process(&self) -> &Process {
        match &self.rabbitmq {
            Some(server) => server.process(),
            None => self.redis.process(),
        }
    }

    /// A RabbitMQ that is short of memory delivers, and takes nothing from publishers. False where
    /// there is no such thing.
    pub(crate) fn starve(&self, starved: bool) -> bool {
        let Some(server) = &self.rabbitmq else { return false };
        let share = if starved { "0.0" } else { "0.4" };
        server.evaluate(&format!("vm_memory_monitor:set_vm_memory_high_watermark({share})."));
        true
    }

    /// How many results there are.
    pub(crate) fn count_results(&self) -> usize {
        redis::cmd("DBSIZE").query(&mut self.results()).expect("Redis answers")
    }

    /// Waits until there are so many.
    pub(crate) fn await_results(&self, count: usize) {
        let (mut results, mut progress) = (self.results(), Progress::new());
        let mut done =
            || -> usize { redis::cmd("DBSIZE").query(&mut results).expect("Redis answers") };
        while progress.note(done()) < count {}
    }

    /// Sends one message to the default queue of Redis, and is back in a moment.
    pub(crate) fn push(&self, message: &Message) {
        self.push_raw(message.encode());
    }

    /// As [`Stage::push`], for what need not be a request.
    pub(crate) fn push_raw(&self, message: RawMessage) {
        let mut pusher = self.pusher.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = pusher.get_or_insert_with(|| {
            let client = redis::Client::open(self.redis.url(0)).expect("a Redis address");
            client.get_connection().expect("Redis is there")
        });
        let envelope = Envelope {
            message,
            route: Route::queue(DEFAULT_QUEUE),
            tag: uuid::Uuid::new_v4().to_string(),
            redelivered: false,
        };
        let mut push = redis::cmd("LPUSH");
        push.arg(DEFAULT_QUEUE).arg(envelope.to_json());
        push.query::<()>(connection).expect("Redis takes messages");
    }

    /// Sends messages one after the other, each when the result of the one before is there; gives how
    /// many milliseconds each of them took.
    pub(crate) fn round_trips(&self, messages: impl Iterator<Item = Message>) -> Vec<f64> {
        let client = redis::Client::open(self.results_url()).expect("a Redis address");
        let mut waiting = client.get_connection().expect("Redis is there");
        waiting.set_read_timeout(Some(STUCK)).expect("a connection has a timeout");
        let mut results = waiting.as_pubsub();
        results.psubscribe(format!("{RESULT_PREFIX}*")).expect("Redis takes subscriptions");
        let round_trip = |message: Message| {
            let since = Instant::now();
            self.push(&message);
            results.get_message().expect("its result comes");
            since.elapsed().as_secs_f64() * 1000.0
        };
        messages.map(round_trip).collect()
    }

    /// Watches a queue being drained; gives tasks per second, the start of the worker left out.
    pub(crate) fn watch(&self, count: usize) -> f64 {
        let mut results = self.results();
        let mut done =
            || -> usize { redis::cmd("DBSIZE").query(&mut results).expect("Redis answers") };
        let mut progress = Progress::new();
        let (first, before) = loop {
            let seen = progress.note(done());
            if seen > 0 {
                break (Instant::now(), seen);
            }
        };
        while progress.note(done()) < count {}
        let rate = (count - before) as f64 / first.elapsed().as_secs_f64();
        self.await_acks();
        rate
    }

    /// What was worked on must be acknowledged too, where that can be seen.
    fn await_acks(&self) {
        if self.broker == Broker::RabbitMq {
            return;
        }
        let client = redis::Client::open(self.broker_url()).expect("a Redis address");
        let mut broker = client.get_connection().expect("Redis is there");
        let mut progress = Progress::new();
        let mut left = usize::MAX;
        while left > 0 {
            left = redis::cmd("HLEN").arg(UNACKED).query(&mut broker).expect("Redis answers");
            for step in PRIORITY_STEPS {
                let key = queue_key(DEFAULT_QUEUE, step);
                let waiting: usize =
                    redis::cmd("LLEN").arg(key).query(&mut broker).expect("Redis answers");
                left += waiting;
            }
            progress.note(usize::MAX - left);
        }
    }
}

/// Gives up when nothing changes.
struct Progress {
    seen: usize,
    since: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress { seen: 0, since: Instant::now() }
    }

    /// Waits a little, so that looking costs nothing.
    fn note(&mut self, seen: usize) -> usize {
        if seen != self.seen {
            *self = Progress { seen, since: Instant::now() };
        }
        assert!(self.since.elapsed() < STUCK, "nothing changed for {STUCK:?}; {seen} are done");
        std::thread::sleep(Duration::from_millis(2));
        seen
    }
}

async fn publish_all(broker: &Arc<dyn Seam>, messages: impl Iterator<Item = RawMessage>) {
    let mut sending = tokio::task::JoinSet::new();
    for message in messages {
        let broker = broker.clone();
        sending.spawn(async move { broker.publish(&Route::queue(DEFAULT_QUEUE), &message).await });
        if sending.len() >= 1000 {
            sending.join_next().await;
        }
    }
    for sent in sending.join_all().await {
        sent.expect("the broker takes messages");
    }
}

async fn purge(url: &str) {
    use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await;
    let channel = connection.expect("RabbitMQ is there").create_channel().await.expect("a channel");
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let nothing = lapin::types::FieldTable::default();
    channel.queue_declare(DEFAULT_QUEUE.into(), durable, nothing).await.expect("a queue");
    let purged = channel.queue_purge(DEFAULT_QUEUE.into(), QueuePurgeOptions::default());
    purged.await.expect("the queue can be emptied");
}
