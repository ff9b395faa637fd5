//! What a worker tells of itself when it is asked (PROTOCOL 7.4, the inspecting commands).

use std::sync::Arc;
use std::time::Duration;

use umbel_protocol::control::{
    Autoscaler, Pool, Stats, TASK_ITEMS, TaskInfo, rate, registered as line,
};
use umbel_protocol::repr::repr;
use umbel_task::policy::Acks;
use umbel_task::runner::Task;
use umbel_value::{Map, Value};

use super::commands::{error, ok};
use crate::inflight::{Entry, Stage};
use crate::worker::Worker;

/// What runs.
pub(crate) fn active(worker: &Worker, arguments: &Map) -> Value {
    let safe = arguments.get("safe").is_some_and(Value::is_truthy);
    let all = worker.inflight.all();
    let running = all.iter().filter(|entry| matches!(entry.stage(), Stage::Running(_)));
    running.map(|entry| info(worker, entry).to_value(safe)).collect()
}

/// What waits for a slot.
pub(crate) fn reserved(worker: &Worker) -> Value {
    let all = worker.inflight.all();
    let waiting = all.iter().filter(|entry| entry.stage() == Stage::Waiting);
    waiting.map(|entry| info(worker, entry).to_value(false)).collect()
}

/// What waits for its time.
pub(crate) fn scheduled(worker: &Worker) -> Value {
    let all = worker.inflight.all();
    let held = all.iter().filter_map(|entry| match entry.stage() {
        Stage::Held(eta) => Some(info(worker, entry).scheduled(eta)),
        _ => None,
    });
    held.collect()
}

/// How far some tasks are; those that are not here are left out.
pub(crate) fn query_task(worker: &Worker, arguments: &Map) -> Value {
    let ids = match arguments.get("ids") {
        Some(Value::Text(id)) => vec![id.as_str()],
        Some(Value::List(ids)) => ids.iter().filter_map(Value::as_str).collect(),
        _ => return error("TypeError(\"'ids' must be a list of ids\")"),
    };
    let found = ids.into_iter().filter_map(|id| {
        let entry = worker.inflight.find(id)?;
        let state = match entry.stage() {
            Stage::Running(_) => "active",
            Stage::Waiting => "reserved",
            Stage::Held(_) => "scheduled",
        };
        Some((id, vec![state.into(), info(worker, &entry).to_value(false)].into()))
    });
    found.collect::<Vec<(&str, Value)>>().into_iter().collect()
}

fn info<'a>(worker: &'a Worker, entry: &'a Arc<Entry>) -> TaskInfo<'a> {
    TaskInfo {
        message: &entry.message,
        route: &entry.route,
        redelivered: entry.redelivered,
        node: &worker.config.node,
        running: match entry.stage() {
            Stage::Running(since) => Some((since, worker.vitals.pid)),
            _ => None,
        },
        acknowledged: entry.is_acknowledged(),
    }
}

/// Which tasks there are.
pub(crate) fn registered(worker: &Worker, arguments: &Map) -> Value {
    let items: Vec<&str> = match arguments.get("taskinfoitems").and_then(Value::as_list) {
        Some(items) if !items.is_empty() => items.iter().filter_map(Value::as_str).collect(),
        _ => TASK_ITEMS.to_vec(),
    };
    let mut names: Vec<String> =
        worker.runner.names().iter().map(|name| name.as_str().to_owned()).collect();
    if arguments.get("builtins").is_some_and(Value::is_truthy) {
        names.extend(crate::builtins::NAMES.map(str::to_owned));
    }
    names.sort();
    names.dedup();
    let lines = names.iter().filter_map(|name| {
        let task = worker.runner.find(name)?;
        Some(Value::from(line(name, &attributes(worker, name, &*task, &items))))
    });
    lines.collect()
}

