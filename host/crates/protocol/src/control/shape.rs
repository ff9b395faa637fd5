//! What workers tell of themselves, in the shapes that Celery's clients, Flower among them, read
//! (PROTOCOL 7.4).

use jiff::Timestamp;
use umbel_value::{Map, Value};

use crate::message::{Message, Route};
use crate::repr;
use crate::time::{epoch, isoformat};

/// A message in a worker's care.
#[derive(Clone, Copy, Debug)]
pub struct TaskInfo<'a> {
    pub message: &'a Message,
    /// Where it was published to.
    pub route: &'a Route,
    pub redelivered: bool,
    pub node: &'a str,
    /// Since when it runs, and in which process.
    pub running: Option<(Timestamp, u32)>,
    pub acknowledged: bool,
}

impl TaskInfo<'_> {
    /// With `safe` the arguments are shown as text.
    pub fn to_value(&self, safe: bool) -> Value {
        let Self { message, route, redelivered, node, running, acknowledged } = *self;
        let (args, kwargs) = match safe {
            true => (args_text(message).into(), kwargs_text(message).into()),
            false => (message.args.clone().into(), Value::Map(message.kwargs.clone())),
        };
        Value::from([
            ("id", Value::from(&message.id)),
            ("name", message.shown_name().into()),
            ("args", args),
            ("kwargs", kwargs),
            ("type", Value::from(&message.task)),
            ("hostname", node.into()),
            ("time_start", running.map(|(since, _)| epoch(since)).into()),
            ("acknowledged", acknowledged.into()),
            (
                "delivery_info",
                Value::from([
                    ("exchange", Value::from(&route.exchange)),
                    ("routing_key", Value::from(&route.routing_key)),
                    ("priority", message.priority.into()),
                    ("redelivered", redelivered.into()),
                ]),
            ),
            ("worker_pid", running.map(|(_, pid)| pid).into()),
        ])
    }

    /// As one that waits for its time.
    pub fn scheduled(&self, eta: Timestamp) -> Value {
        Value::from([
            ("eta", isoformat(eta).into()),
            // Celery's timer has priorities of its own; tasks get this one.
            ("priority", 6.into()),
            ("request", self.to_value(false)),
        ])
    }
}

/// Positional arguments as the sender shows them, or as Python would.
pub(crate) fn args_text(message: &Message) -> String {
    shown(message.argsrepr.as_deref(), || repr::args(&message.args))
}

/// The same of keyword arguments.
pub(crate) fn kwargs_text(message: &Message) -> String {
    shown(message.kwargsrepr.as_deref(), || repr::kwargs(&message.kwargs))
}

/// Whoever sent it may have sent anything.
fn shown(given: Option<&str>, make: impl FnOnce() -> String) -> String {
    match given {
        Some(text) => cut(text, MOST_SHOWN),
        None => make(),
    }
}

/// Bytes of a text that somebody else chose and that is told on.
const MOST_SHOWN: usize = 4096;

/// The first so many bytes, to a whole character.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// How a queue is bound and declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub exchange: String,
    /// `direct`, `topic` or `fanout`.
    pub kind: &'static str,
    pub routing_key: String,
    /// What the queue is declared with.
    pub arguments: Map,
}

impl Binding {
    /// As Celery binds a queue that nothing was said about.
    pub fn usual(queue: &str) -> Binding {
        let name = || queue.to_owned();
        Binding { exchange: name(), kind: "direct", routing_key: name(), arguments: Map::new() }
    }

    /// What `active_queues` tells of it.
    pub fn to_value(&self, queue: &str) -> Value {
        let arguments = match self.arguments.is_empty() {
            true => Value::Null,
            false => Value::Map(self.arguments.clone()),
        };
        let exchange = Value::from([
            ("name", Value::from(&self.exchange)),
            ("type", self.kind.into()),
            ("arguments", Value::Null),
            ("durable", true.into()),
            ("passive", false.into()),
            ("auto_delete", false.into()),
            ("delivery_mode", Value::Null),
            ("no_declare", false.into()),
        ]);
        let max_priority = self.arguments.get("x-max-priority").cloned().unwrap_or_default();
        Value::from([
            ("name", Value::from(queue)),
            ("exchange", exchange),
            ("routing_key", Value::from(&self.routing_key)),
            ("queue_arguments", arguments),
            ("binding_arguments", Value::Null),
            ("consumer_arguments", Value::Null),
            ("durable", true.into()),
            ("exclusive", false.into()),
            ("auto_delete", false.into()),
            ("no_ack", false.into()),
            ("alias", Value::Null),
            ("bindings", Vec::<Value>::new().into()),
            ("no_declare", Value::Null),
            ("expires", Value::Null),
            ("message_ttl", Value::Null),
            ("max_length", Value::Null),
            ("max_length_bytes", Value::Null),
            ("max_priority", max_priority),
        ])
    }
}

/// A task's line in `registered`: its name, and what is said of it, in brackets.
pub fn registered(name: &str, attributes: &[(&str, String)]) -> String {
    if attributes.is_empty() {
        return name.to_owned();
    }
    let said: Vec<String> =
        attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{name} [{}]", said.join(" "))
}

/// What `registered` tells of each task unless it is asked for something else.
pub const TASK_ITEMS: [&str; 3] = ["exchange", "routing_key", "rate_limit"];

/// A set of texts as Python shows it.
pub fn set(members: &[String]) -> String {
    if members.is_empty() {
        return "set()".to_owned();
    }
    let shown: Vec<String> = members.iter().map(|one| repr::quoted(one)).collect();
    format!("{{{}}}", shown.join(", "))
}

/// Runs in a time, as Celery writes it: `10/m` rather than a fraction of a second.
pub fn rate(per_second: f64) -> String {
    for (unit, seconds) in [("s", 1.0), ("m", 60.0), ("h", 3600.0)] {
        let number: f64 = per_second * seconds;
        let whole = number.round();
        if whole >= 1.0 && (number - whole).abs() < 1e-9 * whole {
            return format!("{whole:.0}/{unit}");
        }
    }
    format!("{per_second}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_somebody_would() {
        for (per_second, expected) in
            [(2.0, "2/s"), (1.0 / 60.0, "1/m"), (10.0 / 3600.0, "10/h"), (0.1, "6/m")]
        {
            assert_eq!(rate(per_second), expected);
        }
    }

    #[test]
    fn sets_and_tasks_are_shown_as_python_does() {
        assert_eq!(set(&[]), "set()");
        assert_eq!(set(&["a".to_owned(), "b'".to_owned()]), "{'a', \"b'\"}");
        assert_eq!(registered("t", &[]), "t");
        let said = [("rate_limit", "2/s".to_owned()), ("name", "t".to_owned())];
        assert_eq!(registered("t", &said), "t [rate_limit=2/s name=t]");
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(cut("äöü", 3), "ä...");
        assert_eq!(cut("äöü", 6), "äöü");
    }
}
