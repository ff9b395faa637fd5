//! RabbitMQ and whatever else speaks AMQP 0.9.1, used as Celery uses it.

mod change;
mod connection;
mod consume;
mod lanes;
mod ledger;
mod publish;
mod results;
mod session;
mod table;
mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;
use umbel_protocol::message::{RawMessage, Route};
use umbel_value::Map;

use self::connection::Link;
use self::publish::{Missing, Publisher};
pub use self::results::RpcStore;
use crate::address::Address;
use crate::broker::{Broker, BrokerError, Consumer};

/// How to connect, and what to declare.
#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// Shown in the server's list of connections.
    pub name: String,
    /// How long dialling may take; the handshake gets as much again.
    pub connect_timeout: Duration,
    /// A server that is silent for twice as long counts as gone.
    pub heartbeat: Duration,
    /// Arguments that a queue is declared with, by its name: `x-queue-type`, `x-max-priority`, ….
    /// The others get none, as Celery's defaults are.
    pub queue_arguments: BTreeMap<String, Map>,
    /// Consume from queues that exist with other arguments, instead of a conflict.
    pub accept_existing: bool,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self {
            name: "umbel".into(),
            // Celery's `broker_connection_timeout`.
            connect_timeout: Duration::from_secs(4),
            // A half-open connection is found within twenty seconds.
            heartbeat: Duration::from_secs(10),
            queue_arguments: BTreeMap::new(),
            accept_existing: false,
        }
    }
}

/// An AMQP server. Consumes and publishes over one connection each.
pub struct AmqpBroker {
    consuming: Arc<Link>,
    publisher: Publisher,
    pumps: TaskTracker,
}

impl AmqpBroker {
    /// Connects at once; fails when the server cannot be reached or refuses us. The connection for
    /// publishing is made when it is needed.
    pub async fn connect(
        address: Address,
        options: AmqpOptions,
    ) -> Result<AmqpBroker, BrokerError> {
        let consuming = Link::new(address.clone(), options.clone(), "consumer");
        consuming.connection().await?;
        let publishing = Link::new(address, options, "publisher");
        let publisher = Publisher::new(publishing);
        Ok(AmqpBroker { consuming, publisher, pumps: TaskTracker::new() })
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for queue in queues {
            topology::short(queue)?;
            if !names.iter().any(|name| **name == **queue) {
                names.push(queue.as_str().into());
            }
        }
        let (consumer, pump) = consume::start(self.consuming.clone(), names, window);
        let session = pump.open().await?;
        self.pumps.spawn(pump.run(session));
        Ok(Box::new(consumer))
    }

    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        self.publisher.publish(route, message, Missing::Declare).await
    }

    async fn close(&self) {
        self.consuming.closed.cancel();
        self.pumps.close();
        // They only write what was settled; a dead connection must not keep us.
        let _ =
            tokio::time::timeout(self.consuming.options.connect_timeout, self.pumps.wait()).await;
        self.consuming.close().await;
        self.publisher.close().await;
    }
}
