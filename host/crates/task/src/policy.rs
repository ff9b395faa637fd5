//! What a task may use and how its messages are treated.

use std::time::Duration;

/// Everything decided about one task by its operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskPolicy {
    pub sandbox: Sandbox,
    pub handling: Handling,
}

/// What a run may use; read by the engine alone. All finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// Hard limit on wall time, blocked time included.
    pub time: Duration,
    /// Bytes of linear memory, all memories of the component together.
    pub memory: u64,
    /// Units of fuel; `None` is unmetered.
    pub fuel: Option<u64>,
    /// Bytes of the result as JSON.
    pub output: u64,
    /// Bytes of log and captured output; more is dropped and counted.
    pub log: u64,
    /// Bytes of wasm stack. One value for the whole engine.
    pub stack: u64,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(300),
            memory: 256 << 20,
            fuel: None,
            output: 8 << 20,
            log: 64 << 10,
            stack: 512 << 10,
        }
    }
}

/// How a task's messages are treated; read by the worker alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Handling {
    pub acks: Acks,
    pub retry: Retry,
}

impl Default for Handling {
    fn default() -> Self {
        Self { acks: Acks::Late, retry: Retry::default() }
    }
}

/// When a message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// When its end is recorded: at least once.
    Late,
    /// When its run starts: at most once.
    Early,
}

/// What a retry that names no number gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    pub max: Option<u32>,
    /// Before the first retry; doubled for each further one.
    pub backoff: Duration,
    pub max_backoff: Duration,
    /// Draw the wait at random between nothing and the computed one.
    pub jitter: bool,
}

impl Default for Retry {
    fn default() -> Self {
        // Celery's `max_retries` and `default_retry_delay`.
        Self {
            max: Some(3),
            backoff: Duration::from_secs(180),
            max_backoff: Duration::from_secs(600),
            jitter: false,
        }
    }
}
