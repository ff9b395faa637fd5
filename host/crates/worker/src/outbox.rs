//! What a running task sends out: progress, coalesced, and lines for the log.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};
use umbel_protocol::message::Message;
use umbel_task::runner::{Level, LogLine, Outbox, OutboxError, Source};
use umbel_transport::results::{Reply, ResultStore};
use umbel_value::Value;

use crate::verdict;

/// The outbox of one run.
pub(crate) struct RunOutbox {
    message: Arc<Message>,
    reply: Reply,
    store: Option<Arc<dyn ResultStore>>,
    io: Handle,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    latest: Option<(String, Value)>,
    /// Writes until nothing is pending; at most one at a time.
    writer: Option<JoinHandle<()>>,
    writing: bool,
    closed: bool,
}

impl RunOutbox {
    pub(crate) fn new(
        message: Arc<Message>,
        reply: Reply,
        store: Option<Arc<dyn ResultStore>>,
        io: Handle,
    ) -> Arc<Self> {
        Arc::new(Self { message, reply, store, io, pending: Mutex::default() })
    }

    /// Waits for the write that is under way and drops what is still pending, so that no state can
    /// follow the final one.
    pub(crate) async fn close(&self) {
        let writer = {
            let mut pending = self.pending();
            pending.closed = true;
            pending.latest = None;
            pending.writer.take()
        };
        if let Some(writer) = writer
            && let Err(panic) = writer.await
        {
            error!("writing progress failed: {panic}");
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        // Nothing panics while it is held; if something did, the state is still whole.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>, store: Arc<dyn ResultStore>) {
        loop {
            let (state, meta) = {
                let mut pending = self.pending();
                match pending.latest.take() {
                    Some(latest) if !pending.closed => latest,
                    _ => {
                        pending.writing = false;
                        return;
                    }
                }
            };
            let record = verdict::progress(&self.message, state, meta);
            if let Err(error) = store.put(&record, &self.reply).await {
                warn!(id = %self.message.id, "progress was not stored: {error}");
            }
        }
    }
}

/// Handed to the task; a new type so that the writer can hold the outbox itself.
pub(crate) struct Shared(pub(crate) Arc<RunOutbox>);

impl Outbox for Shared {
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError> {
        if CELERYS_OWN.contains(&state.as_str()) || state.is_empty() || state.len() > 100 {
            return Err(OutboxError::State(state));
        }
        let outbox = &self.0;
        let Some(store) = &outbox.store else { return Ok(()) };
        if outbox.message.ignore_result == Some(true) {
            return Ok(());
        }
        let mut pending = outbox.pending();
        if pending.closed {
            return Ok(());
        }
        pending.latest = Some((state, meta));
        if !pending.writing {
            pending.writing = true;
            let writer = outbox.io.spawn(Arc::clone(outbox).write(Arc::clone(store)));
            pending.writer = Some(writer);
        }
        Ok(())
    }

    fn log(&self, line: LogLine) {
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
}

/// States that only the worker sets.
const CELERYS_OWN: [&str; 9] = [
    "PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "RETRY", "IGNORED",
    "REJECTED",
];
