//! A broker, a store and tasks in memory, which write down what was done to them and in which order.

#![expect(clippy::unwrap_used, reason = "a test may end where its fakes cannot go on")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::record::ResultRecord;
use umbel_task::call::Call;
use umbel_task::name::{PluginVersion, TaskName};
use umbel_task::outcome::{Cost, Ended, Outcome};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Outbox, Runner, Task};
use umbel_transport::broker::{Broker, BrokerError, Consumer};
use umbel_transport::delivery::{Delivery, Receipt, Settle, Tag};
use umbel_transport::results::{Reply, ResultStore, StoreError};

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
#[derive(Clone)]
pub(crate) struct FakeBroker {
    pub(crate) diary: Diary,
    queue: Arc<Mutex<VecDeque<RawMessage>>>,
    arrived: Arc<Notify>,
    /// How many publishes fail before one succeeds.
    pub(crate) failing: Arc<AtomicUsize>,
    pub(crate) published: Arc<Mutex<Vec<(Route, RawMessage)>>>,
}

impl FakeBroker {
    pub(crate) fn new(diary: &Diary) -> Self {
        Self {
            diary: diary.clone(),
            queue: Arc::default(),
            arrived: Arc::default(),
            failing: Arc::default(),
            published: Arc::default(),
        }
    }

    pub(crate) fn deliver(&self, message: RawMessage) {
        self.queue.lock().unwrap().push_back(message);
        self.arrived.notify_one();
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
        _queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let (settled, mut settlements) = mpsc::unbounded_channel::<Settle>();
        let unsettled = Arc::new(AtomicUsize::new(0));
        let (diary, count, arrived) =
            (self.diary.clone(), Arc::clone(&unsettled), Arc::clone(&self.arrived));
        tokio::spawn(async move {
            while let Some(settle) = settlements.recv().await {
                diary.note(format!("{:?}", settle.how));
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

    async fn close(&self) {}
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        loop {
            if self.unsettled.load(Ordering::SeqCst) < self.window
                && let Some(message) = self.broker.queue.lock().unwrap().pop_front()
            {
                self.unsettled.fetch_add(1, Ordering::SeqCst);
                self.next += 1;
                return Ok(Some(Delivery {
                    message,
                    route: Route::queue("celery"),
                    queue: "celery".into(),
                    redelivered: false,
                    deliveries: None,
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
    /// How many puts fail before one succeeds.
    pub(crate) failing: Arc<AtomicUsize>,
}

impl FakeStore {
    pub(crate) fn new(diary: &Diary) -> Self {
        Self { diary: diary.clone(), records: Arc::default(), failing: Arc::default() }
    }

    pub(crate) fn last(&self) -> ResultRecord {
        self.records.lock().unwrap().last().expect("a record").clone()
    }
}

#[async_trait]
impl ResultStore for FakeStore {
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

    async fn close(&self) {}
}

type Body = Box<dyn Fn(Call, Arc<dyn Outbox>) -> Outcome + Send + Sync>;

/// One task: a closure, or a run that lasts until it is released or stopped.
pub(crate) struct FakeTask {
    diary: Diary,
    policy: TaskPolicy,
    version: PluginVersion,
    body: Body,
    /// Runs wait for a permit when there is one.
    pub(crate) gate: Option<Arc<tokio::sync::Semaphore>>,
}

/// Tasks by name.
#[derive(Default)]
pub(crate) struct FakeRunner(Vec<(&'static str, Arc<FakeTask>)>);

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
        self.0
            .push((name, Arc::new(FakeTask { diary: diary.clone(), policy, version, body, gate })));
        self
    }
}

impl Runner for FakeRunner {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>> {
        let (_, task) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(Arc::clone(task) as Arc<dyn Task>)
    }

    fn names(&self) -> Vec<TaskName> {
        self.0.iter().map(|(name, _)| TaskName::new(name)).collect()
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
