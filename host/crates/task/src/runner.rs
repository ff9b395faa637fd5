//! Seams 3 and 4: what runs a task, and what a running task may send out.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use umbel_value::Value;

use crate::call::Call;
use crate::name::{PluginVersion, TaskName};
use crate::outcome::Ended;
use crate::policy::TaskPolicy;

/// Finds tasks by name. The engine's catalogue; closures in tests.
pub trait Runner: Send + Sync {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>>;
    /// Every name, sorted.
    fn names(&self) -> Vec<TaskName>;
}

/// One task of one plugin version. A reload never changes a handle already given out.
#[async_trait]
pub trait Task: Send + Sync {
    fn policy(&self) -> &TaskPolicy;

    fn version(&self) -> &PluginVersion;

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
}
