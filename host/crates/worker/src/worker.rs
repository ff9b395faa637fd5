//! A worker: what it is made of, its life from the first consume to the last settlement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use umbel_protocol::body::Serializer;
use umbel_protocol::message::{RawMessage, Route};
use umbel_task::policy::matches;
use umbel_task::runner::Runner;
use umbel_transport::broker::{Broker, BrokerError, Consumer};
use umbel_transport::results::ResultStore;
use umbel_value::{Map, Value};

use crate::builtins::WithBuiltins;
use crate::control::{Clock, Gossip, Plugins};
use crate::events::Events;
use crate::flow::Flow;
use crate::hold::Held;
use crate::hop::Hop;
use crate::inflight::Inflight;
use crate::observe::{Observer, Watch};
use crate::queues::Queues;
use crate::record::Recorder;
use crate::revoked::Revoked;
use crate::shutdown::Shutdown;
use crate::slots::{Slot, Slots};
use crate::tell::{Summary, Tally};
use crate::vitals::Vitals;
use crate::{control, events, intake, parked};

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `celery@host`, as operators see it.
    pub node: String,
    pub queues: Vec<String>,
    /// Tasks at once, to begin with.
    pub concurrency: usize,
    /// Tasks at once that remote control may ask for.
    pub max_concurrency: usize,
    /// Unsettled messages for each slot.
    pub prefetch_multiplier: u16,
    /// How long running tasks may go on after the worker was told to stop.
    pub drain_timeout: Duration,
    /// Messages that may wait here for their time; more are given back to the broker to wait there.
    pub hold_limit: usize,
    /// Where tasks go that name no queue and match no route.
    pub default_queue: String,
    /// Task names (`*` for any text) and the queue of tasks that are sent from here.
    pub routes: Vec<(String, String)>,
    /// Serializers that are opened; others are refused.
    pub accept: Vec<Serializer>,
    /// Store name, arguments, worker and queue with each result.
    pub result_extended: bool,
    /// Listen to remote control.
    pub control: bool,
    /// Ask the other workers which tasks are revoked when starting.
    pub mingle: bool,
    /// Listen to what other workers tell of themselves, and take part in their elections.
    pub gossip: bool,
    /// Tell of tasks from the start; otherwise when remote control asks for it.
    pub task_events: bool,
    /// How often to give a sign of life; `None` is never.
    pub heartbeat: Option<Duration>,
    /// What remote control is told of what the worker does not know itself.
    pub about: About,
    /// Keep messages whose task nobody here has until a plugin brings it, instead of refusing them.
    pub park_unknown: bool,
    /// The wall clock. It may jump: only what is said in its terms (eta, expiry, dates) asks it.
    pub clock: fn() -> Timestamp,
    /// For tests alone: the process ends, at once and without a word, after this hop of a message
    /// whose task name is given.
    pub die_after: Option<(Hop, String)>,
}

/// What remote control is told of what the worker does not know itself; no password is in it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Settings that somebody made.
    pub settings: Map,
    /// All settings.
    pub all_settings: Map,
    /// The server that messages come from.
    pub broker: Value,
    /// What this is and where it runs, in a few lines.
    pub software: String,
    /// The soft and the hard time limit of tasks that have none of their own.
    pub time_limits: (Option<Duration>, Option<Duration>),
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            node: "celery@localhost".to_owned(),
            queues: vec![umbel_protocol::names::DEFAULT_QUEUE.to_owned()],
            concurrency: 64,
            max_concurrency: 128,
            prefetch_multiplier: 1,
            drain_timeout: Duration::from_secs(25),
            hold_limit: 1000,
            default_queue: umbel_protocol::names::DEFAULT_QUEUE.to_owned(),
            routes: Vec::new(),
            accept: vec![Serializer::Json, Serializer::Msgpack, Serializer::Yaml],
            result_extended: false,
            control: true,
            mingle: true,
            gossip: true,
            task_events: false,
            heartbeat: Some(Duration::from_secs(2)),
            about: About::default(),
            park_unknown: false,
            clock: Timestamp::now,
            die_after: None,
        }
    }
}

