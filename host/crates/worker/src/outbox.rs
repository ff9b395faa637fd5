//! What a running task sends out: states, coalesced; tasks, in order; lines for the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;
use tracing::{Instrument, Span, debug, error, info, warn};
use umbel_protocol::message::{Message, Route};
use umbel_protocol::record::{ResultRecord, State};
use umbel_task::policy::Submit;
use umbel_task::runner::{Level, LogLine, Outbox, OutboxError, Source, Submission, Task};
use umbel_transport::results::ResultStore;
use umbel_value::Value;

use crate::builtins::is_builtin;
use crate::carry::{Halt, reply};
use crate::record::Recorder;
use crate::submissions::{Origin, Submissions};
use crate::verdict::Sent;
use crate::worker::Worker;

/// The outbox of one run.
pub(crate) struct RunOutbox {
    worker: Arc<Worker>,
    message: Arc<Message>,
    route: Route,
    /// States are stored.
    watched: bool,
    states: Mutex<States>,
    /// Lines about it are told in here: the run has threads of its own.
    span: Span,
    submissions: Submissions,
}

#[derive(Default)]
struct States {
    latest: Option<ResultRecord>,
    /// Writes until nothing is pending; at most one at a time.
    writer: Option<JoinHandle<()>>,
    writing: bool,
    closed: bool,
}

impl RunOutbox {
    pub(crate) fn new(
        worker: &Arc<Worker>,
        message: &Arc<Message>,
        route: &Route,
        task: &dyn Task,
        repeated: bool,
    ) -> Arc<Self> {
        let handling = &task.policy().handling;
        let watched = !message.ignore_result.unwrap_or(handling.ignore_result);
        let origin = if is_builtin(task) { Origin::Message } else { Origin::Guest };
        let submissions =
            Submissions::new(worker, message, handling.submit.clone(), origin, repeated);
        Self::make(worker, message, route.clone(), watched, submissions)
    }

    /// For a run beside the message's own: its states and tasks go nowhere.
    pub(crate) fn silent(worker: &Arc<Worker>, message: &Arc<Message>) -> Arc<Self> {
        let submissions =
            Submissions::new(worker, message, Submit::default(), Origin::Guest, false);
        Self::make(worker, message, Route::default(), false, submissions)
    }

    fn make(
        worker: &Arc<Worker>,
        message: &Arc<Message>,
        route: Route,
        watched: bool,
        submissions: Submissions,
    ) -> Arc<Self> {
        Arc::new(Self {
            worker: Arc::clone(worker),
            message: Arc::clone(message),
            route,
            watched: watched && worker.store.is_some(),
            states: Mutex::default(),
            span: Span::current(),
            submissions,
        })
    }

    /// What the task itself is given.
    pub(crate) fn handle(self: &Arc<Self>) -> Arc<dyn Outbox> {
        Arc::new(Handle(Arc::clone(self)))
    }

    /// Stores STARTED, in the background like every state on the way.
    pub(crate) fn started(self: &Arc<Self>) {
        self.note(self.recorder().started(&self.message));
    }

    /// Waits until what was sent is sent and the write under way is over; drops what is still
    /// pending, so that no state can follow the final one.
    pub(crate) async fn close(&self) -> Result<Sent, Halt> {
        let writer = {
            let mut states = self.states();
            states.closed = true;
            states.latest = None;
            states.writer.take()
        };
        if let Some(writer) = writer
            && let Err(panic) = writer.await
        {
            error!("writing progress failed: {panic}");
        }
        self.submissions.close().await
    }

    fn recorder(&self) -> Recorder<'_> {
        self.worker.recorder(&self.route)
    }

    fn note(self: &Arc<Self>, record: ResultRecord) {
        let Some(store) = self.worker.store.as_ref().filter(|_| self.watched) else { return };
        let mut states = self.states();
        if states.closed {
            return;
        }
        states.latest = Some(record);
        if !states.writing {
            states.writing = true;
            let writing = Arc::clone(self).write(Arc::clone(store));
            let writing = writing.instrument(self.span.clone());
            states.writer = Some(self.worker.io.spawn(writing));
        }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        // Nothing panics while it is held; if something did, the state is still whole.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>, store: Arc<dyn ResultStore>) {
        loop {
            let record = {
                let mut states = self.states();
                match states.latest.take() {
                    Some(latest) if !states.closed => latest,
                    _ => {
                        states.writing = false;
                        return;
                    }
                }
            };
            if let Err(error) = store.put(&record, &reply(&self.message, &record.id)).await {
                warn!(id = %self.message.id, "progress was not stored: {error}");
            }
        }
    }
}

/// Handed to the task; a new type so that the writer can hold the outbox itself.
struct Handle(Arc<RunOutbox>);

impl Outbox for Handle {
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError> {
        if CELERYS_OWN.contains(&state.as_str()) || state.is_empty() || state.len() > 100 {
            return Err(OutboxError::State(state));
        }
        let outbox = &self.0;
        outbox.note(outbox.recorder().passing(&outbox.message, State::Custom(state), meta));
        Ok(())
    }

    fn log(&self, line: LogLine) {
        let _about = self.0.span.enter();
        let Message { id, task, .. } = &*self.0.message;
        let from = match line.from {
            Source::Log => "log",
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        };
        let fields = match &line.fields {
            Value::Null => String::new(),
            fields => format!(" {}", fields.to_json()),
        };
        let text = &line.message;
        match line.level {
            Level::Debug => debug!(target: "umbel::guest", "{task}[{id}] {from}: {text}{fields}"),
            Level::Info => info!(target: "umbel::guest", "{task}[{id}] {from}: {text}{fields}"),
            Level::Warning => warn!(target: "umbel::guest", "{task}[{id}] {from}: {text}{fields}"),
            Level::Error => error!(target: "umbel::guest", "{task}[{id}] {from}: {text}{fields}"),
        }
    }

    fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        let _about = self.0.span.enter();
        self.0.submissions.submit(task)
    }

    fn apply(&self, signature: Value, args: Vec<Value>) -> Result<Value, OutboxError> {
        let _about = self.0.span.enter();
        self.0.submissions.apply(signature, &args)
    }

    fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        self.0.submissions.replace(signature)
    }

    fn add_to_chord(&self, signature: Value) -> Result<Value, OutboxError> {
        self.0.submissions.add_to_chord(signature)
    }
}

/// States that only the worker sets.
const CELERYS_OWN: [&str; 9] = [
    "PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "RETRY", "IGNORED",
    "REJECTED",
];
