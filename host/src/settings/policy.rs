//! What the keys of `[limits]`, `[tasks]` and of the tables of plugins and tasks do to a policy.

use toml::Spanned;
use toml::de::DeValue;
use umbel_protocol::names;
use umbel_task::policy::{Acks, Interrupted, TaskPolicy};

use super::file::{Table, nearest};
use super::table::{Kind, settings};
use super::{units, values};
use crate::fault::Fault;

/// The engine reserves room for so much, for each run that may be under way.
const MOST_INSTANCES: u32 = 1000;
const MOST_MEMORIES: u32 = 64;
const MOST_TABLES: u32 = 256;
const MOST_TABLE_ELEMENTS: u32 = 10_000_000;

/// What a table of the file changes of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes(Vec<(&'static str, String)>);

impl Changes {
    /// `base` with what the table says.
    pub(crate) fn over(&self, base: &TaskPolicy) -> TaskPolicy {
        let mut policy = base.clone();
        for (key, text) in &self.0 {
            set(&mut policy, key, text).expect("it was tried when the table was read");
        }
        policy
    }

    /// What words of the form `NAME=VALUE` say of limits; the names are the keys of `[limits]`.
    pub(crate) fn limits(words: &[String]) -> Result<Self, Fault> {
        let mut changes = Self::default();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                let fault =
                    Fault::usage(format!("--limit: `{word}` is not of the form NAME=VALUE"));
                return Err(fault.help("write --limit memory=64MiB"));
            };
            let key = format!("limits.{name}");
            let known = || settings().filter(|setting| setting.key.starts_with("limits."));
            let Some(setting) = known().find(|setting| setting.key == key) else {
                let names: Vec<&str> = known().map(|s| &s.key["limits.".len()..]).collect();
                let fault = Fault::usage(format!("--limit: there is no limit `{name}`"));
                return Err(match nearest(name, &names) {
                    Some(near) => fault.help(format!("did you mean `{near}`?")),
                    None => fault.help(format!("there are: {}", names.join(", "))),
                });
            };
            let text = setting.with_celerys_unit(value);
            set(&mut TaskPolicy::default(), setting.key, &text)
                .map_err(|why| Fault::usage(format!("--limit {name}: {why}")))?;
            changes.0.push((setting.key, text));
        }
        Ok(changes)
    }

    /// Adds what the table says under `name`; a refusal gets file, line and key.
    pub(super) fn add(
        &mut self,
        key: &'static str,
        kind: Kind,
        table: &Table<'_, '_>,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Fault> {
        let text = table.plain(kind, name, value)?;
        set(&mut TaskPolicy::default(), key, &text).map_err(|why| {
            table.source.fault(&value.span(), format!("`{}`: {why}", table.path(name)))
        })?;
        self.0.push((key, text));
        Ok(())
    }
}

/// Sets what the key stands for.
pub(super) fn set(policy: &mut TaskPolicy, key: &str, text: &str) -> Result<(), String> {
    let TaskPolicy { sandbox, handling } = policy;
    let (retry, submit) = (&mut handling.retry, &mut handling.submit);
    match key {
        "limits.time" => sandbox.time = values::time_limit(text)?,
        "limits.soft-time" => sandbox.soft_time = values::unless("off", text, values::time_limit)?,
        "limits.cpu" => sandbox.cpu = values::unless("time", text, values::time_limit)?,
        "limits.memory" => sandbox.memory = units::size(text)?,
        "limits.fuel" => sandbox.fuel = values::amount(text)?,
        "limits.output" => sandbox.output = units::size(text)?,
        "limits.log" => sandbox.log = units::size(text)?,
        "limits.progress" => sandbox.progress = values::number(text)?,
        "limits.host-calls" => sandbox.host_calls = values::count(text)?,
        "limits.handles" => sandbox.handles = values::number(text)?,
        "limits.random" => sandbox.random = units::size(text)?,
        "limits.requests" => sandbox.requests = values::number(text)?,
        "limits.request-bytes" => sandbox.request_bytes = units::size(text)?,
        "limits.sockets" => sandbox.sockets = values::number(text)?,
        "limits.instances" => sandbox.instances = values::up_to(text, MOST_INSTANCES)?,
        "limits.memories" => sandbox.memories = values::up_to(text, MOST_MEMORIES)?,
        "limits.tables" => sandbox.tables = values::up_to(text, MOST_TABLES)?,
        "limits.table-elements" => {
            sandbox.table_elements = values::up_to(text, MOST_TABLE_ELEMENTS)?;
        }
        "limits.stack" => sandbox.stack = values::stack(text)?,
        "limits.deliveries" => handling.deliveries = values::amount(text)?,
        "limits.concurrency" => handling.plugin_concurrency = values::amount(text)?,
        "tasks.acks" => handling.acks = acks(text)?,
        "tasks.ack-on-failure" => handling.ack_on_failure = values::switch(text)?,
        "tasks.ack-on-timeout" => handling.ack_on_timeout = values::switch(text)?,
        "tasks.retry.max" => retry.max = values::unless("off", text, values::number)?,
        "tasks.retry.backoff" => retry.backoff = units::duration(text)?,
        "tasks.retry.max-backoff" => retry.max_backoff = units::duration(text)?,
        "tasks.retry.jitter" => retry.jitter = values::switch(text)?,
        "tasks.retry.kinds" => retry.kinds = kinds(text)?,
        "tasks.interrupted" => handling.interrupted = interrupted(text)?,
        "tasks.repeat-succeeded" => handling.repeat_succeeded = values::switch(text)?,
        "tasks.track-started" => handling.track_started = values::switch(text)?,
        "tasks.ignore-result" => handling.ignore_result = values::switch(text)?,
        "tasks.store-errors" => handling.store_errors = values::switch(text)?,
        "tasks.rate-limit" => handling.rate_limit = units::rate(text)?,
        "tasks.concurrency" => handling.concurrency = values::amount(text)?,
        "allow.submit" => submit.names = values::list(text),
        "allow.submit-queues" => submit.queues = queues(text)?,
        "allow.submit-count" => submit.count = values::number(text)?,
        "allow.submit-depth" => submit.depth = values::number(text)?,
        _ => return Err("is not a matter of policy".to_owned()),
    }
    Ok(())
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "late" => Ok(Acks::Late),
        "early" => Ok(Acks::Early),
        other => Err(format!("`{other}` is neither `late` nor `early`")),
    }
}

fn interrupted(text: &str) -> Result<Interrupted, String> {
    match text {
        "requeue" => Ok(Interrupted::Requeue),
        "retry" => Ok(Interrupted::Retry),
        other => Err(format!("`{other}` is neither `requeue` nor `retry`")),
    }
}

/// Patterns of queues' names.
fn queues(text: &str) -> Result<Vec<String>, String> {
    let queues = values::list(text);
    match queues.iter().find(|queue| names::is_reserved_queue(queue)) {
        Some(reserved) => Err(format!("`{reserved}` is not a queue of tasks")),
        None => Ok(queues),
    }
}

/// Names of exceptions, or `*`.
fn kinds(text: &str) -> Result<Vec<String>, String> {
    let kinds = values::list(text);
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    match kinds.iter().find(|kind| *kind != "*" && !kind.chars().all(is_name)) {
        Some(wrong) => Err(format!("`{wrong}` is no exception's name, nor `*` for all")),
        None => Ok(kinds),
    }
}
