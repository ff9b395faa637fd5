//! Remote control: hearing what is said to every worker.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use umbel_protocol::message::RawMessage;
use umbel_protocol::names;

use super::connection::{Link, reply_code};
use super::ears::Place;
use super::table;
use super::topology::short;
use crate::broker::{BrokerError, Listener};

/// A mailbox that nobody reads goes away after this time.
const EXPIRES_MS: i32 = 10_000;

/// What nobody reads goes away after this time.
const MESSAGES_EXPIRE_MS: i32 = 300_000;

/// So many requests may wait; then the server's queue keeps them.
const WAITING: usize = 64;

/// Requests of remote control.
pub(crate) struct AmqpListener {
    requests: mpsc::Receiver<RawMessage>,
}

/// Declares the node's mailbox as Celery does and listens. The link is for nothing else.
pub(crate) async fn listen(
    link: Arc<Link>,
    node: &str,
    tasks: &TaskTracker,
) -> Result<AmqpListener, BrokerError> {
    let place = mailbox(&link, node)?;
    let connection = link.connection().await?;
    let ears = place.consume(&connection).await.map_err(|refused| match reply_code(&refused) {
        // Exclusive, and in use.
        Some(405) => BrokerError::Other {
            what: format!("a node named `{node}` is already on {}", link.address()),
            source: refused.into(),
        },
        _ => link.error(place.what, refused),
    })?;
    let (to, requests) = mpsc::channel(WAITING);
    let unwanted = to.clone();
    let hearing = place.hear(link, ears, move |delivery| {
        let (properties, headers, _) = table::read(&delivery.properties);
        let request = RawMessage { properties, headers, body: delivery.data.into() };
        let to = to.clone();
        async move { to.send(request).await.is_ok() }
    });
    tasks.spawn(async move {
        tokio::select! {
            () = hearing => {}
            () = unwanted.closed() => {}
        }
    });
    Ok(AmqpListener { requests })
}

fn mailbox(link: &Link, node: &str) -> Result<Place, BrokerError> {
    let control = &link.options.control;
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(EXPIRES_MS));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(MESSAGES_EXPIRE_MS));
    Ok(Place {
        what: "cannot listen to remote control",
        queue: short(&names::control_queue(node, control))?,
        options: QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        },
        arguments,
        exchange: Some(short(&names::control_exchange(control))?),
    })
}

#[async_trait]
impl Listener for AmqpListener {
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError> {
        Ok(self.requests.recv().await)
    }
}