impl WorkerConfig {
    /// Where a task goes that names no queue.
    pub fn route(&self, task: &str) -> Route {
        let routed = self.routes.iter().find(|(pattern, _)| matches(pattern, task));
        Route::queue(routed.map_or(&self.default_queue, |(_, queue)| queue))
    }
}

/// How often a worker that has reached its broker asks again for its queues.
const RESUBSCRIPTIONS: u64 = 8;

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("cannot take messages")]
    Consume(#[source] BrokerError),
}

/// Everything the attempts of one worker share.
pub struct Worker {
    pub(crate) config: WorkerConfig,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) store: Option<Arc<dyn ResultStore>>,
    pub(crate) runner: Arc<dyn Runner>,
    /// `None`: they stay as they are.
    pub(crate) plugins: Option<Arc<dyn Plugins>>,
    /// `None`: nobody measures.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) shutdown: Shutdown,
    pub(crate) tracker: TaskTracker,
    pub(crate) held: Arc<Held>,
    pub(crate) tally: Tally,
    pub(crate) inflight: Arc<Inflight>,
    pub(crate) revoked: Revoked,
    pub(crate) flow: Flow,
    pub(crate) clock: Arc<Clock>,
    pub(crate) events: Arc<Events>,
    pub(crate) gossip: Gossip,
    pub(crate) queues: Arc<Queues>,
    pub(crate) vitals: Vitals,
    pub(crate) slots: Arc<Slots>,
    /// One place for messages that may be what took their worker down.
    pub(crate) suspects: Arc<Semaphore>,
    pub(crate) io: Handle,
}

impl Worker {
    /// Must be called inside the runtime that does the worker's IO. Without a store results are dropped.
    pub fn new(
        config: WorkerConfig,
        broker: Arc<dyn Broker>,
        store: Option<Arc<dyn ResultStore>>,
        runner: Arc<dyn Runner>,
    ) -> Self {
        let clock = Arc::new(Clock::default());
        let events = Events::new(&config.node, config.task_events, clock.clone(), config.clock);
        let events = Arc::new(events);
        Self {
            slots: Slots::new(config.concurrency, config.max_concurrency),
            queues: Arc::new(Queues::new(&config.queues)),
            held: Arc::new(Held::new(config.hold_limit)),
            config,
            broker,
            runner: Arc::new(WithBuiltins::new(runner, store.clone())),
            store,
            plugins: None,
            observer: None,
            shutdown: Shutdown::new(),
            tracker: TaskTracker::new(),
            tally: Tally::new(events.clone()),
            events,
            gossip: Gossip::default(),
            vitals: Vitals::new(),
            inflight: Arc::default(),
            revoked: Revoked::default(),
            flow: Flow::default(),
            clock,
            suspects: Arc::new(Semaphore::new(1)),
            io: Handle::current(),
        }
    }

    /// Lets remote control ask about the plugins.
    #[must_use]
    pub fn with_plugins(mut self, plugins: Arc<dyn Plugins>) -> Self {
        self.plugins = Some(plugins);
        self
    }

    /// Tells `observer` what becomes of every message.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What can be asked of it while it works.
    pub fn watch(&self) -> Watch {
        Watch {
            slots: Arc::clone(&self.slots),
            held: Arc::clone(&self.held),
            events: Arc::clone(&self.events),
            queues: Arc::clone(&self.queues),
            runner: Arc::clone(&self.runner),
            presence: self.broker.presence(),
        }
    }

