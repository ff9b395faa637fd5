//! What a worker sees of a task message (PROTOCOL sections 1.1 to 1.3).

mod chain;
mod read;
mod write;

use bytes::Bytes;
use umbel_value::{Map, Value};

use crate::body::Content;
use crate::time::Timestamp;

pub use chain::{Chain, Unread};
pub(crate) use read::arguments;

/// A message as a transport carries it: properties, headers and an unopened body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawMessage {
    pub properties: Properties,
    pub headers: Map,
    pub body: Bytes,
}

impl RawMessage {
    /// When it was handed to the broker, if it says so: by its `timestamp`, which clients set or
    /// leave out as they like, or to the millisecond where the server adds it.
    pub fn published(&self) -> Option<jiff::Timestamp> {
        let precise = self.headers.get("timestamp_in_ms").and_then(Value::as_i64);
        let precise = precise.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        let seconds = || i64::try_from(self.properties.timestamp?).ok();
        precise.or_else(|| jiff::Timestamp::from_second(seconds()?).ok())
    }
}

/// AMQP's basic properties, as far as Celery uses them. Transports pass on what they can express.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    /// 1 transient, 2 durable.
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    /// Milliseconds as decimal text.
    pub expiration: Option<String>,
    pub message_id: Option<String>,
    pub app_id: Option<String>,
    /// AMQP's `type`.
    pub kind: Option<String>,
    /// Seconds since the epoch.
    pub timestamp: Option<u64>,
    /// Properties that only the Redis envelope carries and that we do not know; kept as they came.
    pub other: Map,
}

/// Where a message goes: an exchange and a routing key. The empty exchange delivers to the queue
/// that the key names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route {
    pub exchange: String,
    pub routing_key: String,
}

impl Route {
    /// Straight to a queue.
    pub fn queue(name: &str) -> Self {
        Self { exchange: String::new(), routing_key: name.to_owned() }
    }
}

/// Which of Celery's message protocols a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// A task request after decoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub version: Version,
    pub id: String,
    pub task: String,
    pub args: Vec<Value>,
    pub kwargs: Map,
    pub embed: Embed,
    pub shadow: Option<String>,
    pub eta: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub group: Option<String>,
    pub group_index: Option<u32>,
    pub retries: u32,
    /// Seconds.
    pub time_limit: Option<f64>,
    /// Seconds.
    pub soft_time_limit: Option<f64>,
    pub root_id: Option<String>,
    pub parent_id: Option<String>,
    pub argsrepr: Option<String>,
    pub kwargsrepr: Option<String>,
    pub origin: Option<String>,
    /// `None`: the task's own setting decides.
    pub ignore_result: Option<bool>,
    pub replaced_task_nesting: u32,
    pub stamped_headers: Option<Vec<String>>,
    pub stamps: Map,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub priority: Option<u8>,
    /// How its body was written, and will be.
    pub content: Content,
    /// Every header that has no field above, the caller's own among them, as it came.
    pub headers: Map,
}

impl Message {
    /// The name people see: the one that the sender gave this very call, or the task's.
    pub fn shown_name(&self) -> &str {
        self.shadow.as_deref().filter(|shadow| !shadow.is_empty()).unwrap_or(&self.task)
    }
}

/// What is to happen after the task; kept as it came, opened only when it is needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embed {
    /// `None` is null or absent; an empty list is kept as such.
    pub callbacks: Option<Value>,
    pub errbacks: Option<Value>,
    /// Remaining steps in reverse order: the next one is the last.
    pub chain: Option<Chain>,
    pub chord: Option<Value>,
    /// Keys that have no field above.
    pub other: Map,
}

/// Why a message cannot become a task request (PROTOCOL 8.4). The worker's reaction depends on it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not a task message at all.
    #[error("unknown message: {0}")]
    Unknown(String),
    /// The body cannot be read: bad JSON, unknown compression, corrupt data, a bomb.
    #[error("cannot decode message body: {0}")]
    Undecodable(String),
    /// A content type that is not accepted.
    #[error("Refusing to deserialize untrusted content of type {name} ({content_type})")]
    Disallowed { name: String, content_type: String },
    /// Readable, but not a valid task request. `id` and `task` are given when they could be told,
    /// so that a failure can be stored for the caller.
    #[error("invalid task message: {what}")]
    Invalid { what: String, id: Option<String>, task: Option<String> },
}
