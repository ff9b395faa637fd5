//! A broker, a store and tasks in memory, which write down what was done to them and in which order.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use umbel_protocol::chord::ChordPart;
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::record::ResultRecord;
use umbel_task::call::Call;
use umbel_task::name::{PluginVersion, TaskName};
use umbel_task::outcome::{Cost, Ended, Outcome};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Outbox, Runner, Task};
use umbel_transport::address::Address;
use umbel_transport::broker::{
    Broker, BrokerError, Consumer, DeadLetter, Held, Listener, NotDelayed,
};
use umbel_transport::delivery::{Delivery, Receipt, Settle, Settlement, Tag};
use umbel_transport::presence::Presence;
use umbel_transport::results::{Claim, Joined, Reply, ResultStore, StoreError};
use umbel_value::{Map, Value};

/// What happened, in order: `put SUCCESS`, `publish celery`, `Ack`, `run tasks.add`, …
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until a line appears; fails with the whole diary.
    pub(crate) async fn eventually(&self, line: &str) {
        for _ in 0..2000 {
            if self.lines().iter().any(|seen| seen == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("`{line}` never happened: {:#?}", self.lines());
    }
}

/// One queue in memory.
#[derive(Clone, Default)]
pub(crate) struct FakeBroker {
    pub(crate) diary: Diary,
    queue: Arc<Mutex<VecDeque<Arrival>>>,
    arrived: Arc<Notify>,
    /// Whether it keeps what is to be delivered later.
    pub(crate) delays: Arc<AtomicBool>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) delayed: Arc<Mutex<Vec<(RawMessage, Timestamp)>>>,
    pub(crate) buried: Arc<Mutex<Vec<DeadLetter>>>,
    /// What remote control says goes to whoever listens.
    pub(crate) said: Arc<Mutex<Option<mpsc::UnboundedSender<RawMessage>>>>,
    /// How often it cannot be subscribed to before it can.
    pub(crate) away: Arc<AtomicUsize>,
    /// How many publishes fail before one succeeds.
    pub(crate) failing: Arc<AtomicUsize>,
    pub(crate) published: Arc<Mutex<Vec<(Route, RawMessage)>>>,
    /// Events, by what was said of them.
    pub(crate) events: Arc<Mutex<Vec<Map>>>,
    /// Who listens to events.
    overhears: Arc<Mutex<Vec<mpsc::UnboundedSender<RawMessage>>>>,
    /// Which queues were subscribed to, each time.
    pub(crate) subscriptions: Arc<Mutex<Vec<Vec<String>>>>,
}

/// A message on its way in.
struct Arrival {
    message: RawMessage,
    /// `None`: it comes for the first time.
    deliveries: Option<u32>,
}

impl FakeBroker {
    pub(crate) fn new(diary: &Diary) -> Self {
        Self { diary: diary.clone(), ..Self::default() }
    }

    pub(crate) fn deliver(&self, message: RawMessage) {
        self.arrive(Arrival { message, deliveries: None });
    }

    /// As a message comes that was delivered so often before.
    pub(crate) fn redeliver(&self, message: RawMessage, deliveries: u32) {
        self.arrive(Arrival { message, deliveries: Some(deliveries) });
    }

    fn arrive(&self, arrival: Arrival) {
        self.queue.lock().unwrap().push_back(arrival);
        self.arrived.notify_one();
    }

    /// What was published, decoded.
    pub(crate) fn sent(&self) -> Vec<Message> {
        let published = self.published.lock().unwrap();
        published.iter().map(|(_, raw)| Message::decode(raw).unwrap()).collect()
    }
}

struct FakeConsumer {
    broker: FakeBroker,
    settled: mpsc::UnboundedSender<Settle>,
    unsettled: Arc<AtomicUsize>,
    window: usize,
    next: u64,
}

