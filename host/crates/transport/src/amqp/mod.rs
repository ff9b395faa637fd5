//! RabbitMQ and whatever else speaks AMQP 0.9.1, used as Celery uses it.

mod change;
mod connection;
mod consume;
mod deaths;
mod delays;
mod dial;
mod ears;
mod greeting;
mod lanes;
mod ledger;
mod listen;
mod morgue;
mod options;
mod publish;
mod results;
mod session;
mod table;
mod topology;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::task::TaskTracker;
use umbel_protocol::control::Binding;
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::names;

use self::connection::Link;
pub use self::greeting::product;
use self::morgue::Morgue;
pub use self::options::{AmqpOptions, ExchangeType, QueueOptions, QueueType};
use self::publish::{Missing, Publisher};
pub use self::results::RpcStore;
use self::topology::Queue;
use crate::address::Address;
use crate::broker::{Broker, BrokerError, Consumer, DeadLetter, Held, Listener, NotDelayed};
use crate::delivery::{Receipt, Settlement};
use crate::presence::Presence;

/// An AMQP server. Consumes, publishes and listens over one connection each.
pub struct AmqpBroker {
    consuming: Arc<Link>,
    publisher: Publisher,
    /// Remote control must be answered while the others are busy.
    listening: Arc<Link>,
    morgue: Morgue,
    pumps: TaskTracker,
    presence: Arc<Presence>,
}

impl AmqpBroker {
    /// Connects at once; fails when the server cannot be reached or refuses us. The connections for
    /// publishing and listening are made when they are needed.
    pub async fn connect(
        address: Address,
        options: AmqpOptions,
    ) -> Result<AmqpBroker, BrokerError> {
        let consuming = Link::new(&address, options.clone(), "consumer");
        consuming.connection().await?;
        let publishing = Link::new(&address, options.clone(), "publisher");
        Ok(AmqpBroker {
            morgue: Morgue::new(consuming.clone()),
            consuming,
            publisher: Publisher::new(publishing),
            listening: Link::new(&address, options, "remote control"),
            pumps: TaskTracker::new(),
            presence: Arc::default(),
        })
    }

    /// What goes through the levels of delayed delivery back to its queue; `None` where it cannot.
    fn detour(&self, held: &Held, at: Timestamp) -> Option<(Route, RawMessage)> {
        if self.consuming.options.is_broadcast(&held.queue) {
            return None;
        }
        // The levels count whole seconds; the message may come a moment early, never late.
        let seconds = at.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        let route = delays::route_back(&held.queue, seconds)?;
        let mut message = held.message.clone();
        // It would hurry the message through the levels instead of ending it.
        message.properties.expiration = None;
        Some((route, message))
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let mut wanted: Vec<Queue> = Vec::new();
        for queue in queues {
            if !wanted.iter().any(|other| *other.name == **queue) {
                wanted.push(Queue::new(&self.consuming.options, queue)?);
            }
        }
        let (consumer, pump) =
            consume::start(self.consuming.clone(), wanted, window, self.presence.line());
        let session = pump.open().await?;
        self.pumps.spawn(pump.run(session));
        Ok(Box::new(consumer))
    }

    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        self.publisher.publish(route, message, Missing::Declare).await
    }

    async fn delay(&self, held: Held, at: Timestamp) -> Result<(), NotDelayed> {
        let Some((route, message)) = self.detour(&held, at) else {
            return Err(NotDelayed { held: Box::new(held), error: None });
        };
        match self.publisher.publish(&route, &message, Missing::Declare).await {
            Ok(()) => {
                // Should it be void, the message comes again, and is delayed twice.
                let _ = held.receipt.settle(Settlement::Ack).await;
                Ok(())
            }
            Err(error) => Err(NotDelayed { held: Box::new(held), error: Some(error) }),
        }
    }

    async fn bury(&self, letter: DeadLetter, receipt: Receipt) -> Result<(), BrokerError> {
        if !letter.parked {
            return receipt.settle(Settlement::Discard).await;
        }
        let (route, message) = (Route::queue(morgue::QUEUE), morgue::write(letter));
        self.publisher.publish(&route, &message, Missing::Declare).await?;
        receipt.settle(Settlement::Ack).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        self.morgue.list(limit).await
    }

    async fn replay(&self, id: &str) -> Result<bool, BrokerError> {
        self.morgue.replay(id, &self.publisher).await
    }

    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        waiting::depth(&self.consuming, queue).await
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        waiting::purge(&self.consuming, queue).await
    }

    async fn listen(&self, node: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listener = listen::listen(self.listening.clone(), node, &self.pumps).await?;
        Ok(Box::new(listener))
    }

    async fn broadcast(&self, message: &RawMessage) -> Result<(), BrokerError> {
        let exchange = names::control_exchange(&self.consuming.options.control);
        let everybody = Route { exchange, routing_key: String::new() };
        self.publisher.publish(&everybody, message, Missing::Declare).await
    }

    async fn emit(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        self.publisher.publish(route, message, Missing::Declare).await
    }

    async fn overhear(&self, pattern: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listener = listen::overhear(self.listening.clone(), pattern, &self.pumps).await?;
        Ok(Box::new(listener))
    }

    async fn replies(&self, oid: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listener = listen::replies(self.listening.clone(), oid, &self.pumps).await?;
        Ok(Box::new(listener))
    }

    fn binding(&self, queue: &str) -> Binding {
        let options = &self.consuming.options;
        let (exchange, kind, key) = options.binding(queue);
        Binding {
            exchange: exchange.to_owned(),
            kind: kind.as_str(),
            routing_key: key.to_owned(),
            arguments: options.arguments(queue),
        }
    }

    async fn bind(&self, queue: &str, binding: &Binding) -> Result<(), BrokerError> {
        let connection = self.consuming.connection().await?;
        topology::bind(&self.consuming, &connection, queue, binding).await
    }

    fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }

    async fn close(&self) {
        self.consuming.closed.cancel();
        self.listening.closed.cancel();
        self.pumps.close();
        // They only write what was settled; a dead connection must not keep us.
        let _ =
            tokio::time::timeout(self.consuming.options.connect_timeout, self.pumps.wait()).await;
        tokio::join!(self.consuming.close(), self.listening.close(), self.publisher.close());
    }
}
