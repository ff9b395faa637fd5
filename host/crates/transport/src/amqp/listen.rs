//! Hearing what is said to every worker, what workers tell of themselves, and replies.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::ExchangeKind;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use umbel_protocol::message::RawMessage;
use umbel_protocol::names;

use super::connection::{Link, reply_code};
use super::ears::{Ears, Place, Source};
use super::table;
use super::topology::short;
use crate::broker::{BrokerError, Listener};

/// A mailbox that nobody reads goes away after this time.
const EXPIRES_MS: i32 = 10_000;

/// What nobody reads goes away after this time.
const MESSAGES_EXPIRE_MS: i32 = 300_000;

/// An event that nobody reads goes away after this time.
const EVENTS_EXPIRE_MS: i32 = 5_000;

/// So does the queue of who reads no events.
const EARS_EXPIRE_MS: i32 = 60_000;

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
    Ok(attend(link, place, ears, tasks))
}

/// Hears the events whose routing keys fit the pattern, over a queue of its own.
pub(crate) async fn overhear(
    link: Arc<Link>,
    pattern: &str,
    tasks: &TaskTracker,
) -> Result<AmqpListener, BrokerError> {
    let source = Source {
        exchange: short(names::EVENT_EXCHANGE)?,
        kind: ExchangeKind::Topic,
        durable: true,
        key: short(pattern)?,
    };
    let queue = short(&names::event_queue(&uuid::Uuid::new_v4().to_string()))?;
    let place = Place {
        what: "cannot listen to events",
        queue,
        options: own_queue(),
        arguments: fleeting(EARS_EXPIRE_MS, EVENTS_EXPIRE_MS),
        source: Some(source),
    };
    let connection = link.connection().await?;
    let ears = place.open(&link, &connection).await?;
    Ok(attend(link, place, ears, tasks))
}

/// Hears the replies to whoever asks under this name.
pub(crate) async fn replies(
    link: Arc<Link>,
    oid: &str,
    tasks: &TaskTracker,
) -> Result<AmqpListener, BrokerError> {
    let control = &link.options.control;
    let source = Source {
        exchange: short(&names::reply_exchange(control))?,
        kind: ExchangeKind::Direct,
        durable: false,
        key: short(oid)?,
    };
    let place = Place {
        what: "cannot listen to replies",
        queue: short(&names::reply_queue(oid, control))?,
        options: own_queue(),
        arguments: fleeting(EXPIRES_MS, MESSAGES_EXPIRE_MS),
        source: Some(source),
    };
    let connection = link.connection().await?;
    let ears = place.open(&link, &connection).await?;
    Ok(attend(link, place, ears, tasks))
}

fn attend(link: Arc<Link>, place: Place, ears: Ears, tasks: &TaskTracker) -> AmqpListener {
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
    AmqpListener { requests }
}

fn mailbox(link: &Link, node: &str) -> Result<Place, BrokerError> {
    let control = &link.options.control;
    Ok(Place {
        what: "cannot listen to remote control",
        queue: short(&names::control_queue(node, control))?,
        options: own_queue(),
        arguments: fleeting(EXPIRES_MS, MESSAGES_EXPIRE_MS),
        source: Some(Source {
            exchange: short(&names::control_exchange(control))?,
            kind: ExchangeKind::Fanout,
            durable: false,
            key: ShortString::default(),
        }),
    })
}

/// Nobody else's, and gone with us.
fn own_queue() -> QueueDeclareOptions {
    QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() }
}

fn fleeting(queue_ms: i32, messages_ms: i32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(queue_ms));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(messages_ms));
    arguments
}

#[async_trait]
impl Listener for AmqpListener {
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError> {
        Ok(self.requests.recv().await)
    }
}
