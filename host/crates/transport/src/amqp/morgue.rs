//! Dead letters: messages put aside with a note why, in a queue of ours or in the operator's.
//!
//! AMQP has no way to look into a queue: whoever looks takes the messages and gives them back. One
//! looks at a time, over all processes, or the next one would find the queue empty.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use umbel_protocol::message::{RawMessage, Route};
use umbel_value::{Map, Value};

use super::connection::{Link, reply_code};
use super::publish::{Missing, Publisher};
use super::{deaths, table};
use crate::broker::{BrokerError, DeadLetter};

/// Where this worker puts letters.
pub(crate) const QUEUE: &str = "umbel.dead";

/// Exclusive to whoever looks.
const LOCK: &str = "umbel.dead.look";

/// Somebody who stopped looking halfway locks the others out for so long.
const LOCK_EXPIRES_MS: i32 = 30_000;

/// How often somebody who waits for the lock asks for it.
const ASK: Duration = Duration::from_millis(50);

/// A lock that is not free by then belongs to somebody who hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const REASON: &str = "umbel_reason";
const FROM: &str = "umbel_queue";
const AT: &str = "umbel_at";

/// A reason is cut there: all headers together must fit one frame.
const LONGEST_REASON: usize = 2_000;

/// The queues of dead letters.
pub(crate) struct Morgue {
    link: Arc<Link>,
    queues: Vec<String>,
    // The server lets the same connection in twice.
    turn: Mutex<()>,
}

/// Held by the one who looks.
struct Key<'a> {
    connection: Arc<Connection>,
    channel: Channel,
    _turn: MutexGuard<'a, ()>,
}

/// Letters that are out of their queue, until the channel is closed.
struct Look {
    channel: Channel,
    queue: ShortString,
}

impl Morgue {
    pub(crate) fn new(link: Arc<Link>) -> Morgue {
        let theirs = link.options.dead_letter_queue.iter().cloned();
        let queues = std::iter::once(QUEUE.to_owned()).chain(theirs).collect();
        Morgue { link, queues, turn: Mutex::new(()) }
    }

    /// Oldest first, at most `limit`.
    pub(crate) async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let key = self.enter().await?;
        let listed = self.read_all(&key.connection, limit).await;
        key.leave().await;
        let mut letters = listed.map_err(|e| self.error(e))?;
        letters.sort_by_key(|letter| letter.at);
        letters.truncate(limit);
        Ok(letters)
    }

    /// Sends the letter back to its queue; false if there is none of that id.
    pub(crate) async fn replay(
        &self,
        id: &str,
        publisher: &Publisher,
    ) -> Result<bool, BrokerError> {
        let key = self.enter().await?;
        let replayed = self.find_and_send(&key.connection, id, publisher).await;
        key.leave().await;
        replayed
    }

    async fn read_all(
        &self,
        connection: &Connection,
        limit: usize,
    ) -> lapin::Result<Vec<DeadLetter>> {
        let mut letters = Vec::new();
        for queue in &self.queues {
            let look = Look::open(connection, queue).await?;
            for _ in 0..limit {
                let Some((_, letter)) = look.next().await? else { break };
                letters.push(letter);
            }
            look.close().await?;
        }
        Ok(letters)
    }

    async fn find_and_send(
        &self,
        connection: &Connection,
        id: &str,
        publisher: &Publisher,
    ) -> Result<bool, BrokerError> {
        let refused = |e| self.error(e);
        for queue in &self.queues {
            let look = Look::open(connection, queue).await.map_err(refused)?;
            while let Some((tag, letter)) = look.next().await.map_err(refused)? {
                if letter.id != id {
                    continue;
                }
                let sent = send_back(publisher, &letter).await;
                if sent.is_ok() {
                    let one = BasicAckOptions::default();
                    look.channel.basic_ack(tag, one).await.map_err(refused)?;
                }
                look.close().await.map_err(refused)?;
                return sent.map(|()| true);
            }
            look.close().await.map_err(refused)?;
        }
        Ok(false)
    }

    /// Waits until nobody else looks.
    async fn enter(&self) -> Result<Key<'_>, BrokerError> {
        let turn = self.turn.lock().await;
        let connection = self.link.connection().await?;
        let begin = Instant::now();
        loop {
            let channel = connection.create_channel().await.map_err(|e| self.error(e))?;
            let exclusive = QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..QueueDeclareOptions::default()
            };
            let mut arguments = FieldTable::default();
            arguments.insert("x-expires".into(), AMQPValue::LongInt(LOCK_EXPIRES_MS));
            match channel.queue_declare(LOCK.into(), exclusive, arguments).await {
                Ok(_) => return Ok(Key { connection, channel, _turn: turn }),
                Err(taken) if reply_code(&taken) == Some(405) && begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(ASK).await;
                }
                Err(other) => return Err(self.error(other)),
            }
        }
    }

    fn error(&self, error: lapin::Error) -> BrokerError {
        self.link.error("cannot look at the dead letters", error)
    }
}

impl Key<'_> {
    /// Lets the next one look.
    async fn leave(self) {
        // It goes with the connection if that cannot be told now.
        let _ = self.channel.queue_delete(LOCK.into(), QueueDeleteOptions::default()).await;
        let _ = self.channel.close(200, "looked".into()).await;
    }
}

impl Look {
    async fn open(connection: &Connection, queue: &str) -> lapin::Result<Look> {
        let channel = connection.create_channel().await?;
        Ok(Look { channel, queue: ShortString::from(queue) })
    }

