//! Seam 1: where messages come from and go to.

use async_trait::async_trait;
use umbel_protocol::message::{RawMessage, Route};

use crate::address::Address;
use crate::delivery::Delivery;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message broker. Connects on construction and reconnects inside, with backoff, for as long as
/// it lives.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Declares `queues` as Celery does and starts taking from them, fairly; at most `window`
    /// deliveries are unsettled at any time.
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError>;

    /// Returns once the broker has taken the message over. Declares the queue (and, as Celery does,
    /// the exchange of its name) when the route names a queue that was not declared before.
    /// Survives one reconnect: waits for it.
    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError>;

    /// Closes what it holds. Deliveries that are not settled by then will come again.
    async fn close(&self);
}

/// A running subscription.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery; `None` after `stop`. Cancel safe. Reconnects inside; an error is final
    /// (for example a queue that exists with other arguments, or a password no longer valid).
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError>;

    /// Changes how many deliveries may be unsettled.
    async fn resize(&mut self, window: u16) -> Result<(), BrokerError>;

    /// Takes nothing more and gives back what was taken but not yet handed out. Deliveries already
    /// handed out stay valid until settled.
    async fn stop(&mut self) -> Result<(), BrokerError>;
}

/// Why a broker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The server cannot be reached, or the connection went away.
    #[error("cannot reach {address}")]
    Unreachable {
        address: Address,
        #[source]
        source: BoxError,
    },
    /// User, password or virtual host is not accepted.
    #[error("{address} refuses the credentials or the virtual host")]
    Refused {
        address: Address,
        #[source]
        source: BoxError,
    },
    /// A queue or exchange exists with other arguments.
    #[error("`{name}` exists on {address} with other arguments")]
    Conflict {
        name: String,
        address: Address,
        #[source]
        source: BoxError,
    },
    /// The delivery's connection is gone: the broker will deliver the message again.
    #[error("the delivery is void since the connection was lost; it will come again")]
    Stale,
    /// Closed by us.
    #[error("closed")]
    Closed,
    /// Anything nobody branches on.
    #[error("{what}")]
    Other {
        what: String,
        #[source]
        source: BoxError,
    },
}