#[async_trait]
impl Broker for FakeBroker {
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            self.diary.note("no broker".to_owned());
            let address = Address::parse("amqp://localhost").unwrap();
            return Err(BrokerError::Unreachable { address, source: "silence".into() });
        }
        if queues.contains(&"taken".to_owned()) {
            return Err(BrokerError::Other { what: "taken".into(), source: "taken".into() });
        }
        self.subscriptions.lock().unwrap().push(queues.to_vec());
        let (settled, mut settlements) = mpsc::unbounded_channel::<Settle>();
        let unsettled = Arc::new(AtomicUsize::new(0));
        let (diary, count, arrived) =
            (self.diary.clone(), Arc::clone(&unsettled), Arc::clone(&self.arrived));
        tokio::spawn(async move {
            while let Some(settle) = settlements.recv().await {
                diary.note(match settle.how {
                    Settlement::Delay(_) => "Delay".to_owned(),
                    how => format!("{how:?}"),
                });
                count.fetch_sub(1, Ordering::SeqCst);
                arrived.notify_one();
                if let Some(done) = settle.done {
                    let _ = done.send(Ok(()));
                }
            }
        });
        let window = usize::from(window);
        Ok(Box::new(FakeConsumer { broker: self.clone(), settled, unsettled, window, next: 0 }))
    }

    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        let failing = |left: usize| left.checked_sub(1);
        if self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
            self.diary.note("publish fails");
            return Err(BrokerError::Other { what: "away".into(), source: "away".into() });
        }
        self.diary.note(format!("publish {}", route.routing_key));
        self.published.lock().unwrap().push((route.clone(), message.clone()));
        Ok(())
    }

    async fn delay(&self, held: Held, at: Timestamp) -> Result<(), NotDelayed> {
        if !self.delays.load(Ordering::SeqCst) {
            return Err(NotDelayed { held: Box::new(held), error: None });
        }
        self.delayed.lock().unwrap().push((held.message, at));
        held.receipt.settle(Settlement::Delay(at)).await.unwrap();
        Ok(())
    }

    async fn bury(&self, letter: DeadLetter, receipt: Receipt) -> Result<(), BrokerError> {
        self.buried.lock().unwrap().push(letter);
        receipt.settle(Settlement::Discard).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let buried = self.buried.lock().unwrap();
        let named = |(at, letter): (usize, &DeadLetter)| DeadLetter {
            id: at.to_string(),
            ..letter.clone()
        };
        Ok(buried.iter().enumerate().map(named).take(limit).collect())
    }

    async fn replay(&self, id: &str) -> Result<bool, BrokerError> {
        self.diary.note("replay");
        let letter = self.buried.lock().unwrap().remove(id.parse().unwrap());
        self.deliver(letter.message);
        Ok(true)
    }

    async fn listen(&self, _node: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let (say, hear) = mpsc::unbounded_channel();
        *self.said.lock().unwrap() = Some(say);
        Ok(Box::new(FakeListener(hear)))
    }

    fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }

    async fn emit(&self, _: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        self.events.lock().unwrap().extend(umbel_protocol::event::open(message));
        self.overhears.lock().unwrap().retain(|one| one.send(message.clone()).is_ok());
        Ok(())
    }

    async fn overhear(&self, _: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let (tell, hear) = mpsc::unbounded_channel();
        self.overhears.lock().unwrap().push(tell);
        Ok(Box::new(FakeListener(hear)))
    }

    async fn close(&self) {}
}

struct FakeListener(mpsc::UnboundedReceiver<RawMessage>);

#[async_trait]
impl Listener for FakeListener {
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError> {
        Ok(self.0.recv().await)
    }
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        loop {
            if self.unsettled.load(Ordering::SeqCst) < self.window
                && let Some(arrival) = self.broker.queue.lock().unwrap().pop_front()
            {
                self.unsettled.fetch_add(1, Ordering::SeqCst);
                self.next += 1;
                let Arrival { message, deliveries } = arrival;
                return Ok(Some(Delivery {
                    message,
                    route: Route::queue("celery"),
                    queue: "celery".into(),
                    redelivered: deliveries.is_some(),
                    deliveries,
                    receipt: Receipt::new(Tag::Number(self.next), 0, self.settled.clone()),
                }));
            }
            self.broker.arrived.notified().await;
        }
    }

    async fn resize(&mut self, window: u16) -> Result<(), BrokerError> {
        self.window = usize::from(window);
        self.broker.arrived.notify_one();
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }
}

/// Records in memory.
#[derive(Clone)]
pub(crate) struct FakeStore {
    pub(crate) diary: Diary,
    pub(crate) records: Arc<Mutex<Vec<ResultRecord>>>,
    pub(crate) chords: Arc<Mutex<HashMap<String, FakeChord>>>,
    pub(crate) groups: Arc<Mutex<HashMap<String, Value>>>,
    /// How many puts fail before one succeeds.
    pub(crate) failing: Arc<AtomicUsize>,
}

impl FakeStore {
    pub(crate) fn new(diary: &Diary) -> Self {
        Self {
            diary: diary.clone(),
            records: Arc::default(),
            chords: Arc::default(),
            groups: Arc::default(),
            failing: Arc::default(),
        }
    }

    pub(crate) fn last(&self) -> ResultRecord {
        self.records.lock().unwrap().last().expect("a record").clone()
    }
}

/// A chord in memory.
#[derive(Default)]
pub(crate) struct FakeChord {
    pub(crate) size: Option<u32>,
    pub(crate) parts: Vec<ChordPart>,
    /// Somebody else holds the claim for so many joins more.
    pub(crate) claimed: u32,
    pub(crate) done: bool,
}

#[async_trait]
impl ResultStore for FakeStore {
    async fn begin_chord(&self, group: &str, size: u32) -> Result<(), StoreError> {
        self.diary.note(format!("size {size}"));
        self.chords.lock().unwrap().entry(group.to_owned()).or_default().size = Some(size);
        Ok(())
    }

    async fn grow_chord(&self, group: &str, by: u32) -> Result<(), StoreError> {
        self.diary.note(format!("grow {by}"));
        let mut chords = self.chords.lock().unwrap();
        let size = &mut chords.entry(group.to_owned()).or_default().size;
        *size = size.map(|size| size + by);
        Ok(())
    }