/// What is to be said of a task, as far as there is anything to say.
fn attributes<'a>(
    worker: &Worker,
    name: &str,
    task: &dyn Task,
    items: &[&'a str],
) -> Vec<(&'a str, String)> {
    let policy = task.policy();
    let handling = &policy.handling;
    let truth = |is: bool| Some(if is { "True" } else { "False" }.to_owned());
    let said = items.iter().filter_map(|item| {
        let value = match *item {
            "name" => Some(name.to_owned()),
            "rate_limit" => {
                let limit = worker.flow.rate(name, handling.rate_limit);
                limit.map(|limit| rate(limit.per_second))
            }
            "acks_late" => truth(handling.acks == Acks::Late),
            "ignore_result" => truth(handling.ignore_result),
            "track_started" => truth(handling.track_started),
            "max_retries" => handling.retry.max.map(|most| most.to_string()),
            "default_retry_delay" => Some(handling.retry.backoff.as_secs().to_string()),
            "time_limit" => {
                let set = worker.flow.time_limits(name).hard;
                let limit = set.map_or(policy.sandbox.time, |set| set.min(policy.sandbox.time));
                Some(limit.as_secs_f64().to_string())
            }
            "soft_time_limit" => {
                let limit = worker.flow.time_limits(name).soft.or(policy.sandbox.soft_time);
                limit.map(|limit| limit.as_secs_f64().to_string())
            }
            "version" | "plugin" => Some(task.version().to_string()),
            _ => None,
        };
        value.map(|value| (*item, value))
    });
    said.collect()
}

/// The queues that are taken from.
pub(crate) fn active_queues(worker: &Worker) -> Value {
    let queues = worker.queues.all();
    let told = queues.iter().map(|queue| {
        let usual = || worker.broker.binding(&queue.name);
        queue.binding.clone().unwrap_or_else(usual).to_value(&queue.name)
    });
    told.collect()
}

/// Numbers.
pub(crate) fn stats(worker: &Worker) -> Value {
    let total = worker.tally.begun_by_task();
    let total = total.into_iter().map(|(task, count)| (task, count.into())).collect();
    let (slots, active) = (worker.slots.size(), worker.slots.taken());
    let autoscaler = worker.slots.range().map(|range| Autoscaler {
        max: range.max,
        min: range.min,
        current: slots,
        active,
    });
    let stats = Stats {
        total,
        pid: worker.vitals.pid,
        clock: worker.clock.now(),
        uptime: worker.vitals.uptime(),
        pool: Pool {
            implementation: "umbel:WasmPool",
            slots,
            active,
            runs: worker.tally.begun(),
            pid: worker.vitals.pid,
            soft_limit: seconds(worker.config.about.time_limits.0),
            hard_limit: seconds(worker.config.about.time_limits.1),
        },
        broker: worker.config.about.broker.clone(),
        prefetch_count: worker.window(),
        autoscaler,
        usage: worker.vitals.usage(),
    };
    let mut told = stats.into_value();
    if let Value::Map(map) = &mut told {
        // Ours; others pass over it.
        map.insert("events_dropped".to_owned(), worker.events.dropped().into());
    }
    told
}

/// None is 0, as Celery has it.
fn seconds(limit: Option<Duration>) -> f64 {
    limit.map_or(0.0, |limit| limit.as_secs_f64())
}

/// The settings.
pub(crate) fn conf(worker: &Worker, arguments: &Map) -> Value {
    let about = &worker.config.about;
    let all = arguments.get("with_defaults").is_some_and(Value::is_truthy);
    Value::Map(if all { about.all_settings.clone() } else { about.settings.clone() })
}

/// Software and settings as text.
pub(crate) fn report(worker: &Worker) -> Value {
    let about = &worker.config.about;
    let mut text = format!("\n{}\n", about.software);
    for (key, value) in &about.settings {
        text += &format!("\n{key}: {}", repr(value));
    }
    text.push('\n');
    ok(text)
}

/// Memory in use, for people.
pub(crate) fn memsample(worker: &Worker) -> Value {
    worker.vitals.memory().map(shown).into()
}

/// The same with a line for each sample, of which there is one.
pub(crate) fn memdump(worker: &Worker) -> Value {
    let memory = worker.vitals.memory().map_or_else(|| "(not told)".to_owned(), shown);
    format!("- rss: {memory}.\n").into()
}

fn shown(kib: u64) -> String {
    format!("{:.2}MB", kib as f64 / 1024.0)
}

/// There is no graph of Python objects here.
pub(crate) fn objgraph() -> Value {
    error("NotImplementedError('this worker has no Python objects to draw')")
}
