//! A client beside the worker, on the same broker and the same result store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::names::DEFAULT_QUEUE;
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_transport::address::{Address, Scheme};
use umbel_transport::amqp::{AmqpBroker, AmqpOptions};
use umbel_transport::broker::{BoxError, Broker, BrokerError, DeadLetter};
use umbel_transport::delivery::Settlement;
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::ResultStore;
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};
use umbel_value::Value;

use crate::request::request;

/// How many messages are on their way at once; they share the file's transactions.
const AT_ONCE: usize = 500;

/// Sends tasks and reads results.
pub struct Client {
    runtime: Runtime,
    broker: Arc<dyn Broker>,
    store: Arc<dyn ResultStore>,
}

impl Client {
    /// On this file, which is made if it is missing.
    pub fn open(file: &Path) -> Client {
        Client::of(&url(file), &url(file))
    }

    /// On this broker and this result store, a Redis or a file.
    pub fn of(broker: &str, results: &str) -> Client {
        let runtime = Runtime::new().expect("a runtime can be made");
        let opened = runtime.block_on(async {
            Ok::<_, BoxError>((connect(broker).await?, connect_store(results).await?))
        });
        let (broker, store) = opened.expect("the servers are there");
        Client { runtime, broker, store }
    }

    /// Sends a message as it is to the default queue.
    pub fn publish(&self, raw: &RawMessage) -> Result<(), BrokerError> {
        self.runtime.block_on(self.broker.publish(&Route::queue(DEFAULT_QUEUE), raw))
    }

    /// What was put aside.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let letters = self.runtime.block_on(self.broker.dead_letters(100_000));
        letters.expect("this broker has dead letters")
    }

    /// Notes how many parts a chord waits for, as a client does that sends one.
    pub fn begin_chord(&self, group: &str, size: u32) {
        self.runtime.block_on(self.store.begin_chord(group, size)).expect("this store has chords");
    }

    /// Says something to every worker.
    pub fn broadcast(&self, raw: &RawMessage) {
        self.runtime.block_on(self.broker.broadcast(raw)).expect("this broker has remote control");
    }

    /// Asks every worker to end a task, also while it runs.
    pub fn terminate(&self, id: &str) {
        let arguments = [("task_id", Value::from(id)), ("terminate", Value::Bool(true))];
        let body = Value::from([
            ("method", Value::from("revoke")),
            ("arguments", Value::from(arguments)),
            ("destination", Value::Null),
        ]);
        let mut raw = Message::new("", Vec::new(), Default::default()).encode();
        raw.headers = Default::default();
        raw.body = body.to_json().into_bytes().into();
        self.broadcast(&raw);
    }

    /// Sends a task whose start is recorded, and waits until it runs.
    pub fn start(&self, task: &str, args: &str) -> String {
        let id = self.send(task, args);
        eventually(&format!("{task}{args} runs"), PATIENCE, || {
            match self.get(&id).map(|record| record.state) {
                Some(State::Started | State::Custom(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        id
    }

    /// Sends a task with its arguments as a JSON array; gives its id.
    pub fn send(&self, task: &str, args: &str) -> String {
        let Ok(Value::List(args)) = Value::from_json(args.as_bytes()) else {
            panic!("`{args}` is no JSON array")
        };
        let message = request(task, args);
        self.publish(&message.encode()).expect("the broker takes messages");
        message.id
    }

    /// Sends a task once for each list of arguments; gives the ids in their order.
    pub fn send_all(&self, task: &str, calls: impl Iterator<Item = Vec<Value>>) -> Vec<String> {
        let messages: Vec<_> = calls.map(|args| request(task, args)).collect();
        self.publish_all(&messages);
        messages.into_iter().map(|message| message.id).collect()
    }

    /// Sends requests to the default queue.
    pub fn publish_all(&self, messages: &[Message]) {
        let route = Route::queue(DEFAULT_QUEUE);
        self.runtime.block_on(async {
            for chunk in messages.chunks(AT_ONCE) {
                let mut sending = tokio::task::JoinSet::new();
                for message in chunk {
                    let (broker, route, raw) =
                        (self.broker.clone(), route.clone(), message.encode());
                    sending.spawn(async move { broker.publish(&route, &raw).await });
                }
                for sent in sending.join_all().await {
                    sent.expect("the broker takes messages");
                }
            }
        });
    }

    /// Takes every message of a queue, `count` at least, and all that come within a second more.
    pub fn take_all(&self, queue: &str, count: usize) -> Vec<RawMessage> {
        self.runtime.block_on(async {
            let consumer = self.broker.consume(&[queue.to_owned()], 100).await;
            let mut consumer = consumer.expect("the broker can be read");
            let mut taken = Vec::new();
            loop {
                let patience = if taken.len() < count { PATIENCE } else { Duration::from_secs(1) };
                let Ok(next) = tokio::time::timeout(patience, consumer.next()).await else { break };
                let delivery = next.expect("the broker can be read").expect("nobody stopped it");
                delivery.receipt.settle(Settlement::Ack).await.expect("it can be settled");
                taken.push(delivery.message);
            }
            consumer.stop().await.expect("a consumer can be stopped");
            taken
        })
    }

    /// Whether nobody who asks for work now would get any.
    pub fn is_empty(&self) -> bool {
        self.runtime.block_on(async {
            let consumer = self.broker.consume(&[DEFAULT_QUEUE.to_owned()], 1).await;
            let mut consumer = consumer.expect("the broker can be read");
            let next = tokio::time::timeout(Duration::from_secs(1), consumer.next()).await;
            // A delivery goes back when it is dropped.
            let empty = next.is_err();
            consumer.stop().await.expect("a consumer can be stopped");
            empty
        })
    }

    /// The latest record of a task, if there is one.
    pub fn get(&self, id: &str) -> Option<ResultRecord> {
        self.runtime.block_on(self.store.get(id)).expect("the store can be read")
    }

    /// The record of a task that is ready; panics if it is not within `patience`.
    #[track_caller]
    pub fn wait(&self, id: &str, patience: Duration) -> ResultRecord {
        let seen = self.runtime.block_on(self.store.wait(id, patience));
        match seen.expect("the store can be read") {
            Some(record) if record.state.is_ready() => record,
            other => panic!("`{id}` is not ready within {patience:?}: {other:?}"),
        }
    }

    /// Sends a task and waits for its record.
    #[track_caller]
    pub fn call(&self, task: &str, args: &str) -> ResultRecord {
        self.wait(&self.send(task, args), umbel_harness::eventually::PATIENCE)
    }
}

async fn connect(url: &str) -> Result<Arc<dyn Broker>, BoxError> {
    let address = Address::parse(url)?;
    Ok(match address.scheme {
        Scheme::Redis => Arc::new(RedisBroker::connect(address, RedisOptions::default()).await?),
        Scheme::Sqlite => Arc::new(SqliteBroker::open(address, SqliteOptions::default()).await?),
        _ => Arc::new(AmqpBroker::connect(address, AmqpOptions::default()).await?),
    })
}

async fn connect_store(url: &str) -> Result<Arc<dyn ResultStore>, BoxError> {
    let address = Address::parse(url)?;
    Ok(match address.scheme {
        Scheme::Redis => Arc::new(RedisStore::connect(address, StoreOptions::default()).await?),
        _ => Arc::new(SqliteStore::open(address, None).await?),
    })
}

/// The address of a file.
pub fn url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

/// The exception of a failed task.
#[track_caller]
pub fn failure(record: &ResultRecord) -> Exception {
    assert_eq!(record.state, State::Failure, "{record:?}");
    Exception::from_value(&record.result).expect("a failure's result is an exception")
}
