//! Messages that were taken and not settled: giving them back, and the sweep for abandoned ones.

use redis::{FromRedisValue, cmd};
use tracing::{info, warn};
use umbel_protocol::message::Route;
use uuid::Uuid;

use super::connection::{Fault, new_batch};
use super::publish::{commanded, targets};
use super::record::{returned, split};
use super::{Shared, scripts};

/// How long our lock of the sweep holds. Shorter than kombu's five minutes: the sweep is safe
/// without it, and a worker that dies holding it should not keep others from sweeping.
const LOCK_MILLISECONDS: u32 = 10_000;

/// How many tags one look gives; each message is then read on its own, for it may be large.
const BATCH: usize = 100;

/// Looks for abandoned messages, at once and then again and again until the broker closes.
pub(super) async fn sweep_for_ever(shared: std::sync::Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.options.restore_interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let swept = tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            swept = sweep(&shared) => swept,
        };
        match swept {
            Ok(0) => {}
            Ok(count) => info!(count, "gave abandoned messages back to their queues"),
            Err(Fault::Closed) => return,
            Err(why) => warn!(error = ?why, "cannot look for abandoned messages"),
        }
    }
}

/// Restores what nobody gave a sign of life for, unless somebody else is at it. Gives how many.
async fn sweep(shared: &Shared) -> Result<usize, Fault> {
    let mutex = shared.keys.unacked_mutex();
    let token = Uuid::new_v4().simple().to_string();
    let mut lock = cmd("SET");
    lock.arg(&mutex).arg(&token).arg("NX").arg("PX").arg(LOCK_MILLISECONDS);
    let locked = one(shared, lock).await?;
    if locked == redis::Value::Nil {
        return Ok(0);
    }
    let swept = restore_overdue(shared).await;
    let mut unlock = scripts::call(&scripts::UNLOCK, [mutex.as_str()].into_iter());
    unlock.arg(&token);
    one(shared, unlock).await?;
    swept
}

async fn restore_overdue(shared: &Shared) -> Result<usize, Fault> {
    let timeout = shared.options.visibility_timeout.as_secs_f64();
    let index = shared.keys.unacked_index();
    let (mut restored, mut left) = (0, 0);
    loop {
        let mut look = scripts::call(&scripts::OVERDUE, [index.as_str()].into_iter());
        look.arg(timeout).arg(BATCH).arg(left);
        let tags = Vec::<String>::from_redis_value(one(shared, look).await?).unwrap_or_default();
        for tag in &tags {
            match restore(shared, tag, None, Some(timeout)).await? {
                true => restored += 1,
                // Somebody was quicker, or it cannot be read: it may still be there.
                false => left += 1,
            }
        }
        if tags.len() < BATCH {
            return Ok(restored);
        }
    }
}

/// Puts a message back to the front, to `list` or where its route leads, marked as handed out.
/// With `overdue` only if there was no sign of life for so many seconds.
pub(super) async fn restore(
    shared: &Shared,
    tag: &str,
    list: Option<&str>,
    overdue: Option<f64>,
) -> Result<bool, Fault> {
    let mut read = cmd("HGET");
    read.arg(shared.keys.unacked()).arg(tag);
    let value = Option::<Vec<u8>>::from_redis_value(one(shared, read).await?).unwrap_or_default();
    let Some(value) = value else {
        // In the index alone: the script clears that up.
        return give_back(shared, tag, &[], b"", overdue).await;
    };
    let Some((text, route)) = split(&value) else {
        warn!(tag, "an unacknowledged message cannot be read; it stays where it is");
        return Ok(false);
    };
    let back = returned(text);
    let lists = match list {
        Some(list) => vec![list.to_owned()],
        None => {
            let queues = restore_targets(shared, &route).await?;
            queues.iter().map(|queue| shared.keys.list(queue, back.priority)).collect()
        }
    };
    give_back(shared, tag, &lists, &back.text, overdue).await
}

/// Never empty: a message whose bindings are gone goes to the queue its key names.
async fn restore_targets(shared: &Shared, route: &Route) -> Result<Vec<String>, Fault> {
    let queues = match route.exchange.is_empty() {
        true => Vec::new(),
        false => targets(shared, route).await?,
    };
    Ok(if queues.is_empty() { vec![route.routing_key.clone()] } else { queues })
}

async fn give_back(
    shared: &Shared,
    tag: &str,
    lists: &[String],
    text: &[u8],
    overdue: Option<f64>,
) -> Result<bool, Fault> {
    let mut keys = vec![shared.keys.unacked(), shared.keys.unacked_index()];
    keys.extend_from_slice(lists);
    let mut call = scripts::call(&scripts::GIVE_BACK, keys.iter().map(String::as_str));
    call.arg(tag).arg("RPUSH").arg(text);
    match overdue {
        Some(seconds) => call.arg(seconds),
        None => call.arg(""),
    };
    Ok(one(shared, call).await? == redis::Value::Int(1))
}

async fn one(shared: &Shared, command: redis::Cmd) -> Result<redis::Value, Fault> {
    let mut pipeline = new_batch();
    pipeline.add_command(command);
    Ok(commanded(&shared.link, &pipeline).await?.pop().unwrap_or(redis::Value::Nil))
}
