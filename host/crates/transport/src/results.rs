//! Seam 2: where results go.

use std::time::Duration;

use async_trait::async_trait;
use umbel_protocol::chord::ChordPart;
use umbel_protocol::record::ResultRecord;
use umbel_value::Value;

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

    /// Notes how many parts a chord waits for. Before its last part is sent.
    async fn begin_chord(&self, group: &str, size: u32) -> Result<(), StoreError> {
        let _ = (group, size);
        Err(StoreError::Unsupported("chords"))
    }

    /// Makes a chord wait for so many parts more.
    async fn grow_chord(&self, group: &str, by: u32) -> Result<(), StoreError> {
        let _ = (group, by);
        Err(StoreError::Unsupported("chords"))
    }

    /// Counts one part in; counting it in again changes nothing. Whoever is told
    /// [`Joined::Complete`] holds the claim, alone and for a while, and must see the body sent.
    async fn join(&self, part: &ChordPart) -> Result<Joined, StoreError> {
        let _ = part;
        Err(StoreError::Unsupported("chords"))
    }

    /// Holds a claim for so much longer; false if it is lost.
    async fn extend_claim(&self, claim: &Claim, time: Duration) -> Result<bool, StoreError> {
        let _ = (claim, time);
        Err(StoreError::Unsupported("chords"))
    }

    /// The body is sent (`sent`), or can never be: forgets the chord as Celery does.
    async fn end_chord(&self, claim: &Claim, sent: bool) -> Result<(), StoreError> {
        let _ = (claim, sent);
        Err(StoreError::Unsupported("chords"))
    }

    /// Keeps a group's result tuple under its id.
    async fn save_group(&self, group: &str, tuple: &Value) -> Result<(), StoreError> {
        let _ = (group, tuple);
        Err(StoreError::Unsupported("groups"))
    }

    /// A group's result tuple, if it was kept.
    async fn group(&self, group: &str) -> Result<Option<Value>, StoreError> {
        let _ = group;
        Err(StoreError::Unsupported("groups"))
    }

    /// Why it can never write this value as a result, in its serializer's words; `None` where it can.
    fn refuses(&self, value: &Value) -> Option<String> {
        let _ = value;
        None
    }

    /// Closes what it holds, after what was put is stored.
    async fn close(&self);
}

/// What counting a part in came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// Parts are missing, or the size is not known yet: somebody else will complete it.
    Waiting,
    /// All parts are in, and this caller is to send the body.
    Complete {
        claim: Claim,
        /// By position; those without one last.
        parts: Vec<ChordPart>,
    },
    /// All parts are in, and somebody else holds the claim. Ask again: it may die.
    Claimed,
    /// The body was sent.
    Done,
}

/// The right to send a chord's body, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub group: String,
    pub token: String,
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
    serializer: umbel_protocol::body::Serializer,
) -> umbel_protocol::message::RawMessage {
    let id = if correlation_id.is_empty() { &record.id } else { correlation_id };
    umbel_protocol::message::RawMessage {
        properties: umbel_protocol::message::Properties {
            content_type: Some(serializer.content_type().into()),
            content_encoding: Some(serializer.content_encoding().into()),
            correlation_id: Some(id.to_owned()),
            // Gone when the server restarts; so is the queue.
            delivery_mode: Some(1),
            priority: Some(0),
            ..Default::default()
        },
        headers: Default::default(),
        body: record.encode(umbel_protocol::body::Content { serializer, compression: None }).into(),
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
    /// Not something this store does.
    #[error("this result store has no {0}")]
    Unsupported(&'static str),
    /// Anything nobody branches on; worth another try.
    #[error("{what}")]
    Other {
        what: String,
        #[source]
        source: BoxError,
    },
}
