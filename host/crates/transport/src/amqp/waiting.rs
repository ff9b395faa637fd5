//! What waits in a queue: counted, and removed by the server at once.

use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

use super::connection::{Link, reply_code};
use super::topology::short;
use crate::broker::BrokerError;

/// As [`crate::broker::Broker::depth`].
pub(crate) async fn depth(link: &Link, queue: &str) -> Result<u64, BrokerError> {
    let (channel, name) = (open(link).await?, short(queue)?);
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let seen = channel.queue_declare(name, passive, FieldTable::default()).await;
    counted(link, channel, seen.map(|queue| queue.message_count())).await
}

/// As [`crate::broker::Broker::purge`].
pub(crate) async fn purge(link: &Link, queue: &str) -> Result<u64, BrokerError> {
    let (channel, name) = (open(link).await?, short(queue)?);
    let removed = channel.queue_purge(name, QueuePurgeOptions::default()).await;
    counted(link, channel, removed).await
}

/// A channel of its own: the server closes it when there is no such queue.
async fn open(link: &Link) -> Result<Channel, BrokerError> {
    let connection = link.connection().await?;
    connection.create_channel().await.map_err(|error| link.error("cannot open a channel", error))
}

async fn counted(
    link: &Link,
    channel: Channel,
    answer: lapin::Result<u32>,
) -> Result<u64, BrokerError> {
    match answer {
        Ok(count) => {
            // It goes with the connection if that cannot be told now.
            let _ = channel.close(200, "counted".into()).await;
            Ok(count.into())
        }
        Err(missing) if reply_code(&missing) == Some(404) => Ok(0),
        Err(error) => Err(link.error("cannot look into the queue", error)),
    }
}
