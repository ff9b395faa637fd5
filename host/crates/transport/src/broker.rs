//! Seam 1: where messages come from and go to.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use umbel_protocol::control::Binding;
use umbel_protocol::message::{RawMessage, Route};

use crate::address::Address;
use crate::delivery::{Delivery, Receipt, Settlement};
use crate::presence::Presence;

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

    /// Gives a delivery back, to be delivered from its queue again at `at`; up to a second sooner
    /// where the broker counts in whole seconds. Nothing of it stays in this process, and it does
    /// not count as a delivery.
    async fn delay(&self, held: Held, at: Timestamp) -> Result<(), NotDelayed> {
        let _ = at;
        Err(NotDelayed { held: Box::new(held), error: None })
    }

    /// Puts a delivery aside for good, with the reason. Where the broker itself has a place for
    /// what is rejected (a dead-letter exchange), a letter that is not `parked` goes there.
    async fn bury(&self, letter: DeadLetter, receipt: Receipt) -> Result<(), BrokerError> {
        let _ = letter;
        receipt.settle(Settlement::Discard).await
    }

    /// What was put aside, oldest first, at most `limit` letters.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let _ = limit;
        Err(BrokerError::Unsupported("dead letters"))
    }

    /// Puts a dead letter back into the queue it came from, its deliveries forgotten; false if there
    /// is none of that id.
    async fn replay(&self, id: &str) -> Result<bool, BrokerError> {
        let _ = id;
        Err(BrokerError::Unsupported("dead letters"))
    }

    /// How many messages wait in a queue to be taken; 0 if there is no queue of that name. What a
    /// consumer has in its care, or waits for its time, is not counted.
    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        let _ = queue;
        Err(BrokerError::Unsupported("queues that can be looked into"))
    }

    /// Removes what [`Broker::depth`] counts, all of it or a part, and says how many messages that
    /// were: 0 once nothing is left.
    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let _ = queue;
        Err(BrokerError::Unsupported("queues that can be emptied"))
    }

    /// Hears what is said to every worker (remote control) from now on; `node` names this one. A
    /// reply is published like any message, to the exchange and key that the request names.
    async fn listen(&self, node: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let _ = node;
        Err(BrokerError::Unsupported("remote control"))
    }

    /// Says something to every worker that listens now; nobody listening is no error.
    async fn broadcast(&self, message: &RawMessage) -> Result<(), BrokerError> {
        let _ = message;
        Err(BrokerError::Unsupported("remote control"))
    }

    /// Says something to whoever listens to its exchange of events now; nobody listening is no
    /// error, and nothing is kept.
    async fn emit(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        let _ = (route, message);
        Err(BrokerError::Unsupported("events"))
    }

    /// Hears what is emitted from now on under routing keys that fit the pattern.
    async fn overhear(&self, pattern: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let _ = pattern;
        Err(BrokerError::Unsupported("events"))
    }

    /// Hears the replies of workers that are sent with this routing key, until it is dropped.
    async fn replies(&self, oid: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let _ = oid;
        Err(BrokerError::Unsupported("replies"))
    }

    /// What a queue is bound to when it is consumed from.
    fn binding(&self, queue: &str) -> Binding {
        Binding::usual(queue)
    }

    /// Binds a queue, which is being consumed from, to one more exchange.
    async fn bind(&self, queue: &str, binding: &Binding) -> Result<(), BrokerError> {
        let _ = (queue, binding);
        Err(BrokerError::Unsupported("exchanges"))
    }

    /// Whether it is there. One that cannot go away always is.
    fn presence(&self) -> Arc<Presence> {
        Arc::default()
    }

    /// Closes what it holds. Deliveries that are not settled by then will come again.
    async fn close(&self);
}

/// A delivery that is not wanted now.
#[derive(Debug)]
pub struct Held {
    /// As it was delivered.
    pub message: RawMessage,
    /// The queue it was taken from.
    pub queue: Arc<str>,
    pub receipt: Receipt,
}

/// The delivery is still ours: the broker cannot delay (`error` is `None`), or could not now.
#[derive(Debug)]
pub struct NotDelayed {
    pub held: Box<Held>,
    pub error: Option<BrokerError>,
}

/// A message that was put aside.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// What [`Broker::replay`] finds it by. Made by the broker: empty in what is handed to `bury`.
    pub id: String,
    /// The queue it was taken from, and goes back to.
    pub queue: String,
    /// One line for people.
    pub reason: String,
    /// When it was put aside.
    pub at: Timestamp,
    /// Put aside by this worker to stop a loop, whatever the queue's own settings say.
    pub parked: bool,
    pub message: RawMessage,
}

/// Hears what is said to every worker.
#[async_trait]
pub trait Listener: Send {
    /// The next request; `None` once the broker is closed. Cancel safe. Reconnects inside; what is
    /// said in between is not heard.
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError>;
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
    /// Not something this broker does.
    #[error("this broker has no {0}")]
    Unsupported(&'static str),
    /// Anything nobody branches on.
    #[error("{what}")]
    Other {
        what: String,
        #[source]
        source: BoxError,
    },
}
