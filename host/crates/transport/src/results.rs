//! Seam 2: where results go.

use std::time::Duration;

use async_trait::async_trait;
use umbel_protocol::record::ResultRecord;

use crate::address::Address;
use crate::broker::BoxError;

/// A result store. Connects on construction and reconnects inside.
#[async_trait]
pub trait ResultStore: Send + Sync {
    /// Returns once the record is stored, and whoever waits for it is told. Never replaces a
    /// SUCCESS. Many records may travel together.
    async fn put(&self, record: &ResultRecord, reply: &Reply) -> Result<(), StoreError>;

    /// The latest record, if any. Stores that only deliver (`rpc://`) give what this process
    /// received through [`ResultStore::reply_to`].
    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError>;

    /// Waits until the task is ready or time is up; gives the latest record seen.
    async fn wait(&self, id: &str, timeout: Duration) -> Result<Option<ResultRecord>, StoreError>;

    /// What a message sent by this process carries as `reply_to`, if this store needs it. Call
    /// before sending.
    async fn reply_to(&self) -> Result<Option<String>, StoreError>;

    /// Closes what it holds, after what was put is stored.
    async fn close(&self);
}

/// Where the caller waits, as its message said. Only `rpc://` reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub reply_to: Option<String>,
    pub correlation_id: String,
}

/// A result as a message to the queue its caller reads (PROTOCOL 4.7).
#[cfg(any(feature = "amqp", feature = "redis"))]
pub(crate) fn reply_message(
    record: &ResultRecord,
    correlation_id: &str,
) -> umbel_protocol::message::RawMessage {
    let id = if correlation_id.is_empty() { &record.id } else { correlation_id };
    umbel_protocol::message::RawMessage {
        properties: umbel_protocol::message::Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            correlation_id: Some(id.to_owned()),
            // Gone when the server restarts; so is the queue.
            delivery_mode: Some(1),
            priority: Some(0),
            ..Default::default()
        },
        headers: Default::default(),
        body: record.to_json().into(),
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server cannot be reached; worth another try.
    #[error("cannot reach {address}")]
    Unreachable {
        address: Address,
        #[source]
        source: BoxError,
    },
    /// User or password is not accepted.
    #[error("{address} refuses the credentials")]
    Refused {
        address: Address,
        #[source]
        source: BoxError,
    },
    /// The record can never be stored there: too large for the store.
    #[error("{what}")]
    Unstorable { what: String },
    /// Anything nobody branches on; worth another try.
    #[error("{what}")]
    Other {
        what: String,
        #[source]
        source: BoxError,
    },
}
