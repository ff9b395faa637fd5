//! A queue of our own that is listened to without acknowledgements, over as many connections as it
//! takes. What is sent while there is none is not heard.

use std::future::Future;
use std::sync::Arc;

use futures_util::stream::StreamExt;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use super::connection::{Link, describe};
use crate::broker::BrokerError;

/// What to listen to.
pub(crate) struct Place {
    /// For errors.
    pub(crate) what: &'static str,
    pub(crate) queue: ShortString,
    pub(crate) options: QueueDeclareOptions,
    pub(crate) arguments: FieldTable,
    /// What the queue is bound to.
    pub(crate) source: Option<Source>,
}

/// An exchange, and what is wanted of it.
pub(crate) struct Source {
    pub(crate) exchange: ShortString,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) key: ShortString,
}

/// A channel and its deliveries.
pub(crate) struct Ears {
    _channel: Channel,
    deliveries: lapin::Consumer,
}

impl Place {
    /// Declares the queue and listens.
    pub(crate) async fn open(
        &self,
        link: &Link,
        connection: &Connection,
    ) -> Result<Ears, BrokerError> {
        self.consume(connection).await.map_err(|e| link.error(self.what, e))
    }

    /// As [`Place::open`], telling what the server said.
    pub(crate) async fn consume(&self, connection: &Connection) -> lapin::Result<Ears> {
        let channel = connection.create_channel().await?;
        let (queue, none) = (self.queue.clone(), FieldTable::default);
        channel.queue_declare(queue.clone(), self.options, self.arguments.clone()).await?;
        if let Some(Source { exchange, kind, durable, key }) = &self.source {
            let declare =
                ExchangeDeclareOptions { durable: *durable, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(exchange.clone(), kind.clone(), declare, none()).await?;
            let (bind, exchange) = (QueueBindOptions::default(), exchange.clone());
            channel.queue_bind(queue.clone(), exchange, key.clone(), bind, none()).await?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let tag = ShortString::default();
        let deliveries = channel.basic_consume(queue, tag, options, none()).await?;
        Ok(Ears { _channel: channel, deliveries })
    }

    /// Hands on what is heard until the link is closed, or `each` wants no more.
    pub(crate) async fn hear<F>(
        self,
        link: Arc<Link>,
        mut ears: Ears,
        mut each: impl FnMut(lapin::message::Delivery) -> F,
    ) where
        F: Future<Output = bool>,
    {
        loop {
            let next = tokio::select! {
                () = link.closed.cancelled() => return,
                next = ears.deliveries.next() => next,
            };
            if let Some(Ok(delivery)) = next {
                if !each(delivery).await {
                    return;
                }
                continue;
            }
            let (address, queue) = (link.address(), &self.queue);
            tracing::warn!(%address, %queue, "connection lost; what is sent meanwhile is not heard");
            let again = link.persist(|connection| {
                let (link, place) = (&link, &self);
                async move { place.open(link, &connection).await }
            });
            ears = match again.await {
                Ok(ears) => ears,
                Err(BrokerError::Closed) => return,
                Err(error) => {
                    tracing::error!(error = %describe(&error), "nothing can be heard");
                    return;
                }
            };
        }
    }
}
