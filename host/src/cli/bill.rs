//! What a run used and what it may use, each amount beside its limit.

use std::time::Duration;

use serde_json::{Map, Value, json};
use umbel_task::outcome::Cost;
use umbel_task::policy::{Sandbox, TaskPolicy};

use crate::settings::units::{about_duration, about_size, show_duration, show_size};

/// An amount in its unit.
#[derive(Clone, Copy)]
enum Amount {
    Time(Duration),
    Size(u64),
    Count(u64),
}

use Amount::{Count, Size, Time};

/// Name, what was used, the limit. `None` is unmetered or without a limit of its own.
type Row = (&'static str, Option<Amount>, Option<Amount>);

/// A table for people.
pub(super) fn text(cost: &Cost, policy: &TaskPolicy) -> String {
    let mut text = format!("{:15}{:>12}  {:>10}", "", "used", "limit");
    for (name, used, limit) in rows(cost, policy) {
        let used = used.map_or("-".to_owned(), Amount::about);
        let mut limit = limit.map_or("off".to_owned(), Amount::exact);
        if let (Some(soft), "wall") = (policy.sandbox.soft_time, name) {
            limit += &format!(" soft:{}", show_duration(soft));
        }
        text += &format!("\n{name:15}{used:>12}  {limit:>10}");
    }
    text
}

/// For programs: what was used.
pub(super) fn used(cost: &Cost, policy: &TaskPolicy) -> Value {
    let rows = rows(cost, policy).into_iter();
    object(rows.map(|(name, used, limit)| (name, used, used.or(limit))))
}

/// For programs: the limits, under the names of `used`.
pub(super) fn limits(policy: &TaskPolicy) -> Value {
    let rows = rows(&Cost::default(), policy).into_iter();
    object(rows.map(|(name, used, limit)| (name, limit, used.or(limit))))
}

/// For people: every limit in one line.
pub(super) fn limits_line(policy: &TaskPolicy) -> String {
    let rows = rows(&Cost::default(), policy).into_iter();
    let shown = rows.map(|(name, _, limit)| {
        format!("{name}={}", limit.map_or("off".to_owned(), Amount::exact))
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn rows(cost: &Cost, policy: &TaskPolicy) -> Vec<Row> {
    let Sandbox { fuel, .. } = policy.sandbox;
    let limits = &policy.sandbox;
    let row = |name, used, limit| (name, Some(used), Some(limit));
    vec![
        row("wall", Time(cost.wall), Time(limits.time)),
        row("cpu", Time(cost.cpu), Time(limits.cpu())),
        ("fuel", cost.fuel.map(Count), fuel.map(Count)),
        row("memory", Size(cost.memory), Size(limits.memory)),
        row("table-elements", Count(cost.table_elements), Count(limits.table_elements.into())),
        row("output", Size(cost.output), Size(limits.output)),
        row("log", Size(cost.log), Size(limits.log)),
        row("progress", Count(cost.progress), Count(limits.progress.into())),
        row("host-calls", Count(cost.host_calls), Count(limits.host_calls)),
        row("random", Size(cost.random), Size(limits.random)),
        row("submissions", Count(cost.submissions), Count(policy.handling.submit.count.into())),
        row("requests", Count(cost.requests), Count(limits.requests.into())),
        row("request-bytes", Size(cost.request_bytes), Size(limits.request_bytes)),
        row("sockets", Count(cost.sockets), Count(limits.sockets.into())),
    ]
}

/// Numbers under names that say their unit: `wall_ms`, `memory_bytes`, `sockets`.
fn object(rows: impl Iterator<Item = (&'static str, Option<Amount>, Option<Amount>)>) -> Value {
    let pairs = rows.map(|(name, value, unit)| {
        let name = name.replace('-', "_");
        let name = match unit {
            Some(Time(_)) => name + "_ms",
            Some(Size(_)) if !name.ends_with("_bytes") => name + "_bytes",
            _ => name,
        };
        (name, value.map_or(Value::Null, Amount::number))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

impl Amount {
    fn exact(self) -> String {
        match self {
            Time(time) => show_duration(time),
            Size(bytes) => show_size(bytes),
            Count(count) => count.to_string(),
        }
    }

    fn about(self) -> String {
        match self {
            Time(time) => about_duration(time),
            Size(bytes) => about_size(bytes),
            Count(count) => count.to_string(),
        }
    }

    fn number(self) -> Value {
        match self {
            Time(time) => json!(time.as_secs_f64() * 1e3),
            Size(number) | Count(number) => json!(number),
        }
    }
}
