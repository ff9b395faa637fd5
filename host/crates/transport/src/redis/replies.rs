//! Replies to remote control: a list of our own that workers push to, as kombu has it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, Value};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::RawMessage;
use umbel_protocol::names;

use super::Shared;
use super::connection::{Fault, new_batch};
use super::publish::{commanded, patiently};
use crate::broker::{BrokerError, Listener};

/// How often the list is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long taking everything back may take.
const LEAVING: Duration = Duration::from_secs(2);

/// How long the list stays if we never get to delete it.
const EXPIRES: Duration = Duration::from_secs(600);

/// How many are read at once.
const FEW: usize = 100;

struct RedisReplies {
    shared: Arc<Shared>,
    list: String,
    heard: Vec<RawMessage>,
    /// Tells who cleans up that nobody listens any more.
    _listening: mpsc::Sender<()>,
}

/// Hears the replies that are sent under this name until it is dropped.
pub(super) async fn start(shared: &Arc<Shared>, oid: &str) -> Result<impl Listener + use<>, Fault> {
    if shared.closing.is_cancelled() {
        return Err(Fault::Closed);
    }
    let queue = names::reply_queue(oid, names::CONTROL);
    let table = shared.keys.binding(&names::reply_exchange(names::CONTROL));
    let member = names::binding(oid, "", &queue);
    let list = shared.keys.list(&queue, 0);
    let mut pipeline = new_batch();
    pipeline.cmd("SADD").arg(&table).arg(&member);
    patiently(shared, commanded(&shared.link, &pipeline)).await?;
    let (listening, nobody) = mpsc::channel(1);
    shared.tasks.spawn(clean_up(shared.clone(), nobody, table, member, list.clone()));
    let shared = shared.clone();
    Ok(RedisReplies { shared, list, heard: Vec::new(), _listening: listening })
}

async fn clean_up(
    shared: Arc<Shared>,
    mut nobody: mpsc::Receiver<()>,
    table: String,
    member: String,
    list: String,
) {
    tokio::select! {
        () = shared.closing.cancelled() => {}
        _ = nobody.recv() => {}
    }
    let mut pipeline = new_batch();
    pipeline.cmd("SREM").arg(table).arg(member);
    pipeline.cmd("DEL").arg(list);
    // Nobody reads what is left behind, and it expires.
    let _ = timeout(LEAVING, commanded(&shared.link, &pipeline)).await;
}

#[async_trait]
impl Listener for RedisReplies {
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError> {
        loop {
            if let Some(reply) = self.heard.pop() {
                return Ok(Some(reply));
            }
            if self.shared.closing.is_cancelled() {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
            let mut pipeline = new_batch();
            pipeline.cmd("RPOP").arg(&self.list).arg(FEW);
            pipeline.cmd("EXPIRE").arg(&self.list).arg(EXPIRES.as_secs());
            let answers = commanded(&self.shared.link, &pipeline).await;
            let answers = answers.map_err(|fault| fault.broker(self.shared.link.address()))?;
            let texts = answers.into_iter().next().unwrap_or(Value::Nil);
            let texts = Option::<Vec<Vec<u8>>>::from_redis_value(texts).ok().flatten();
            for text in texts.unwrap_or_default().into_iter().rev() {
                match Envelope::from_json(&text) {
                    Ok(envelope) => self.heard.push(envelope.message),
                    Err(why) => warn!(error = %why, "a reply that is no envelope"),
                }
            }
        }
    }
}
