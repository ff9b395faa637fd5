//! Dead letters: a hash of what was put aside, by its letter's id, and the ids in their order.
//!
//! A letter is kombu's `[envelope, exchange, routing_key]` with one more element: what is known of
//! the letter. So it moves from the unacknowledged ones without being read.

use jiff::Timestamp;
use redis::{FromRedisValue, Value as Answer, cmd};
use umbel_protocol::envelope::Envelope;
use umbel_value::Value;
use uuid::Uuid;

use super::connection::Fault;
use super::publish::{declare, patiently};
use super::record::{renewed, split};
use super::unacked::one;
use super::{Shared, scripts};
use crate::broker::{BrokerError, DeadLetter};
use crate::delivery::{Receipt, Tag};

/// How many letters are read at once: each may be large.
const FEW: usize = 16;

/// Moves a delivery to the dead letters; its receipt stays to be settled.
pub(super) async fn bury(
    shared: &Shared,
    letter: &DeadLetter,
    receipt: &Receipt,
) -> Result<(), BrokerError> {
    let Some(Tag::Text(tag)) = receipt.tag() else { return Err(BrokerError::Stale) };
    let keys = [
        shared.keys.unacked(),
        shared.keys.unacked_index(),
        shared.keys.dead(),
        shared.keys.dead_order(),
    ];
    let mut call = scripts::call(&scripts::BURY, keys.iter().map(String::as_str));
    call.arg(&**tag).arg(Uuid::new_v4().to_string());
    call.arg(letter.at.as_microsecond()).arg(known(letter));
    match patiently(shared, one(shared, call)).await {
        Ok(Answer::Int(1)) => Ok(()),
        Ok(_) => Err(BrokerError::Stale),
        Err(fault) => Err(fault.broker(shared.link.address())),
    }
}

/// Oldest first.
pub(super) async fn list(shared: &Shared, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let listing = async {
        let mut ids = cmd("ZRANGE");
        ids.arg(shared.keys.dead_order()).arg(0).arg(i64::try_from(limit).unwrap_or(i64::MAX) - 1);
        let ids = texts(one(shared, ids).await?);
        let mut letters = Vec::new();
        for ids in ids.chunks(FEW) {
            let mut read = cmd("HMGET");
            read.arg(shared.keys.dead()).arg(ids);
            let found = Vec::<Option<Vec<u8>>>::from_redis_value(one(shared, read).await?);
            let found = found.unwrap_or_default().into_iter();
            letters.extend(ids.iter().zip(found).filter_map(|(id, text)| open(id, &text?)));
        }
        Ok(letters)
    };
    patiently(shared, listing).await.map_err(|fault| fault.broker(shared.link.address()))
}

/// Moves a letter back to its queue as a new message.
pub(super) async fn replay(shared: &Shared, id: &str) -> Result<bool, BrokerError> {
    patiently(shared, replay_now(shared, id))
        .await
        .map_err(|fault| fault.broker(shared.link.address()))
}

async fn replay_now(shared: &Shared, id: &str) -> Result<bool, Fault> {
    let mut read = cmd("HGET");
    read.arg(shared.keys.dead()).arg(id);
    let Answer::BulkString(text) = one(shared, read).await? else { return Ok(false) };
    let unreadable = || Fault::Other(format!("the dead letter `{id}` cannot be read"), "".into());
    let (envelope, _, known) = split(&text).ok_or_else(unreadable)?;
    let message = renewed(envelope).ok_or_else(unreadable)?;
    let queue = known.as_ref().and_then(|known| known.get("queue")?.as_str().map(str::to_owned));
    let queue = queue.ok_or_else(unreadable)?;
    declare(shared, &queue).await?;
    let list = shared.keys.list(&queue, message.priority);
    let keys = [shared.keys.dead(), shared.keys.dead_order(), list];
    let mut call = scripts::call(&scripts::REPLAY, keys.iter().map(String::as_str));
    call.arg(id).arg(message.text);
    Ok(one(shared, call).await? == Answer::Int(1))
}

/// What is known of a letter beside its message.
fn known(letter: &DeadLetter) -> Vec<u8> {
    let known = Value::from([
        ("queue", letter.queue.as_str().into()),
        ("reason", letter.reason.as_str().into()),
        ("at", letter.at.to_string().into()),
        ("parked", Value::Bool(letter.parked)),
    ]);
    let mut text = Vec::new();
    known.write_json(&mut text);
    text
}

/// `None` for what somebody else put there.
fn open(id: &str, text: &[u8]) -> Option<DeadLetter> {
    let (envelope, _, known) = split(text)?;
    let known = known?;
    let field = |name: &str| known.get(name).and_then(Value::as_str);
    Some(DeadLetter {
        id: id.to_owned(),
        queue: field("queue")?.to_owned(),
        reason: field("reason")?.to_owned(),
        at: field("at")?.parse::<Timestamp>().ok()?,
        parked: known.get("parked").is_some_and(Value::is_truthy),
        message: Envelope::from_json(envelope).ok()?.message,
    })
}

fn texts(answer: Answer) -> Vec<String> {
    Vec::from_redis_value(answer).unwrap_or_default()
}
