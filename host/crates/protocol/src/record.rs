//! Result records (PROTOCOL 4.2 and 4.3).

use umbel_value::{Map, Value};

/// A task's state (PROTOCOL 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Started,
    Success,
    Failure,
    Revoked,
    Retry,
    /// A state of the task's own.
    Custom(String),
}

impl State {
    pub fn as_str(&self) -> &str {
        match self {
            State::Pending => "PENDING",
            State::Started => "STARTED",
            State::Success => "SUCCESS",
            State::Failure => "FAILURE",
            State::Revoked => "REVOKED",
            State::Retry => "RETRY",
            State::Custom(name) => name,
        }
    }

    /// Nothing follows a ready state.
    pub fn is_ready(&self) -> bool {
        matches!(self, State::Success | State::Failure | State::Revoked)
    }
}

/// What is stored under a task's id.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRecord {
    pub id: String,
    pub state: State,
    /// The value, or an exception as [`Exception::to_value`] writes it.
    pub result: Value,
    pub traceback: Option<String>,
    /// Result tuples; `None` is null.
    pub children: Option<Vec<Value>>,
    /// ISO 8601; only in ready states.
    pub date_done: Option<String>,
    pub group_id: Option<String>,
    pub parent_id: Option<String>,
    /// Keys that have no field above, `result_extended`'s among them.
    pub other: Map,
}

/// An exception as results carry it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    pub kind: String,
    pub args: Vec<Value>,
    pub module: Option<String>,
}

impl Exception {
    /// `{"exc_type", "exc_message", "exc_module"}`.
    pub fn to_value(&self) -> Value {
        todo!()
    }

    /// Reads what Celery or we stored; `None` if it is no exception.
    pub fn from_value(value: &Value) -> Option<Exception> {
        let _ = value;
        todo!()
    }
}

impl ResultRecord {
    /// The stored JSON. `status` comes first and `task_id` last, as Celery writes it.
    pub fn to_json(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads what Celery or we stored, compressed results of Celery 5.7 included.
    pub fn from_json(text: &[u8]) -> Result<ResultRecord, RecordError> {
        let _ = text;
        todo!()
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not a result record: {0}")]
pub struct RecordError(pub String);
