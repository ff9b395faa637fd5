//! The worker dies right after each hop of a message's path, and another one takes over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker, command};
use umbel_protocol::body::Content;
use umbel_protocol::canvas::{self, Plan, Sender, Step};
use umbel_protocol::message::{Message, Route};
use umbel_protocol::names::{ACCUMULATE, CHORD, DEFAULT_QUEUE};
use umbel_protocol::record::{ResultRecord, State};
use umbel_system_tests::client::url;
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions};
use umbel_transport::broker::Broker;
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::ResultStore;
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};
use umbel_value::{Map, Value};

/// The name whose messages the worker dies of.
const VICTIM: &str = "victim.add";

/// How long a dead worker's messages stay its own.
const LEASE: &str = "visibility_timeout=1";

/// The first hop after which a message that was acknowledged early is gone.
const ACKNOWLEDGED: &str = "slot";

#[test]
fn redis_late_loses_nothing_at_any_hop() {
    at_every_hop(&OnRedis(RedisServer::start()), "late");
}

#[test]
fn redis_early_loses_what_ran_and_nothing_else() {
    at_every_hop(&OnRedis(RedisServer::start()), "early");
}

#[test]
fn rabbitmq_late_loses_nothing_at_any_hop() {
    at_every_hop(&OnRabbit(RabbitMq::shared(), RedisServer::start()), "late");
}

#[test]
fn rabbitmq_early_loses_what_ran_and_nothing_else() {
    at_every_hop(&OnRabbit(RabbitMq::shared(), RedisServer::start()), "early");
}

#[test]
fn sqlite_late_loses_nothing_at_any_hop() {
    at_every_hop(&OnFile(TempDir::with_prefix("umbel-hops-").expect("a folder")), "late");
}

#[test]
fn sqlite_early_loses_what_ran_and_nothing_else() {
    at_every_hop(&OnFile(TempDir::with_prefix("umbel-hops-").expect("a folder")), "early");
}

/// Where the cases of one test take place.
trait Ground {
    /// Addresses of a broker and a result store with nothing on them.
    fn fresh(&self, number: usize) -> (String, String);
}

struct OnRedis(RedisServer);

impl Ground for OnRedis {
    fn fresh(&self, number: usize) -> (String, String) {
        let url = self.0.url(u8::try_from(number).expect("few deaths"));
        (format!("{url}?{LEASE}"), url)
    }
}

struct OnRabbit(&'static RabbitMq, RedisServer);

impl Ground for OnRabbit {
    fn fresh(&self, number: usize) -> (String, String) {
        let results = self.1.url(u8::try_from(number).expect("few deaths"));
        (self.0.url(&self.0.fresh_vhost()), results)
    }
}

struct OnFile(TempDir);

impl Ground for OnFile {
    fn fresh(&self, number: usize) -> (String, String) {
        let file = url(&self.0.path().join(format!("{number}.db")));
        (format!("{file}?{LEASE}"), file)
    }
}

fn at_every_hop(ground: &dyn Ground, acks: &str) {
    let hops = hops();
    let acknowledged = hops.iter().position(|hop| hop == ACKNOWLEDGED).expect("a hop of the path");
    let deaths = hops.iter().enumerate().flat_map(|hop| Canvas::ALL.map(|canvas| (hop, canvas)));
    let deaths = deaths.filter(|((_, hop), canvas)| canvas.comes_by(hop));
    for (number, ((place, hop), dies_of)) in deaths.enumerate() {
        let (broker, results) = ground.fresh(number);
        let case = Case { broker, results, acks: acks.to_owned(), hop: hop.clone(), dies_of };
        case.check(acks == "early" && place >= acknowledged);
    }
}

/// The path's hops in order, as the worker itself lists them.
fn hops() -> Vec<String> {
    let mut asked = command("worker");
    let asked = asked.env("UMBEL_DIE_AFTER", "?:any").output().expect("the binary can be started");
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    let (_, list) = said.split_once("`?` is no hop: ").unwrap_or_else(|| panic!("no list: {said}"));
    let list = list.lines().next().unwrap_or_default();
    list.split(", ").map(|hop| hop.trim().to_owned()).collect()
}

/// What a worker dies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canvas {
    /// A task with a callback and a next step.
    Task,
    /// The last part of a chord.
    Part,
}

impl Canvas {
    const ALL: [Canvas; 2] = [Canvas::Task, Canvas::Part];

    /// Parts go their own way once they have run.
    fn comes_by(self, hop: &str) -> bool {
        match self {
            Canvas::Task => hop != "claim",
            Canvas::Part => ["store", "claim", "join"].contains(&hop),
        }
    }
}

/// One death.
struct Case {
    broker: String,
    results: String,
    acks: String,
    hop: String,
    dies_of: Canvas,
}

