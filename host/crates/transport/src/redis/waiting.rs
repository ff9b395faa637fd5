//! What waits in a queue's lists: counted, and removed in one step.

use redis::{FromRedisValue, Value};
use umbel_protocol::names::PRIORITY_STEPS;

use super::connection::{Fault, new_batch};
use super::publish::{commanded, patiently};
use super::unacked::one;
use super::{Shared, scripts};

/// As [`crate::broker::Broker::depth`].
pub(super) async fn depth(shared: &Shared, queue: &str) -> Result<u64, Fault> {
    let mut pipeline = new_batch();
    for list in lists(shared, queue) {
        pipeline.cmd("LLEN").arg(list);
    }
    let counts = patiently(shared, commanded(&shared.link, &pipeline)).await?;
    Ok(counts.into_iter().map(number).sum())
}

/// As [`crate::broker::Broker::purge`].
pub(super) async fn purge(shared: &Shared, queue: &str) -> Result<u64, Fault> {
    let lists = lists(shared, queue);
    let call = scripts::call(&scripts::PURGE, lists.iter().map(String::as_str));
    patiently(shared, one(shared, call)).await.map(number)
}

/// One for each priority that is served apart.
fn lists(shared: &Shared, queue: &str) -> [String; PRIORITY_STEPS.len()] {
    PRIORITY_STEPS.map(|step| shared.keys.list(queue, step))
}

fn number(answer: Value) -> u64 {
    u64::from_redis_value(answer).unwrap_or_default()
}
