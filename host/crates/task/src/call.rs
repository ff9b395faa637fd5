//! All that a run is told.

use std::time::Duration;

use umbel_value::{Map, Value};

/// One run's arguments and circumstances. `context.current` shows them to the guest.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub id: String,
    pub name: String,
    pub args: Vec<Value>,
    pub kwargs: Map,
    pub retries: u32,
    pub root_id: String,
    pub parent_id: Option<String>,
    pub group_id: Option<String>,
    pub group_index: Option<u32>,
    /// ISO 8601, as the caller wrote it.
    pub eta: Option<String>,
    /// ISO 8601, as the caller wrote it.
    pub expires: Option<String>,
    /// The caller's hard limit. The run gets the smaller of this and its policy's.
    pub time_limit: Option<Duration>,
    /// The caller's soft limit.
    pub soft_time_limit: Option<Duration>,
    pub reply_to: Option<String>,
    pub correlation_id: String,
    pub delivery: DeliveryInfo,
    /// The caller's own headers.
    pub headers: Map,
    pub stamps: Map,
}

/// How the message reached this worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryInfo {
    pub exchange: String,
    pub routing_key: String,
    pub priority: Option<u8>,
    pub redelivered: bool,
}