impl Case {
    fn check(&self, may_lose: bool) {
        let client = Client::open(&self.broker, &self.results);
        let expected = client.send(self.dies_of);
        let dying = format!("{}:{VICTIM}", self.hop);
        let mut first = self.worker().variable("UMBEL_DIE_AFTER", &dying).spawn();
        eventually(&format!("the worker dies after `{}`", self.hop), PATIENCE, || {
            first.process.poll().map(|_| ()).ok_or_else(|| "it lives".to_owned())
        });
        let mut second = self.worker().start();
        let missing = eventually(&format!("{self:?}: what is not lost ends"), PATIENCE, || {
            let missing = client.missing(&expected);
            let lost = missing.is_empty() || (may_lose && self.explains(&missing));
            if lost && client.is_quiet() {
                Ok(missing)
            } else {
                Err(format!("{missing:?} missing"))
            }
        });
        assert!(second.stop().success(), "{self:?}: it stops as usual");
        client.check_values(&expected, &missing, self);
        self.check_runs(&expected, &[&first, &second]);
        client.close();
    }

    /// Whether all that is missing was acknowledged early when the worker died, or would have come
    /// of that. A slot is free before its last task's end is recorded, so it may be two; a part's
    /// result may be stored and not yet counted.
    fn explains(&self, missing: &[&str]) -> bool {
        let gone = |what: &str| missing.contains(&what);
        missing.iter().all(|what| match *what {
            "the task" | "a part" => true,
            "the callback" | "the next step" => gone("the task"),
            "the body" => true,
            _ => false,
        })
    }

    fn worker(&self) -> Worker {
        // One by one, so that the worker holds one message when it dies.
        Worker::on(&self.broker)
            .results(&self.results)
            .plugin("tasks", paths::plugin("tasks"))
            .plugin("victim", paths::plugin("tasks"))
            .config(&format!("[plugins.victim]\ntasks.add = {{ acks = \"{}\" }}", self.acks))
            .args(&["-c", "1", "--prefetch-multiplier", "1"])
    }

    /// Only what the dead worker held may have run twice.
    fn check_runs(&self, expected: &Expected, workers: &[&Umbel]) {
        let logs: String = workers.iter().map(|worker| worker.process.log()).collect();
        for (id, wanted) in &expected.0 {
            let ran = logs.matches(&format!("[{id}] succeeded in ")).count();
            let most = if wanted.victim { 2 } else { 1 };
            assert!(ran <= most, "{self:?}: `{}` ran {ran} times\n{logs}", wanted.what);
        }
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.broker.split(':').next().unwrap_or_default();
        write!(f, "{kind}, {} acks, after `{}` of a {:?}", self.acks, self.hop, self.dies_of)
    }
}

/// Every id that is to end, and how.
struct Expected(BTreeMap<String, Wanted>);

struct Wanted {
    what: &'static str,
    value: Value,
    victim: bool,
}

/// A client without Python, for brokers of every kind.
pub(crate) struct Client {
    runtime: Runtime,
    broker: Arc<dyn Broker>,
    store: Arc<dyn ResultStore>,
}

impl Client {
    pub(crate) fn open(broker: &str, results: &str) -> Client {
        let runtime = Runtime::new().expect("a runtime can be made");
        let (broker, results) = (address(broker), address(results));
        let (broker, store) = runtime.block_on(async {
            let scheme = broker.to_string();
            if scheme.starts_with("sqlite") {
                let open = SqliteBroker::open(broker, SqliteOptions::default()).await;
                let store = SqliteStore::open(results, None).await.expect("a file");
                return (Arc::new(open.expect("a file")) as Arc<dyn Broker>, Arc::new(store) as _);
            }
            let store = RedisStore::connect(results, StoreOptions::default()).await;
            let store: Arc<dyn ResultStore> = Arc::new(store.expect("a Redis"));
            if scheme.starts_with("redis") {
                let open = RedisBroker::connect(broker, RedisOptions::default()).await;
                return (Arc::new(open.expect("a Redis")) as Arc<dyn Broker>, store);
            }
            let open = AmqpBroker::connect(broker, AmqpOptions::default()).await;
            (Arc::new(open.expect("a RabbitMQ")) as Arc<dyn Broker>, store)
        });
        Client { runtime, broker, store }
    }

    /// Sends one message.
    pub(crate) fn publish(&self, message: &Message) {
        let route = Route::queue(DEFAULT_QUEUE);
        let sent = self.runtime.block_on(self.broker.publish(&route, &message.encode()));
        sent.expect("the broker takes messages");
    }

    /// The latest record of a task, if there is one.
    pub(crate) fn get(&self, id: &str) -> Option<ResultRecord> {
        self.runtime.block_on(self.store.get(id)).expect("the store answers")
    }

