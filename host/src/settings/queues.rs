//! Queues that are tables in the file: how RabbitMQ is to have them.

use toml::Spanned;
use toml::de::DeValue;
use umbel_value::{Map, Value};

use super::file::Table;
use super::table::Kind;
use super::values;
use crate::fault::Fault;

/// How one queue is declared; what is `None` is as for every queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QueueTable {
    pub(crate) name: String,
    pub(crate) kind: Option<QueueKind>,
    pub(crate) max_priority: Option<u8>,
    /// `None`: the queue's name.
    pub(crate) exchange: Option<String>,
    /// `None`: direct.
    pub(crate) exchange_type: Option<String>,
    /// `None`: the queue's name.
    pub(crate) routing_key: Option<String>,
    pub(crate) arguments: Map,
    /// Take from it even if it exists with other arguments.
    pub(crate) accept_existing: bool,
}

/// RabbitMQ's kinds of queues that can hold tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Classic,
    Quorum,
}

impl QueueKind {
    /// The server's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            QueueKind::Classic => "classic",
            QueueKind::Quorum => "quorum",
        }
    }
}

const KEYS: &[&str] = &[
    "name",
    "type",
    "max-priority",
    "exchange",
    "exchange-type",
    "routing-key",
    "arguments",
    "accept-existing",
];

/// The tables of an array of queues.
pub(super) fn read(
    table: &Table<'_, '_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<QueueTable>, Fault> {
    let items = value.get_ref().as_array().map(|items| items.iter()).unwrap_or_default();
    let tables = items.filter(|item| item.get_ref().is_table());
    tables.map(|item| queue(&table.table(item, key)?)).collect()
}

fn queue(table: &Table<'_, '_>) -> Result<QueueTable, Fault> {
    table.check_keys(KEYS, &[])?;
    let mut queue = QueueTable::default();
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        let refuse = |why: String| {
            table.source.fault(&value.span(), format!("`{}`: {why}", table.path(name)))
        };
        match name {
            "arguments" => queue.arguments = arguments(&table.table(value, name)?)?,
            "accept-existing" => {
                let text = table.plain(Kind::Switch, name, value)?;
                queue.accept_existing = values::switch(&text).map_err(refuse)?;
            }
            "max-priority" => {
                let text = table.plain(Kind::Count, name, value)?;
                queue.max_priority = Some(values::priority(&text).map_err(refuse)?);
            }
            _ => {
                let text = table.plain(Kind::Text, name, value)?;
                match name {
                    "name" => queue.name = text,
                    "type" => queue.kind = Some(kind(&text).map_err(refuse)?),
                    "exchange" => queue.exchange = Some(text),
                    "routing-key" => queue.routing_key = Some(text),
                    _ => queue.exchange_type = Some(exchange_type(text).map_err(refuse)?),
                }
            }
        }
    }
    match queue.name.trim() {
        "" => Err(nameless(table)),
        _ if queue.kind == Some(QueueKind::Quorum) && queue.max_priority.is_some() => {
            let what = format!("queue `{}`: quorum queues take no `max-priority`", queue.name);
            let fault = table.source.fault(&place(table), what);
            Err(fault.help("leave it out, or use `type = \"classic\"`"))
        }
        _ => Ok(queue),
    }
}

fn nameless(table: &Table<'_, '_>) -> Fault {
    let fault = table.source.fault(&place(table), "a queue has no name");
    fault.help("write for example queues = [\"celery\", { name = \"images\", type = \"quorum\" }]")
}

/// Where the table's first key stands.
fn place(table: &Table<'_, '_>) -> std::ops::Range<usize> {
    let first = table.entries.keys().map(Spanned::span).min_by_key(|span| span.start);
    first.unwrap_or_default()
}

/// `classic` or `quorum`.
pub(super) fn kind(text: &str) -> Result<QueueKind, String> {
    match text {
        "classic" => Ok(QueueKind::Classic),
        "quorum" => Ok(QueueKind::Quorum),
        other => Err(format!("`{other}` is neither `classic` nor `quorum`")),
    }
}

fn exchange_type(text: String) -> Result<String, String> {
    match ["direct", "topic", "fanout", "headers"].contains(&text.as_str()) {
        true => Ok(text),
        false => Err(format!("`{text}` is none of direct, topic, fanout, headers")),
    }
}

/// What the server is told as it stands.
fn arguments(table: &Table<'_, '_>) -> Result<Map, Fault> {
    let mut arguments = Map::new();
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        let argument = match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(on) => Some(Value::Bool(*on)),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Int)
            }
            DeValue::Float(number) => number.as_str().parse().ok().map(Value::Float),
            _ => None,
        };
        let Some(argument) = argument else {
            let expected = "text, a number, true or false";
            return Err(table.wrong_type(value, name, value.get_ref(), expected));
        };
        arguments.insert(name.to_owned(), argument);
    }
    Ok(arguments)
}
