//! Seams 3 and 4: what runs a task, and what a running task may send out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use umbel_value::{Map, Value};

use crate::call::Call;
use crate::name::{PluginVersion, TaskName};
use crate::outcome::Ended;
use crate::policy::TaskPolicy;

/// Finds tasks by name. The engine's catalogue; closures in tests.
pub trait Runner: Send + Sync {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>>;

    /// The task for one message: of versions that serve side by side the one that its id meets, each
    /// time it is asked.
    fn find_for(&self, name: &str, id: &str) -> Option<Arc<dyn Task>> {
        let _ = id;
        self.find(name)
    }

    /// Every name, sorted.
    fn names(&self) -> Vec<TaskName>;
}

/// One task of one plugin version. A reload never changes a handle already given out.
#[async_trait]
pub trait Task: Send + Sync {
    fn policy(&self) -> &TaskPolicy;

    fn version(&self) -> &PluginVersion;

    /// How many positional arguments it takes at most. Celery calls an error callback of more than
    /// one with request, exception and traceback.
    fn arity(&self) -> usize {
        1
    }

    /// Runs to an outcome; cancelling `stop` ends it with `Outcome::Stopped`. Dropping the future
    /// ends the run as well.
    async fn run(&self, call: Call, outbox: Arc<dyn Outbox>, stop: CancellationToken) -> Ended;
}

/// What a running task may send out. Never blocks the guest on the network.
pub trait Outbox: Send + Sync {
    /// Notes a custom state; the latest unsent one wins.
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError>;

    /// One line for the worker's log, already capped, free of control characters.
    fn log(&self, line: LogLine);

    /// Sends a task, in the background; gives its id.
    fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        Err(OutboxError::Denied(task.name))
    }

    /// Sends a canvas (a signature of a task, chain, group or chord) with `args` before its own;
    /// gives its result tuple.
    fn apply(&self, signature: Value, args: Vec<Value>) -> Result<Value, OutboxError> {
        let _ = args;
        Err(OutboxError::Denied(named(&signature)))
    }

    /// Puts a canvas in this task's place. Takes effect if the run then ends as `Ignored`.
    fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        Err(OutboxError::Denied(named(&signature)))
    }

    /// Adds a task to the chord that this one is a part of; gives its result tuple.
    fn add_to_chord(&self, signature: Value) -> Result<Value, OutboxError> {
        Err(OutboxError::Denied(named(&signature)))
    }
}

fn named(signature: &Value) -> String {
    signature.get("task").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A task that a running task sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submission {
    pub name: String,
    pub args: Vec<Value>,
    pub kwargs: Map,
    /// `None`: where tasks of this name usually go.
    pub queue: Option<String>,
    pub countdown: Option<Duration>,
    /// From now on.
    pub expires: Option<Duration>,
    pub priority: Option<u8>,
    pub time_limit: Option<Duration>,
    pub soft_time_limit: Option<Duration>,
    pub ignore_result: Option<bool>,
    /// The sender's own headers.
    pub headers: Map,
}

/// A line that a guest wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    pub level: Level,
    pub message: String,
    /// Details, `Value::Null` when there are none.
    pub fields: Value,
    pub from: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Which door a line came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Log,
    Stdout,
    Stderr,
}

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("`{0}` is not a state a task may set")]
    State(String),
    #[error("this task may not send `{0}`")]
    Denied(String),
    #[error("this task may not send to the queue `{0}`")]
    Queue(String),
    #[error("this run has sent its {0} tasks; it may send no more")]
    TooMany(u32),
    #[error("tasks sent by tasks, {0} generations deep: no further")]
    TooDeep(u32),
    #[error("{0}")]
    Invalid(String),
}
