//! `[plugins.NAME]`: where a plugin comes from, what its tasks are called, how they are treated.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;
use umbel_task::policy::{Acks, Retry, Sandbox, TaskPolicy};

use super::file::Table;
use super::table::Kind;
use super::units;
use super::values::{fuel, switch, time_limit};
use crate::fault::Fault;

/// One plugin's table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PluginTable {
    pub(crate) name: String,
    pub(crate) source: Option<PathBuf>,
    pub(crate) prefix: Option<String>,
    /// Full task name and the function that gets it.
    pub(crate) names: Vec<(String, String)>,
    pub(crate) limits: Limits,
    /// Function and its own treatment.
    pub(crate) tasks: Vec<(String, TaskTable)>,
}

/// What one task's table says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TaskTable {
    pub(crate) acks: Option<Acks>,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryTable,
}

/// Limits as far as a table names them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) time: Option<Duration>,
    pub(crate) memory: Option<u64>,
    /// `Some(None)` is `off`.
    pub(crate) fuel: Option<Option<u64>>,
    pub(crate) output: Option<u64>,
    pub(crate) log: Option<u64>,
}

/// A retry policy as far as a table names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RetryTable {
    /// `Some(None)` is without end.
    max: Option<Option<u32>>,
    backoff: Option<Duration>,
    max_backoff: Option<Duration>,
    jitter: Option<bool>,
}

impl Limits {
    /// `base` with what this table names.
    pub(crate) fn over(&self, base: &TaskPolicy) -> TaskPolicy {
        let mut policy = base.clone();
        let sandbox: &mut Sandbox = &mut policy.sandbox;
        set(&mut sandbox.time, &self.time);
        set(&mut sandbox.memory, &self.memory);
        set(&mut sandbox.fuel, &self.fuel);
        set(&mut sandbox.output, &self.output);
        set(&mut sandbox.log, &self.log);
        policy
    }
}

impl TaskTable {
    /// `base` with what this table names.
    pub(crate) fn over(&self, base: &TaskPolicy) -> TaskPolicy {
        let mut policy = self.limits.over(base);
        set(&mut policy.handling.acks, &self.acks);
        let retry: &mut Retry = &mut policy.handling.retry;
        set(&mut retry.max, &self.retry.max);
        set(&mut retry.backoff, &self.retry.backoff);
        set(&mut retry.max_backoff, &self.retry.max_backoff);
        set(&mut retry.jitter, &self.retry.jitter);
        policy
    }
}

fn set<T: Clone>(slot: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        *slot = value.clone();
    }
}

const GRANTS: &str = "`allow` (HTTP, environment, folders, submitting tasks) is not supported by \
                      this version";
const PLUGIN_NOT_YET: &[(&str, &str)] = &[("allow", GRANTS)];
pub(super) const LIMITS_NOT_YET: &[(&str, &str)] = &[
    ("concurrency", "`limits.concurrency` is not supported by this version"),
    ("deliveries", "`limits.deliveries` is not supported by this version"),
];
const TASK_NOT_YET: &[(&str, &str)] = &[
    ("allow", GRANTS),
    ("rate-limit", "`rate-limit` is not supported by this version"),
    ("rate_limit", "`rate-limit` is not supported by this version"),
];

/// Reads the table `[plugins.<name>]`.
pub(super) fn read(table: &Table<'_, '_>, name: &str) -> Result<PluginTable, Fault> {
    table.check_keys(&["source", "prefix", "names", "limits", "tasks"], PLUGIN_NOT_YET)?;
    let mut plugin = PluginTable { name: name.to_owned(), ..PluginTable::default() };
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        match key {
            "source" => plugin.source = Some(table.plain(Kind::Path, key, value)?.into()),
            "prefix" => plugin.prefix = Some(table.plain(Kind::Text, key, value)?),
            "names" => {
                let names = table.table(value, key)?;
                for (task, function) in names.entries {
                    let task = task.get_ref().as_ref();
                    let function = names.plain(Kind::Text, task, function)?;
                    plugin.names.push((task.to_owned(), function));
                }
            }
            "limits" => plugin.limits = limits(&table.table(value, key)?)?,
            _ => {
                let tasks = table.table(value, key)?;
                for (function, value) in tasks.entries {
                    let function = function.get_ref().as_ref();
                    let own = task(&tasks.table(value, function)?)?;
                    plugin.tasks.push((function.to_owned(), own));
                }
            }
        }
    }
    Ok(plugin)
}

fn limits(table: &Table<'_, '_>) -> Result<Limits, Fault> {
    table.check_keys(&["time", "memory", "fuel", "output", "log"], LIMITS_NOT_YET)?;
    let mut limits = Limits::default();
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        match key {
            "time" => limits.time = Some(read_as(table, Kind::Duration, key, value, time_limit)?),
            "memory" => limits.memory = Some(read_as(table, Kind::Size, key, value, units::size)?),
            "fuel" => limits.fuel = Some(read_as(table, Kind::Fuel, key, value, fuel)?),
            "output" => limits.output = Some(read_as(table, Kind::Size, key, value, units::size)?),
            _ => limits.log = Some(read_as(table, Kind::Size, key, value, units::size)?),
        }
    }
    Ok(limits)
}

fn task(table: &Table<'_, '_>) -> Result<TaskTable, Fault> {
    table.check_keys(&["acks", "limits", "retry"], TASK_NOT_YET)?;
    let mut task = TaskTable::default();
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        match key {
            "acks" => task.acks = Some(read_as(table, Kind::Text, key, value, acks)?),
            "limits" => task.limits = limits(&table.table(value, key)?)?,
            _ => task.retry = retry(&table.table(value, key)?)?,
        }
    }
    Ok(task)
}

fn retry(table: &Table<'_, '_>) -> Result<RetryTable, Fault> {
    table.check_keys(&["max", "backoff", "max-backoff", "jitter"], &[])?;
    let mut retry = RetryTable::default();
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        match key {
            "max" => retry.max = Some(read_as(table, Kind::Fuel, key, value, retries)?),
            "backoff" => {
                retry.backoff = Some(read_as(table, Kind::Duration, key, value, units::duration)?);
            }
            "max-backoff" => {
                let longest = read_as(table, Kind::Duration, key, value, units::duration)?;
                retry.max_backoff = Some(longest);
            }
            _ => retry.jitter = Some(read_as(table, Kind::Switch, key, value, switch)?),
        }
    }
    Ok(retry)
}

/// Reads a value's text; a refusal gets file, line and key.
fn read_as<T>(
    table: &Table<'_, '_>,
    kind: Kind,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, Fault> {
    let text = table.plain(kind, key, value)?;
    read(&text)
        .map_err(|why| table.source.fault(&value.span(), format!("`{}`: {why}", table.path(key))))
}

/// `late` or `early`.
fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "late" => Ok(Acks::Late),
        "early" => Ok(Acks::Early),
        other => Err(format!("`{other}` is neither `late` nor `early`")),
    }
}

fn retries(text: &str) -> Result<Option<u32>, String> {
    match text {
        "off" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| format!("`{text}` is neither a number nor `off` (without end)")),
    }
}