    async fn join(&self, part: &ChordPart) -> Result<Joined, StoreError> {
        self.diary.note(format!("join {}", part.state));
        let mut chords = self.chords.lock().unwrap();
        let chord = chords.entry(part.group.clone()).or_default();
        if chord.done {
            return Ok(Joined::Done);
        }
        if !chord.parts.iter().any(|known| known.id == part.id) {
            chord.parts.push(part.clone());
        }
        if chord.size != u32::try_from(chord.parts.len()).ok() {
            return Ok(Joined::Waiting);
        }
        if let Some(left) = chord.claimed.checked_sub(1) {
            chord.claimed = left;
            return Ok(Joined::Claimed);
        }
        let mut parts = chord.parts.clone();
        parts.sort_by_key(|part| part.index);
        let claim = Claim { group: part.group.clone(), token: "ours".to_owned() };
        Ok(Joined::Complete { claim, parts })
    }

    async fn extend_claim(&self, _: &Claim, _: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn end_chord(&self, claim: &Claim, sent: bool) -> Result<(), StoreError> {
        self.diary.note(if sent { "chord sent" } else { "chord broken" });
        self.chords.lock().unwrap().entry(claim.group.clone()).or_default().done = sent;
        Ok(())
    }

    async fn save_group(&self, group: &str, tuple: &Value) -> Result<(), StoreError> {
        self.diary.note("keep");
        self.groups.lock().unwrap().insert(group.to_owned(), tuple.clone());
        Ok(())
    }

    async fn group(&self, group: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.groups.lock().unwrap().get(group).cloned())
    }

    async fn put(&self, record: &ResultRecord, _reply: &Reply) -> Result<(), StoreError> {
        let failing = |left: usize| left.checked_sub(1);
        if self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
            self.diary.note("put fails");
            return Err(StoreError::Other { what: "away".into(), source: "away".into() });
        }
        self.diary.note(format!("put {}", record.state.as_str()));
        self.records.lock().unwrap().push(record.clone());
        Ok(())
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        Ok(self.records.lock().unwrap().iter().rev().find(|record| record.id == id).cloned())
    }

    async fn wait(&self, id: &str, _: Duration) -> Result<Option<ResultRecord>, StoreError> {
        self.get(id).await
    }

    async fn reply_to(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn refuses(&self, value: &Value) -> Option<String> {
        value.to_json().contains("unwritable").then(|| "can not serialize it".to_owned())
    }

    async fn close(&self) {}
}

type Body = Box<dyn Fn(Call, Arc<dyn Outbox>) -> Outcome + Send + Sync>;

/// One task: a closure, or a run that lasts until it is released or stopped.
pub(crate) struct FakeTask {
    name: &'static str,
    diary: Diary,
    policy: TaskPolicy,
    version: PluginVersion,
    body: Body,
    /// Runs wait for a permit when there is one.
    pub(crate) gate: Option<Arc<tokio::sync::Semaphore>>,
}

/// Tasks by name.
#[derive(Default)]
pub(crate) struct FakeRunner {
    tasks: Vec<(&'static str, Arc<FakeTask>)>,
    /// Whether the task `late` is there by now.
    pub(crate) late: Arc<AtomicBool>,
}

impl FakeRunner {
    pub(crate) fn with(
        mut self,
        name: &'static str,
        diary: &Diary,
        policy: TaskPolicy,
        gate: Option<Arc<tokio::sync::Semaphore>>,
        body: impl Fn(Call, Arc<dyn Outbox>) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let version = PluginVersion { plugin: "fake".into(), digest: "0".repeat(64).into() };
        let body = Box::new(body);
        self.tasks.push((
            name,
            Arc::new(FakeTask { name, diary: diary.clone(), policy, version, body, gate }),
        ));
        self
    }
}

impl FakeRunner {
    fn has(&self, name: &str) -> bool {
        name != "late" || self.late.load(Ordering::SeqCst)
    }
}

impl Runner for FakeRunner {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>> {
        let (_, task) = self.tasks.iter().find(|(known, _)| *known == name && self.has(known))?;
        Some(Arc::clone(task) as Arc<dyn Task>)
    }

    fn names(&self) -> Vec<TaskName> {
        let names = self.tasks.iter().map(|(name, _)| *name).filter(|name| self.has(name));
        names.map(TaskName::new).collect()
    }
}

#[async_trait]
impl Task for FakeTask {
    fn policy(&self) -> &TaskPolicy {
        &self.policy
    }

    fn version(&self) -> &PluginVersion {
        &self.version
    }

    /// Tasks whose names say so take request, exception and traceback.
    fn arity(&self) -> usize {
        if self.name.starts_with("on_error") { 3 } else { 1 }
    }

    async fn run(&self, call: Call, outbox: Arc<dyn Outbox>, stop: CancellationToken) -> Ended {
        self.diary.note(format!("run {}", call.name));
        let outcome = match &self.gate {
            None => (self.body)(call, outbox),
            Some(gate) => tokio::select! {
                permit = gate.acquire() => {
                    permit.expect("never closed").forget();
                    (self.body)(call, outbox)
                }
                () = stop.cancelled() => Outcome::Stopped,
            },
        };
        Ended { outcome, cost: Cost::default() }
    }
}
