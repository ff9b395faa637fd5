//! Slots and queues, changed by remote control while tasks run.

use tracing::info;
use umbel_protocol::control::Binding;
use umbel_protocol::names::is_reserved_queue;
use umbel_protocol::repr::quoted;
use umbel_transport::broker::BrokerError;
use umbel_value::{Map, Value};

use super::commands::{error, ok};
use crate::slots::{Range, TooMany};
use crate::worker::Worker;

/// `pool_grow` and `pool_shrink`.
pub(crate) fn resize(worker: &Worker, arguments: &Map, grow: bool) -> Value {
    let command = if grow { "pool_grow" } else { "pool_shrink" };
    if worker.slots.range().is_some() {
        return error(format!(
            "{command} is not supported with autoscale. Adjust autoscale range instead."
        ));
    }
    let Some(by) = count(arguments, "n", 1) else {
        return error("TypeError(\"'n' must be a positive whole number\")");
    };
    let now = worker.slots.size();
    let size = if grow { now.saturating_add(by) } else { now.saturating_sub(by) };
    if size == 0 {
        return error(format!("ValueError('a pool of {now} cannot shrink by {by}')"));
    }
    if let Err(refused) = worker.slots.resize(size) {
        return too_many(refused);
    }
    worker.held.look_again();
    info!("told to run {size} tasks at once instead of {now} by remote control");
    ok(if grow { "pool will grow" } else { "pool will shrink" })
}

/// `autoscale`: as idle slots cost nothing, there are always as many as allowed.
pub(crate) fn autoscale(worker: &Worker, arguments: &Map) -> Value {
    let before = worker.slots.range();
    let default = |limit: fn(Range) -> usize, other: usize| before.map_or(other, limit);
    let max = count(arguments, "max", default(|range| range.max, worker.slots.size()));
    let min = count(arguments, "min", default(|range| range.min, 1));
    let (Some(max), Some(min)) = (max, min) else {
        return error("TypeError(\"'max' and 'min' must be positive whole numbers\")");
    };
    let max = max.max(min);
    if let Err(refused) = worker.slots.set_range(Range { min, max }) {
        return too_many(refused);
    }
    worker.held.look_again();
    info!("told to run up to {max} tasks at once by remote control");
    ok(format!("autoscale now max={max} min={min}"))
}

fn too_many(TooMany { most }: TooMany) -> Value {
    error(format!("ValueError('there is room for {most} tasks at once; start it with more')"))
}

/// A positive number; absent or null is the default.
fn count(arguments: &Map, key: &str, default: usize) -> Option<usize> {
    let number = match arguments.get(key) {
        None | Some(Value::Null) => return Some(default),
        Some(Value::Text(text)) => text.trim().parse::<u64>().ok()?,
        Some(number) => number.as_u64()?,
    };
    usize::try_from(number).ok().filter(|number| *number > 0)
}

/// `add_consumer`.
pub(crate) async fn add_consumer(worker: &Worker, arguments: &Map) -> Value {
    let text = |key: &str| {
        let text = arguments.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let Some(queue) = text("queue") else { return no_name() };
    if is_reserved_queue(queue) {
        return error(format!("ValueError({})", quoted(&format!("{queue} is no queue for tasks"))));
    }
    let known = worker.queues.all().iter().any(|known| known.name == queue);
    let (exchange, key) = (text("exchange"), text("routing_key"));
    // A queue that is known keeps its binding, as in Celery.
    let binding = (!known && (exchange.is_some() || key.is_some())).then(|| {
        let kind = match text("exchange_type") {
            Some("topic") => "topic",
            Some("fanout") => "fanout",
            _ => "direct",
        };
        let usual = worker.broker.binding(queue);
        Binding {
            exchange: exchange.map_or(usual.exchange, str::to_owned),
            kind,
            routing_key: key.map_or(usual.routing_key, str::to_owned),
            arguments: usual.arguments,
        }
    });
    answer(worker.queues.add(worker, queue, binding).await, format!("add consumer {queue}"))
}

/// `cancel_consumer`.
pub(crate) async fn cancel_consumer(worker: &Worker, arguments: &Map) -> Value {
    let Some(queue) = arguments.get("queue").and_then(Value::as_str) else { return no_name() };
    answer(worker.queues.cancel(queue).await, format!("no longer consuming from {queue}"))
}

fn no_name() -> Value {
    error("TypeError(\"'queue' must be the name of a queue\")")
}

fn answer(done: Result<(), BrokerError>, said: String) -> Value {
    match done {
        Ok(()) => ok(said),
        Err(why) => error(format!("OperationalError({})", quoted(&why.to_string()))),
    }
}
