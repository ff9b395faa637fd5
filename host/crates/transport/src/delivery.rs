//! A message in our care, and the right to settle it once.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use umbel_protocol::message::{RawMessage, Route};

use crate::broker::BrokerError;

/// A message in our care.
#[derive(Debug)]
pub struct Delivery {
    pub message: RawMessage,
    /// Where it was published to.
    pub route: Route,
    /// The queue it was taken from.
    pub queue: Arc<str>,
    /// It was handed out before.
    pub redelivered: bool,
    /// How often it was handed out before without being settled or given back in good order, where
    /// the broker counts.
    pub deliveries: Option<u32>,
    pub receipt: Receipt,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done with.
    Ack,
    /// Back to the queue, to be delivered again, as if it had never been handed out.
    Requeue,
    /// Back to the queue, and counted as a delivery.
    Reject,
    /// Back to the broker, to be delivered again at this time at the earliest, as if it had never
    /// been handed out. Only brokers that keep what they handed out can: ask [`Broker::delay`].
    ///
    /// [`Broker::delay`]: crate::broker::Broker::delay
    Delay(Timestamp),
    /// Done with, to the queue's dead-letter exchange where there is one.
    Discard,
}

/// Identifies a delivery to the transport that made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    Number(u64),
    Text(Arc<str>),
}

/// One settlement on its way to the transport.
#[derive(Debug)]
pub struct Settle {
    pub tag: Tag,
    /// Tags are void after a reconnect; `generation` tells a stale one from a lost one.
    pub generation: u32,
    pub how: Settlement,
    /// Told once the broker has it (or, where it confirms nothing, once it is written). `None` when nobody waits.
    pub done: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

/// The right to settle a delivery, once. Dropped unused, it asks for redelivery.
#[derive(Debug)]
pub struct Receipt {
    tag: Option<Tag>,
    generation: u32,
    // Unbounded: never holds more than the window's deliveries.
    to: mpsc::UnboundedSender<Settle>,
}

impl Receipt {
    pub fn new(tag: Tag, generation: u32, to: mpsc::UnboundedSender<Settle>) -> Self {
        Self { tag: Some(tag), generation, to }
    }

    /// What it settles, for a transport that does more than settle.
    #[allow(dead_code, reason = "not every set of transports needs it")]
    pub(crate) fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Which handing out it settles.
    #[allow(dead_code, reason = "not every set of transports needs it")]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Settles; returns once the broker has been told. Many settlements may leave together.
    pub async fn settle(mut self, how: Settlement) -> Result<(), BrokerError> {
        let Some(tag) = self.tag.take() else { return Err(BrokerError::Closed) };
        let (done, told) = oneshot::channel();
        let settle = Settle { tag, generation: self.generation, how, done: Some(done) };
        self.to.send(settle).map_err(|_| BrokerError::Stale)?;
        told.await.unwrap_or(Err(BrokerError::Stale))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            let settle =
                Settle { tag, generation: self.generation, how: Settlement::Requeue, done: None };
            // The transport is gone: its deliveries come again by themselves.
            let _ = self.to.send(settle);
        }
    }
}