    /// The next letter and its tag; `None` at the end, or if there is no such queue.
    async fn next(&self) -> lapin::Result<Option<(u64, DeadLetter)>> {
        let got = self.channel.basic_get(self.queue.clone(), BasicGetOptions::default()).await;
        let got = match got {
            Ok(got) => got,
            Err(missing) if reply_code(&missing) == Some(404) => return Ok(None),
            Err(other) => return Err(other),
        };
        Ok(got.map(|got| {
            let (properties, headers, _) = table::read(&got.delivery.properties);
            let tag = got.delivery.delivery_tag;
            let body = got.delivery.data.clone().into();
            (tag, read(RawMessage { properties, headers, body }))
        }))
    }

    /// Gives what was taken back to its place.
    async fn close(self) -> lapin::Result<()> {
        if !self.channel.status().connected() {
            return Ok(());
        }
        // Zero: all of them.
        let all = BasicNackOptions { multiple: true, requeue: true };
        self.channel.basic_nack(0, all).await?;
        self.channel.close(200, "looked".into()).await
    }
}

async fn send_back(publisher: &Publisher, letter: &DeadLetter) -> Result<(), BrokerError> {
    if letter.queue.is_empty() {
        return Err(BrokerError::Other {
            what: format!("the dead letter `{}` cannot go back", letter.id),
            source: "nobody noted the queue that it came from".into(),
        });
    }
    publisher.publish(&Route::queue(&letter.queue), &letter.message, Missing::Declare).await
}

/// The message that keeps a letter in [`QUEUE`].
pub(crate) fn write(letter: DeadLetter) -> RawMessage {
    let DeadLetter { queue, mut reason, at, mut message, .. } = letter;
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
    deaths::forget(&mut message.headers);
    message.headers.insert(REASON.into(), Value::Text(reason));
    message.headers.insert(FROM.into(), Value::Text(queue));
    message.headers.insert(AT.into(), Value::Text(at.to_string()));
    // Or it would not be kept.
    message.properties.expiration = None;
    message
}

fn read(mut message: RawMessage) -> DeadLetter {
    let id = id(&message);
    let death = deaths::latest(&message.headers);
    deaths::forget(&mut message.headers);
    let mut take = |key: &str| match message.headers.shift_remove(key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let (reason, queue, at) = (take(REASON), take(FROM), take(AT));
    let parked = queue.is_some();
    let at = at.and_then(|at| at.parse().ok()).or(death.as_ref().and_then(|death| death.at));
    let (dead_queue, dead_reason) =
        death.map_or_else(Default::default, |death| (death.queue, death.reason));
    DeadLetter {
        id,
        queue: queue.unwrap_or(dead_queue),
        reason: reason.unwrap_or(dead_reason),
        at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        parked,
        message,
    }
}

/// The task's id, and what tells two letters of one task apart.
fn id(message: &RawMessage) -> String {
    let task = text(&message.headers, "id").or(message.properties.correlation_id.as_deref());
    let mut notes = Vec::new();
    for key in [AT, FROM] {
        notes.extend_from_slice(text(&message.headers, key).unwrap_or_default().as_bytes());
    }
    let death = deaths::latest(&message.headers).map(|death| format!("{death:?}"));
    notes.extend_from_slice(death.unwrap_or_default().as_bytes());
    notes.extend_from_slice(&message.body);
    format!("{}:{:08x}", task.unwrap_or("unknown"), hash(&notes))
}

fn text<'a>(headers: &'a Map, key: &str) -> Option<&'a str> {
    headers.get(key).and_then(Value::as_str)
}

/// FNV-1a: ids must be the same in every process and release.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        let mut message = RawMessage { body: "[[], {}, {}]".into(), ..RawMessage::default() };
        message.headers.insert("id".into(), Value::Text("5c7a".into()));
        DeadLetter {
            id: String::new(),
            queue: "q".into(),
            reason: "died\nfive times".into(),
            at: "2026-11-21T08:00:00.25Z".parse().unwrap(),
            parked: true,
            message,
        }
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let read = read(write(letter()));
        assert!(read.id.starts_with("5c7a:"), "{}", read.id);
        assert_eq!(DeadLetter { id: String::new(), ..read }, letter());
    }

    #[test]
    fn an_id_stays_and_tells_letters_apart() {
        let id = |letter: DeadLetter| read(write(letter)).id;
        let later = DeadLetter { at: letter().at + Duration::from_millis(1), ..letter() };
        assert_eq!(id(letter()), id(letter()));
        assert_ne!(id(letter()), id(later));
    }

    #[test]
    fn a_long_reason_is_cut() {
        let long = DeadLetter { reason: "ä".repeat(5_000), ..letter() };
        assert_eq!(read(write(long)).reason, "ä".repeat(LONGEST_REASON / 2));
    }

    #[test]
    fn what_the_server_put_aside_tells_where_it_came_from() {
        let mut dead = letter().message;
        let notes = br#"[{"queue": "q", "reason": "rejected", "count": 1,
            "time": {"__type__": "datetime", "__value__": "2026-11-21T08:00:00+00:00"}}]"#;
        dead.headers.insert("x-death".into(), Value::from_json(notes).unwrap());
        let read = read(dead);
        assert_eq!(
            (read.queue.as_str(), read.reason.as_str(), read.parked),
            ("q", "rejected", false)
        );
        assert_eq!(read.at, "2026-11-21T08:00:00Z".parse().unwrap());
        assert_eq!(read.message, letter().message);
    }
}
