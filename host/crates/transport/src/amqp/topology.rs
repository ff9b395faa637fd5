//! Exchanges, queues and bindings as Celery declares them.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, ExchangeKind};

use super::connection::{Link, reply_code};
use super::table;
use crate::broker::BrokerError;

/// What to do about a queue that exists with other arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// A conflict.
    Refuse,
    /// It is there, and that is enough.
    Accept,
}

/// Declares the queue, the direct exchange of its name and the binding between them, all durable.
pub(crate) async fn declare(
    link: &Link,
    connection: &Connection,
    queue: &str,
    existing: Existing,
) -> Result<(), BrokerError> {
    let name = short(queue)?;
    let arguments = link.options.queue_arguments.get(queue);
    let arguments = arguments.map(|map| table::write_table(map, 0)).unwrap_or_default();
    let Err(refused) = declare_named(connection, &name, arguments).await else { return Ok(()) };
    if reply_code(&refused) != Some(406) {
        return Err(link.error(&format!("cannot declare the queue `{queue}`"), refused));
    }
    if existing == Existing::Accept || link.options.accept_existing {
        return exists(link, connection, &name).await;
    }
    Err(BrokerError::Conflict {
        name: queue.to_owned(),
        address: link.address.clone(),
        source: refused.into(),
    })
}

/// A channel of its own: a refusal closes it.
async fn declare_named(
    connection: &Connection,
    name: &ShortString,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(name.clone(), ExchangeKind::Direct, durable, FieldTable::default())
        .await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), durable, arguments).await?;
    let binding = QueueBindOptions::default();
    channel
        .queue_bind(name.clone(), name.clone(), name.clone(), binding, FieldTable::default())
        .await?;
    channel.close(200, "declared".into()).await
}

async fn exists(
    link: &Link,
    connection: &Connection,
    name: &ShortString,
) -> Result<(), BrokerError> {
    let what = || format!("the queue `{name}` does not exist");
    let check = async {
        let channel = connection.create_channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.clone(), passive, FieldTable::default()).await?;
        channel.close(200, "declared".into()).await
    };
    check.await.map_err(|e| link.error(&what(), e))
}

/// Fails unless the exchange is there: publishing to a missing one would close the channel.
pub(crate) async fn exchange_exists(
    link: &Link,
    connection: &Connection,
    exchange: &str,
) -> Result<(), BrokerError> {
    let name = short(exchange)?;
    let check = async {
        let channel = connection.create_channel().await?;
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let kind = ExchangeKind::Direct;
        channel.exchange_declare(name, kind, passive, FieldTable::default()).await?;
        channel.close(200, "declared".into()).await
    };
    check.await.map_err(|e| link.error(&format!("there is no exchange `{exchange}`"), e))
}

/// A queue's or exchange's name.
pub(crate) fn short(name: &str) -> Result<ShortString, BrokerError> {
    let refused = |why: table::TableError| BrokerError::Other {
        what: format!("`{name}` is no name for a queue or an exchange"),
        source: why.into(),
    };
    if name.is_empty() {
        return Err(BrokerError::Other {
            what: "a queue needs a name".into(),
            source: "the name is empty".into(),
        });
    }
    table::name("queue name", name).map_err(refused)
}