    /// Sends a task with a callback and a next step, and a chord with a part of each kind; `first`
    /// is what the worker is to die of.
    fn send(&self, first: Canvas) -> Expected {
        let mut expected = BTreeMap::new();
        let mut want = |what, value: Value, victim| {
            let id = fresh_id();
            expected.insert(id.clone(), Wanted { what, value, victim });
            id
        };
        let link = signature("tasks.add", &[100], &want("the callback", 103.into(), false));
        let next = signature("tasks.add", &[1000], &want("the next step", 1003.into(), false));
        let mut task = signature(VICTIM, &[1, 2], &want("the task", 3.into(), true));
        set(&mut task, "link", vec![link].into());
        set(&mut task, "chain", vec![next].into());
        let parts = vec![
            signature("tasks.add", &[5, 5], &want("another part", 10.into(), false)),
            signature(VICTIM, &[1, 2], &want("a part", 3.into(), true)),
        ];
        let sum: Value = vec![vec![Value::Int(10), Value::Int(3)].into()].into();
        let body = signature(ACCUMULATE, &[], &want("the body", sum, false));
        let chord = Value::from([
            ("task", Value::from(CHORD)),
            ("args", Vec::new().into()),
            ("kwargs", Value::from([("header", Value::from(parts)), ("body", body)])),
            ("options", Value::Map(Map::new())),
            ("subtask_type", "chord".into()),
            ("immutable", false.into()),
        ]);
        let canvases = if first == Canvas::Task { [task, chord] } else { [chord, task] };
        for canvas in &canvases {
            self.apply(canvas);
        }
        Expected(expected)
    }

    fn apply(&self, canvas: &Value) {
        let mut sender = Sender {
            parent: None,
            origin: "gen4242@client",
            now: umbel_protocol::time::Timestamp::parse("2026-01-01T00:00:00Z").expect("a time").at,
            route: &|_| Route::queue(DEFAULT_QUEUE),
            ids: &mut fresh_id,
            content: Content::default(),
        };
        let plan = canvas::apply(canvas, &[], &Map::new(), &mut sender);
        let Plan { steps, .. } = plan.expect("it can be sent");
        self.runtime.block_on(async {
            for step in &steps {
                match step {
                    Step::Send { route, message } => {
                        self.broker.publish(route, &message.encode()).await.expect("sent");
                    }
                    Step::Size { group, size } => {
                        self.store.begin_chord(group, *size).await.expect("begun");
                    }
                    Step::Keep { group, tuple } => {
                        self.store.save_group(group, tuple).await.expect("kept");
                    }
                }
            }
        });
    }

    fn missing(&self, expected: &Expected) -> Vec<&'static str> {
        let unknown = |(id, wanted): (&String, &Wanted)| {
            self.get(id).is_none_or(|record| !record.state.is_ready()).then_some(wanted.what)
        };
        expected.0.iter().filter_map(unknown).collect()
    }

    /// Whether nobody who asks for work now would get any.
    fn is_quiet(&self) -> bool {
        self.runtime.block_on(async {
            let consumer = self.broker.consume(&[DEFAULT_QUEUE.to_owned()], 1).await;
            let mut consumer = consumer.expect("the broker can be read");
            let next = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
            let quiet = next.is_err();
            // A delivery goes back when it is dropped.
            drop(next);
            consumer.stop().await.expect("a consumer can be stopped");
            quiet
        })
    }

    fn check_values(&self, expected: &Expected, missing: &[&str], case: &Case) {
        for (id, wanted) in expected.0.iter().filter(|(_, w)| !missing.contains(&w.what)) {
            let record = self.get(id).expect("it has a result");
            assert_eq!(record.state, State::Success, "{case:?}: {}: {record:?}", wanted.what);
            assert_eq!(record.result, wanted.value, "{case:?}: {}", wanted.what);
        }
    }

    pub(crate) fn close(self) {
        self.runtime.block_on(async {
            self.store.close().await;
            self.broker.close().await;
        });
    }
}

fn address(url: &str) -> Address {
    Address::parse(url).expect("an address")
}

fn fresh_id() -> String {
    Message::new("", vec![], Map::new()).id
}

fn signature(task: &str, args: &[i64], id: &str) -> Value {
    Value::from([
        ("task", Value::from(task)),
        ("args", args.iter().copied().map(Value::from).collect()),
        ("kwargs", Value::Map(Map::new())),
        ("options", Value::from([("task_id", Value::from(id))])),
        ("subtask_type", Value::Null),
        ("immutable", false.into()),
    ])
}

fn set(signature: &mut Value, option: &str, value: Value) {
    let options = signature.as_map_mut().and_then(|map| map.get_mut("options"));
    let options = options.and_then(Value::as_map_mut).expect("a signature has options");
    options.insert(option.to_owned(), value);
}
