//! What can be asked of a worker, by method (PROTOCOL 7.4).

use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use umbel_protocol::control::{Request, recognize};
use umbel_protocol::event::Event;
use umbel_protocol::repr::{quoted, repr};
use umbel_task::policy::Rate;
use umbel_value::{Map, Value};

use super::{gossip, inspect, mingle, plugins, pool, revoke};
use crate::events::Switched;
use crate::flow::TimeLimits;
use crate::worker::Worker;

/// Does what a request asks; `None` is no reply at all.
pub(crate) async fn obey(worker: &Arc<Worker>, request: &Request) -> Option<Value> {
    let Request { method, arguments, .. } = request;
    let command = match recognize(method, arguments) {
        Ok(command) => command,
        Err(exception) => return Some(error(exception)),
    };
    let reply = match command {
        "shutdown" => {
            info!("told to shut down by remote control");
            worker.shutdown.drain();
            return None;
        }
        "revoke" => revoke::by_id(worker, arguments, false).await,
        "terminate" => revoke::by_id(worker, arguments, true).await,
        "add_consumer" => pool::add_consumer(worker, arguments).await,
        "cancel_consumer" => pool::cancel_consumer(worker, arguments).await,
        command => at_once(worker, command, arguments),
    };
    Some(reply)
}

/// What waits for nothing.
fn at_once(worker: &Arc<Worker>, command: &str, arguments: &Map) -> Value {
    match command {
        "ping" => ok("pong"),
        "active" => inspect::active(worker, arguments),
        "reserved" => inspect::reserved(worker),
        "scheduled" => inspect::scheduled(worker),
        "query_task" => inspect::query_task(worker, arguments),
        "revoked" => worker.revoked.ids().iter().map(Value::from).collect(),
        "registered" => inspect::registered(worker, arguments),
        "active_queues" => inspect::active_queues(worker),
        "stats" => inspect::stats(worker),
        "conf" => inspect::conf(worker, arguments),
        "report" => inspect::report(worker),
        "memsample" => inspect::memsample(worker),
        "memdump" => inspect::memdump(worker),
        "objgraph" => inspect::objgraph(),
        "clock" => Value::from([("clock", worker.clock.tick().into())]),
        "hello" => hello(worker, arguments),
        "revoke_by_stamped_headers" => revoke::by_stamps(worker, arguments),
        "rate_limit" => rate_limit(worker, arguments),
        "time_limit" => time_limit(worker, arguments),
        "pool_grow" => pool::resize(worker, arguments, true),
        "pool_shrink" => pool::resize(worker, arguments, false),
        "autoscale" => pool::autoscale(worker, arguments),
        "pool_restart" => plugins::reload(worker),
        "plugins" => plugins::report(worker),
        "plugin_rollback" => plugins::roll_back(worker, arguments),
        "enable_events" => switch_events(worker, true),
        "disable_events" => switch_events(worker, false),
        "heartbeat" => {
            worker.events.tell(&Event::Here);
            Value::Null
        }
        "election" => gossip::election(worker, arguments),
        other => error(format!("NotImplementedError({})", repr(&other.into()))),
    }
}

pub(crate) fn ok(text: impl Into<String>) -> Value {
    Value::from([("ok", text.into().into())])
}

pub(crate) fn error(text: impl Into<String>) -> Value {
    Value::from([("error", text.into().into())])
}

fn switch_events(worker: &Worker, on: bool) -> Value {
    let word = if on { "enabled" } else { "disabled" };
    match worker.events.switch(on) {
        Switched::Now => {
            info!("events of tasks are {word} by remote control");
            ok(format!("task events {word}"))
        }
        Switched::Already => ok(format!("task events already {word}")),
        Switched::Unavailable => error("event dispatcher unavailable"),
    }
}

fn hello(worker: &Worker, arguments: &Map) -> Value {
    let from = arguments.get("from_node").and_then(Value::as_str);
    if from == Some(&worker.config.node) {
        return Value::Null;
    }
    mingle::revoke_all(worker, arguments.get("revoked"));
    let revoked: Value = worker.revoked.ids().iter().map(Value::from).collect();
    Value::from([("revoked", revoked), ("clock", worker.clock.tick().into())])
}

fn rate_limit(worker: &Worker, arguments: &Map) -> Value {
    let task = arguments.get("task_name").and_then(Value::as_str).unwrap_or_default();
    let given = arguments.get("rate_limit").cloned().unwrap_or_default();
    let rate = match rate(&given) {
        Ok(rate) => rate,
        Err(why) => return error(why),
    };
    if worker.runner.find(task).is_none() {
        return error("unknown task");
    }
    worker.flow.set_rate(task, rate);
    info!("the rate limit of {task} is {} now", repr(&given));
    // A text of zero lifts the limit as well, but Celery calls it a new one.
    ok(if given.is_truthy() {
        "new rate limit set successfully"
    } else {
        "rate limit disabled successfully"
    })
}

/// Celery's words: a number a second, or `"10/m"`. Nothing and zero lift the limit. What is none is
/// refused with what Python says of it.
fn rate(given: &Value) -> Result<Option<Rate>, String> {
    let invalid =
        |what: String| format!("Invalid rate limit string: ValueError({})", quoted(&what));
    let per_second = match given {
        Value::Null => return Ok(None),
        Value::Text(text) if text.is_empty() => return Ok(None),
        Value::Text(text) => {
            let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
            let unit = match unit {
                "s" | "" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                other => return Err(format!("KeyError({})", quoted(other))),
            };
            let wrong =
                || invalid(format!("could not convert string to float: {}", quoted(number)));
            number.trim().parse::<f64>().map_err(|_| wrong())? / unit
        }
        number => number.as_f64().ok_or_else(|| invalid(format!("no rate: {}", repr(number))))?,
    };
    match per_second {
        rate if rate.is_finite() && rate > 0.0 => Ok(Some(Rate { per_second: rate })),
        0.0 => Ok(None),
        _ => Err(invalid(format!("no rate: {}", repr(given)))),
    }
}

fn time_limit(worker: &Worker, arguments: &Map) -> Value {
    let task = arguments.get("task_name").and_then(Value::as_str).unwrap_or_default();
    if worker.runner.find(task).is_none() {
        return error("unknown task");
    }
    let limit = |key: &str| {
        let seconds = arguments.get(key).and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    worker.flow.set_time_limits(task, TimeLimits { soft: limit("soft"), hard: limit("hard") });
    ok("time limits set successfully")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_celery_writes_them() {
        let per_second = |given: Value| rate(&given).map(|rate| rate.map(|rate| rate.per_second));
        assert_eq!(per_second("10/m".into()), Ok(Some(10.0 / 60.0)));
        assert_eq!(per_second("7".into()), Ok(Some(7.0)));
        assert_eq!(per_second(0.5.into()), Ok(Some(0.5)));
        assert_eq!(per_second(0.into()), Ok(None));
        assert_eq!(per_second(Value::Null), Ok(None));
        for wrong in ["x", "1/d", "-1/s", "nan"] {
            assert!(per_second(wrong.into()).is_err(), "{wrong}");
        }
    }
}
