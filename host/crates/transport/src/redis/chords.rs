//! Chords: the bookkeeping of Celery 5.7, shared with its workers, and groups.

use std::time::Duration;

use redis::{FromRedisValue, Pipeline, Value, cmd};
use umbel_protocol::chord::{ChordPart, decode_group};
use umbel_protocol::names::{self, CHORD_DONE};
use umbel_value::Value as Tuple;
use uuid::Uuid;

use super::connection::{Fault, new_batch};
use super::results::{RedisStore, seconds};
use super::scripts;
use crate::results::{Claim, Joined};

/// What Celery gives a part without a position.
const NOWHERE: &str = "+inf";

/// The least that a claim holds, in seconds.
const LEAST_CLAIM: u64 = 5;

/// How long it is remembered that a chord's body was sent, in seconds.
const REMEMBERED: u64 = 300;

/// The keys of a chord, in the order of the scripts.
///
/// Our claim has a key of its own: a worker of Celery that counts in a part while a claim of
/// Celery's is held acknowledges it and thinks no more of it. Were the holder one of ours that died,
/// and the part the one that had come back from it, then nobody would send the body.
struct Keys {
    joined: String,
    added: String,
    size: String,
    recorded: String,
    group: String,
    claim: String,
    ours: String,
}

impl Keys {
    fn new(store: &RedisStore, group: &str) -> Keys {
        let keys = names::chord_keys(group);
        Keys {
            joined: store.prefixed(&keys.joined),
            added: store.prefixed(&keys.added),
            size: store.prefixed(&keys.size),
            recorded: store.prefixed(&keys.recorded),
            group: store.prefixed(&keys.group),
            claim: store.prefixed(&keys.claim),
            ours: store.prefixed(&keys.ours),
        }
    }

    fn in_order(&self) -> [&str; 7] {
        let counted = [&self.joined, &self.added, &self.size, &self.recorded];
        let [joined, added, size, recorded] = counted.map(String::as_str);
        [joined, added, size, recorded, &self.group, &self.claim, &self.ours]
    }
}

pub(super) async fn begin(store: &RedisStore, group: &str, size: u32) -> Result<(), Fault> {
    let keys = Keys::new(store, group);
    let mut batch = new_batch();
    batch.cmd("DEL").arg(&keys.claim).arg(&keys.ours);
    batch.cmd("SET").arg(&keys.size).arg(size);
    expire(&mut batch, &keys.size, chord_expires(store));
    store.commands(batch.atomic()).await.map(drop)
}

pub(super) async fn grow(store: &RedisStore, group: &str, by: u32) -> Result<(), Fault> {
    let keys = Keys::new(store, group);
    let mut batch = new_batch();
    batch.cmd("INCRBY").arg(&keys.added).arg(by);
    expire(&mut batch, &keys.added, chord_expires(store));
    store.commands(batch.atomic()).await.map(drop)
}

pub(super) async fn join(
    store: &RedisStore,
    part: &ChordPart,
    member: &[u8],
) -> Result<Joined, Fault> {
    let keys = Keys::new(store, &part.group);
    let token = Uuid::new_v4().simple().to_string();
    let position = part.index.map_or(NOWHERE.to_owned(), |index| index.to_string());
    let mut call = scripts::call(&scripts::JOIN, keys.in_order().into_iter());
    call.arg(&part.id)
        .arg(member)
        .arg(u8::from(store.options.chord_ordered))
        .arg(position)
        .arg(seconds(chord_expires(store)))
        .arg(seconds(store.options.expires))
        .arg((store.options.chord_join_timeout * 2).as_secs().max(LEAST_CLAIM))
        .arg(&token)
        .arg(CHORD_DONE);
    match store.command(call).await? {
        Value::Int(-1) => Ok(Joined::Done),
        Value::Int(1) => Ok(Joined::Claimed),
        Value::Int(2) => {
            let parts = parts(store, &part.group, &keys.joined).await?;
            Ok(Joined::Complete { claim: Claim { group: part.group.clone(), token }, parts })
        }
        _ => Ok(Joined::Waiting),
    }
}

/// All parts that came in, in their order.
async fn parts(store: &RedisStore, group: &str, key: &str) -> Result<Vec<ChordPart>, Fault> {
    let members: Vec<(Vec<u8>, Option<f64>)> = match store.options.chord_ordered {
        true => {
            let mut range = cmd("ZRANGE");
            range.arg(key).arg(0).arg(-1).arg("WITHSCORES");
            let found: Vec<(Vec<u8>, f64)> = read(store.command(range).await?)?;
            found.into_iter().map(|(member, score)| (member, Some(score))).collect()
        }
        false => {
            let mut range = cmd("LRANGE");
            range.arg(key).arg(0).arg(-1);
            let found: Vec<Vec<u8>> = read(store.command(range).await?)?;
            found.into_iter().map(|member| (member, None)).collect()
        }
    };
    let serializer = store.options.content.serializer;
    let opened = members.into_iter().map(|(member, score)| {
        let index = score.filter(|score| score.is_finite()).map(|score| score as u32);
        let part = ChordPart::decode(&member, serializer, group, index);
        part.unwrap_or_else(|why| ChordPart::unreadable(group, index, &why))
    });
    Ok(opened.collect())
}

pub(super) async fn extend(
    store: &RedisStore,
    claim: &Claim,
    time: Duration,
) -> Result<bool, Fault> {
    use_claim(store, claim, "extend", time.as_secs().max(1)).await
}

pub(super) async fn end(store: &RedisStore, claim: &Claim, sent: bool) -> Result<(), Fault> {
    let what = if sent { "sent" } else { "never" };
    use_claim(store, claim, what, REMEMBERED).await.map(drop)
}

/// `false` when it is somebody else's by now, or nobody's.
async fn use_claim(
    store: &RedisStore,
    claim: &Claim,
    what: &str,
    seconds: u64,
) -> Result<bool, Fault> {
    let keys = Keys::new(store, &claim.group);
    let mut call = scripts::call(&scripts::CLAIM, keys.in_order().into_iter());
    call.arg(&claim.token).arg(what).arg(seconds).arg(CHORD_DONE);
    Ok(store.command(call).await? == Value::Int(1))
}

pub(super) async fn save(store: &RedisStore, group: &str, text: &[u8]) -> Result<(), Fault> {
    let key = Keys::new(store, group).group;
    let mut batch = new_batch();
    batch.cmd("SET").arg(&key).arg(text);
    expire(&mut batch, &key, store.options.expires);
    batch.cmd("PUBLISH").arg(&key).arg(text);
    store.commands(batch.atomic()).await.map(drop)
}

pub(super) async fn saved(store: &RedisStore, group: &str) -> Result<Option<Tuple>, Fault> {
    let mut get = cmd("GET");
    get.arg(Keys::new(store, group).group);
    let Value::BulkString(text) = store.command(get).await? else { return Ok(None) };
    let tuple = decode_group(&text, store.options.content.serializer);
    tuple.map(Some).map_err(|why| Fault::Other("cannot read a stored group".into(), why.into()))
}

fn chord_expires(store: &RedisStore) -> Option<Duration> {
    store.options.chord_expires.or(store.options.expires)
}

fn expire(batch: &mut Pipeline, key: &str, after: Option<Duration>) {
    if after.is_some() {
        batch.cmd("EXPIRE").arg(key).arg(seconds(after));
    }
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T, Fault> {
    let read = T::from_redis_value(answer);
    read.map_err(|why| Fault::Other("cannot read a chord's parts".into(), why.into()))
}