    /// Works until told to stop; calls `ready` once it takes messages. Returns when every message in
    /// its care is settled or given back.
    pub async fn run(
        mut self,
        shutdown: Shutdown,
        ready: impl FnOnce() + Send,
    ) -> Result<Summary, WorkerError> {
        self.shutdown = shutdown;
        let worker = Arc::new(self);
        let Some(consumer) = worker.subscribe().await? else {
            worker.broker.close().await;
            return Ok(worker.tally.summary(0));
        };
        let mut consumer = Some(consumer);
        let publishing = events::start(&worker).await;
        let control = control::start(&worker).await;
        let parked = parked::watch(&worker);
        ready();
        let taken = intake::take_all(&worker, &mut consumer).await;
        events::say_goodbye(&worker);
        match (&taken, &mut consumer) {
            (Ok(()), Some(consumer)) => {
                if let Err(error) = consumer.stop().await {
                    info!("the broker did not hear that we stop: {error}");
                }
            }
            // The subscription is gone for good: end what runs, then say why.
            _ => worker.shutdown.drain(),
        }
        let stuck = intake::drain(&worker).await;
        if let Some(store) = &worker.store {
            store.close().await;
        }
        drop(consumer);
        if let Some(parked) = parked {
            // It panics if it does; nothing is lost by that.
            let _ = parked.await;
        }
        publishing.stop().await;
        worker.broker.close().await;
        control.stop().await;
        taken.map_err(WorkerError::Consume)?;
        Ok(worker.tally.summary(stuck))
    }

    /// `None` if told to stop before it came to that.
    async fn subscribe(&self) -> Result<Option<Box<dyn Consumer>>, WorkerError> {
        let mut tried = 0;
        loop {
            let consume = self.broker.consume(&self.config.queues, self.window());
            let failed = match consume.await {
                // It was there a moment ago: this is the network, or a server or machine that stood still.
                Err(error @ BrokerError::Unreachable { .. }) if tried < RESUBSCRIPTIONS => error,
                done => return done.map(Some).map_err(WorkerError::Consume),
            };
            tried += 1;
            let pause = Duration::from_secs(2 * tried);
            warn!(
                "lost the broker before taking from it: {failed}. Trying again in {pause:?}... ({tried}/{RESUBSCRIPTIONS})"
            );
            tokio::select! {
                () = self.shutdown.draining() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Deliveries that may be unsettled now: those the slots can use, and those that wait for their time.
    pub(crate) fn window(&self) -> u16 {
        let wanted = self.slots.size() * usize::from(self.config.prefetch_multiplier.max(1));
        u16::try_from(wanted.saturating_add(self.held.count())).unwrap_or(u16::MAX)
    }

    /// A free slot; `None` once the worker drains.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        if self.shutdown.is_draining() {
            return None;
        }
        tokio::select! {
            biased;
            slot = self.slots.take() => slot,
            () = self.shutdown.draining() => None,
        }
    }

    /// Writes the records of a message that was published there.
    pub(crate) fn recorder<'a>(&'a self, route: &'a Route) -> Recorder<'a> {
        Recorder { route, node: &self.config.node, extended: self.config.result_extended }
    }

    /// The wall clock, asked here alone; pure code is handed its reading.
    pub(crate) fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    /// A hop of a message is behind it: where a test may want the process to end.
    pub(crate) fn passed(&self, hop: Hop, task: &str) {
        if let Some((fatal, name)) = &self.config.die_after
            && *fatal == hop
            && name == task
        {
            std::process::abort();
        }
    }

    /// As [`Worker::passed`], before the message is decoded.
    pub(crate) fn passed_raw(&self, hop: Hop, raw: &RawMessage) {
        if self.config.die_after.is_some() {
            let task = raw.headers.get("task").and_then(Value::as_str);
            self.passed(hop, task.unwrap_or_default());
        }
    }

    /// Spawns on the tracker: the worker does not end before it.
    pub(crate) fn track(self: Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        // Boxed first: it is some kilobytes, and spawning moves what it is given several times.
        self.tracker.spawn_on(Box::pin(work), &self.io);
    }
}

/// A cheap number in 0..1 for jitter; not for secrets.
pub(crate) fn spread() -> f64 {
    static STATE: AtomicU64 = AtomicU64::new(0x9E37_79B9_7F4A_7C15);
    let mut x = STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x >> 11) as f64 / (1u64 << 53) as f64
}
