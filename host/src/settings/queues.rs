//! Queues that are tables in the file: how RabbitMQ is to have them.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;
use umbel_transport::amqp::{ExchangeType, QueueOptions, QueueType};
use umbel_value::{Map, Value};

use super::file::Table;
use super::table::Kind;
use super::values;
use crate::fault::Fault;

const KEYS: &[&str] = &[
    "name",
    "type",
    "max-priority",
    "exchange",
    "exchange-type",
    "routing-key",
    "arguments",
    "broadcast",
    "accept-existing",
];

/// The tables of an array of queues, by the queues' names.
pub(super) fn read(
    table: &Table<'_, '_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<BTreeMap<String, QueueOptions>, Fault> {
    let items = value.get_ref().as_array().map(|items| items.iter()).unwrap_or_default();
    let tables = items.filter(|item| item.get_ref().is_table());
    tables.map(|item| queue(&table.table(item, key)?)).collect()
}

fn queue(table: &Table<'_, '_>) -> Result<(String, QueueOptions), Fault> {
    table.check_keys(KEYS, &[])?;
    let (mut name, mut queue) = (String::new(), QueueOptions::default());
    let (mut type_of_queue, mut highest) = (None, None);
    for (key, value) in table.entries {
        let entry = Entry { table, key: key.get_ref(), value };
        match entry.key {
            "name" => name = entry.text()?,
            "type" => type_of_queue = Some(entry.read(Kind::Text, kind)?),
            "max-priority" => highest = Some(entry.read(Kind::Count, values::priority)?),
            "exchange" => queue.exchange = Some(entry.text()?),
            "exchange-type" => queue.exchange_type = entry.read(Kind::Text, exchange_type)?,
            "routing-key" => queue.routing_key = Some(entry.text()?),
            "arguments" => queue.arguments = arguments(&table.table(value, entry.key)?)?,
            "broadcast" => queue.broadcast = entry.read(Kind::Switch, values::switch)?,
            _ => queue.accept_existing = entry.read(Kind::Switch, values::switch)?,
        }
    }
    if name.trim().is_empty() {
        return Err(nameless(table));
    }
    if type_of_queue == Some(QueueType::Quorum) && highest.is_some() {
        let what = format!("queue `{name}`: quorum queues take no `max-priority`");
        let fault = table.source.fault(&table.place(), what);
        return Err(fault.help("leave it out, or use `type = \"classic\"`"));
    }
    if let Some(kind) = type_of_queue {
        queue.arguments.insert("x-queue-type".to_owned(), kind.as_str().into());
    }
    if let Some(highest) = highest {
        queue.arguments.insert("x-max-priority".to_owned(), Value::Int(highest.into()));
    }
    Ok((name, queue))
}

/// One line of a queue's table.
struct Entry<'t, 'a, 'i> {
    table: &'t Table<'a, 'i>,
    key: &'t str,
    value: &'t Spanned<DeValue<'i>>,
}

impl Entry<'_, '_, '_> {
    fn text(&self) -> Result<String, Fault> {
        self.table.plain(Kind::Text, self.key, self.value)
    }

    fn read<T>(&self, kind: Kind, read: fn(&str) -> Result<T, String>) -> Result<T, Fault> {
        let text = self.table.plain(kind, self.key, self.value)?;
        read(&text).map_err(|why| {
            let what = format!("`{}`: {why}", self.table.path(self.key));
            self.table.source.fault(&self.value.span(), what)
        })
    }
}

fn nameless(table: &Table<'_, '_>) -> Fault {
    let fault = table.source.fault(&table.place(), "a queue has no name");
    fault.help("write for example queues = [\"celery\", { name = \"images\", type = \"quorum\" }]")
}

/// `classic` or `quorum`.
pub(super) fn kind(text: &str) -> Result<QueueType, String> {
    match text {
        "classic" => Ok(QueueType::Classic),
        "quorum" => Ok(QueueType::Quorum),
        other => Err(format!("`{other}` is neither `classic` nor `quorum`")),
    }
}

fn exchange_type(text: &str) -> Result<ExchangeType, String> {
    match text {
        "direct" => Ok(ExchangeType::Direct),
        "topic" => Ok(ExchangeType::Topic),
        "fanout" => Ok(ExchangeType::Fanout),
        other => Err(format!("`{other}` is none of direct, topic, fanout")),
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
