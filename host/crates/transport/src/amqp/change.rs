//! Starting and ending consumers of one queue, one change at a time.

use std::sync::Arc;

use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};

use super::connection::Link;
use super::delays;
use super::lanes::Prefetch;
use super::topology::{self, Existing, Queue};
use crate::broker::BrokerError;

/// A change of one queue's consumers.
pub(crate) struct Change {
    pub(crate) link: Arc<Link>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Arc<Channel>,
    pub(crate) queue: Queue,
    pub(crate) lane: usize,
    pub(crate) declare: bool,
    /// The new consumer's id and its prefetch count.
    pub(crate) add: Option<(u32, u16)>,
    pub(crate) ending: Vec<Prefetch>,
}

impl Change {
    /// Carries it out.
    pub(crate) async fn run(self) -> Result<Changed, BrokerError> {
        let refused = |e| self.link.error(&format!("cannot consume from `{}`", self.queue.name), e);
        if self.declare {
            let (link, connection) = (&self.link, &self.connection);
            topology::declare(link, connection, &self.queue, Existing::Refuse).await?;
            delays::bind_again(link, connection, &self.queue.name).await?;
        }
        let mut added = None;
        if let Some((id, count)) = self.add {
            let stream = self.consume(count).await.map_err(refused)?;
            let tag = stream.tag().into();
            added = Some((Prefetch { id, tag, count, unsettled: 0 }, stream));
        }
        for consumer in &self.ending {
            let tag = ShortString::from(consumer.tag.as_str());
            let ended = self.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            ended.map_err(refused)?;
        }
        let ended = self.ending.iter().map(|consumer| consumer.id).collect();
        Ok(Changed { lane: self.lane, added, ended })
    }

    async fn consume(&self, count: u16) -> lapin::Result<lapin::Consumer> {
        // Not global: the count is for consumers that start from now on, each for itself. Quorum
        // queues take nothing else.
        self.channel.basic_qos(count, BasicQosOptions { global: false }).await?;
        let queue = self.queue.at_server.clone();
        let options = BasicConsumeOptions::default();
        self.channel
            .basic_consume(queue, ShortString::default(), options, FieldTable::default())
            .await
    }
}

/// What became of a change.
pub(crate) struct Changed {
    pub(crate) lane: usize,
    pub(crate) added: Option<(Prefetch, lapin::Consumer)>,
    pub(crate) ended: Vec<u32>,
}
