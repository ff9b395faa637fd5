//! Events: what workers tell whoever listens of themselves and of their tasks (PROTOCOL section 6).

use jiff::Timestamp;
use umbel_value::json::write_text;
use umbel_value::{Map, Value};

use crate::body::{self, Body};
use crate::control::{args_text, cut, kwargs_text};
use crate::message::{Message, Properties, RawMessage, Route};
use crate::names;
use crate::time::{epoch, isoformat};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    Online(Pulse),
    Heartbeat(Pulse),
    Offline(Pulse),
    /// Somebody asked for a sign of life.
    Here,
    /// Somebody wants to know who does something that only one is to do.
    Elect {
        id: &'a str,
        topic: &'a str,
        action: &'a Value,
    },
    /// We heard of it.
    ElectAck {
        id: &'a str,
    },
    Received(&'a Message),
    Started(&'a str),
    Succeeded {
        id: &'a str,
        result: &'a str,
        /// Seconds; `None` for one that did not run now.
        runtime: Option<f64>,
        bill: Option<Bill>,
    },
    Failed {
        id: &'a str,
        exception: &'a str,
        traceback: Option<&'a str>,
        bill: Option<Bill>,
    },
    Retried {
        id: &'a str,
        exception: &'a str,
        traceback: Option<&'a str>,
        bill: Option<Bill>,
    },
    Revoked {
        id: &'a str,
        /// While it ran.
        terminated: bool,
        expired: bool,
        bill: Option<Bill>,
    },
    Rejected {
        id: &'a str,
        requeue: bool,
    },
    /// Its run was cut off by the worker's end.
    Cancelled(&'a str),
}

/// A worker's sign of life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pulse {
    /// Seconds to the next one; who is silent for twice as long counts as gone.
    pub every: f64,
    /// Runs now.
    pub active: usize,
    /// Runs that began.
    pub processed: u64,
    pub load: [f64; 3],
}

/// What a run cost: more than Celery tells, which its monitors pass over.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// Seconds.
    pub runtime: f64,
    pub cpu_ms: f64,
    pub memory_bytes: u64,
    /// `None`: not counted.
    pub fuel: Option<u64>,
    /// The plugin and its version.
    pub plugin: String,
}

/// Who tells, and when.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    pub node: &'a str,
    pub pid: u32,
    pub clock: u64,
    pub at: Timestamp,
    pub software: &'a str,
    pub version: &'a str,
}

/// An event, written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    kind: &'static str,
    json: Vec<u8>,
}

/// The signal number that `terminate` comes to.
const SIGTERM: i32 = 15;

/// Bytes of an exception or a traceback that are told.
const MOST_TEXT: usize = 16 << 10;

impl Event<'_> {
    /// Celery's name for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Online(_) => "worker-online",
            Event::Heartbeat(_) | Event::Here => "worker-heartbeat",
            Event::Offline(_) => "worker-offline",
            Event::Elect { .. } => "worker-elect",
            Event::ElectAck { .. } => "worker-elect-ack",
            Event::Received(_) => "task-received",
            Event::Started(_) => "task-started",
            Event::Succeeded { .. } => "task-succeeded",
            Event::Failed { .. } => "task-failed",
            Event::Retried { .. } => "task-retried",
            Event::Revoked { .. } => "task-revoked",
            Event::Rejected { .. } => "task-rejected",
            Event::Cancelled(_) => "task-cancelled",
        }
    }

    /// As it goes over the wire; no larger than its texts may be.
    pub fn write(&self, stamp: &Stamp<'_>) -> Written {
        let mut fields = Fields::new();
        fields.text("hostname", stamp.node);
        // Hours west of UTC; times are told in UTC.
        fields.put("utcoffset", 0.0);
        fields.put("pid", stamp.pid);
        fields.put("clock", stamp.clock);
        self.tell(&mut fields, stamp);
        fields.put("timestamp", epoch(stamp.at));
        fields.text("type", self.kind());
        Written { kind: self.kind(), json: fields.end() }
    }

    fn tell(&self, fields: &mut Fields, stamp: &Stamp<'_>) {
        match self {
            Event::Online(pulse) | Event::Heartbeat(pulse) | Event::Offline(pulse) => {
                fields.put("freq", pulse.every);
                fields.put("active", u64::try_from(pulse.active).unwrap_or(u64::MAX));
                fields.put("processed", pulse.processed);
                fields.put("loadavg", pulse.load.into_iter().map(Value::from).collect::<Value>());
                fields.software(stamp);
            }
            Event::Here => {
                fields.put("freq", 5);
                fields.software(stamp);
            }
            Event::Elect { id, topic, action } => {
                fields.text("id", id);
                fields.text("topic", topic);
                fields.put("action", (*action).clone());
                fields.put("cver", 1);
            }
            Event::ElectAck { id } => fields.text("id", id),
            Event::Received(message) => fields.received(message),
            Event::Started(id) | Event::Cancelled(id) => fields.text("uuid", id),
            Event::Succeeded { id, result, runtime, bill } => {
                fields.text("uuid", id);
                fields.text("result", result);
                match bill {
                    Some(bill) => fields.bill(Some(bill)),
                    None => fields.put("runtime", *runtime),
                }
            }
            Event::Failed { id, exception, traceback, bill }
            | Event::Retried { id, exception, traceback, bill } => {
                fields.text("uuid", id);
                fields.put("exception", cut(exception, MOST_TEXT));
                if bill.is_some() || traceback.is_some() {
                    fields.put("traceback", traceback.map(|text| cut(text, MOST_TEXT)));
                }
                fields.bill(bill.as_ref());
            }
            Event::Revoked { id, terminated, expired, bill } => {
                fields.text("uuid", id);
                fields.put("terminated", *terminated);
                fields.put("signum", terminated.then_some(SIGTERM));
                fields.put("expired", *expired);
                fields.bill(bill.as_ref());
            }
            Event::Rejected { id, requeue } => {
                fields.text("uuid", id);
                fields.put("requeue", *requeue);
            }
        }
    }
}

/// A JSON object being written: nothing is made of what is only passed on. No name comes twice.
struct Fields(Vec<u8>);

impl Fields {
    fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.name(name);
        value.into().write_json(&mut self.0);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        write_text(text, &mut self.0);
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        write_text(name, &mut self.0);
        self.0.push(b':');
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn software(&mut self, stamp: &Stamp<'_>) {
        self.text("sw_ident", stamp.software);
        self.text("sw_ver", stamp.version);
        self.text("sw_sys", "Linux");
    }

    fn received(&mut self, message: &Message) {
        self.text("uuid", &message.id);
        self.text("name", message.shown_name());
        self.text("args", &args_text(message));
        self.text("kwargs", &kwargs_text(message));
        self.put("root_id", message.root_id.as_ref());
        self.put("parent_id", message.parent_id.as_ref());
        self.put("retries", message.retries);
        self.put("eta", message.eta.as_ref().map(|eta| isoformat(eta.at)));
        self.put("expires", message.expires.as_ref().map(|expires| isoformat(expires.at)));
    }

    fn bill(&mut self, bill: Option<&Bill>) {
        let Some(bill) = bill else { return };
        self.put("runtime", bill.runtime);
        self.put("cpu_ms", bill.cpu_ms);
        self.put("memory_bytes", bill.memory_bytes);
        if let Some(fuel) = bill.fuel {
            self.put("fuel", fuel);
        }
        self.text("plugin", &bill.plugin);
    }
}

impl Written {
    /// How much memory it takes, about.
    pub fn size(&self) -> usize {
        self.json.len()
    }

    fn is_of_task(&self) -> bool {
        self.kind.starts_with("task-")
    }
}

/// Messages that carry these events in their order: those of tasks in batches, as Celery's workers
/// send them, each of the others alone. Each comes with how many events it carries.
pub fn messages(
    node: &str,
    events: impl IntoIterator<Item = Written>,
) -> Vec<(Route, RawMessage, usize)> {
    let mut messages = Vec::new();
    let mut batch: Vec<Written> = Vec::new();
    for event in events {
        if event.is_of_task() {
            batch.push(event);
            continue;
        }
        messages.extend(of_batch(node, &mut batch));
        let route = Route {
            exchange: names::EVENT_EXCHANGE.to_owned(),
            routing_key: event.kind.replace('-', "."),
        };
        messages.push((route, message(node, event.json), 1));
    }
    messages.extend(of_batch(node, &mut batch));
    messages
}

fn of_batch(node: &str, batch: &mut Vec<Written>) -> Option<(Route, RawMessage, usize)> {
    if batch.is_empty() {
        return None;
    }
    let count = batch.len();
    let size: usize = batch.iter().map(|event| event.json.len() + 2).sum();
    let mut json = Vec::with_capacity(size + 2);
    json.push(b'[');
    for (at, event) in batch.drain(..).enumerate() {
        if at > 0 {
            json.extend_from_slice(b", ");
        }
        json.extend_from_slice(&event.json);
    }
    json.push(b']');
    let route =
        Route { exchange: names::EVENT_EXCHANGE.to_owned(), routing_key: "task.multi".to_owned() };
    Some((route, message(node, json), count))
}

fn message(node: &str, json: Vec<u8>) -> RawMessage {
    RawMessage {
        properties: Properties {
            content_type: Some(body::JSON.to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            delivery_mode: Some(1),
            priority: Some(0),
            ..Properties::default()
        },
        headers: [("hostname".to_owned(), node.into())].into_iter().collect(),
        body: json.into(),
    }
}

/// The routing keys of events of workers.
pub const OF_WORKERS: &str = "worker.#";

/// The routing keys of all events.
pub const ALL: &str = "#";

/// What somebody else told of a worker, as far as other workers go by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub node: String,
    pub pid: i64,
    pub clock: u64,
    pub what: News,
}

/// What it was.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It lives, and tells again after so many seconds.
    Alive {
        every: f64,
    },
    Gone,
    Elect {
        id: String,
        topic: String,
        action: Value,
    },
    ElectAck {
        id: String,
    },
    Other,
}

/// Opens what was sent to the exchange of events: one event or several.
pub fn open(raw: &RawMessage) -> Vec<Map> {
    let map = |value: Value| match value {
        Value::Map(event) => Some(event),
        _ => None,
    };
    match body::open(raw) {
        Ok(Body::Value(Value::List(events))) => events.into_iter().filter_map(map).collect(),
        Ok(Body::Value(event)) => map(event).into_iter().collect(),
        _ => Vec::new(),
    }
}

impl Heard {
    /// What an event of a worker says; `None` if it is none.
    pub fn of(event: &Map) -> Option<Heard> {
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        let what = match event.get("type")?.as_str()? {
            "worker-online" | "worker-heartbeat" => {
                let every = event.get("freq").and_then(Value::as_f64);
                News::Alive { every: every.unwrap_or(SILENCE) }
            }
            "worker-offline" => News::Gone,
            "worker-elect" => News::Elect {
                id: text("id")?,
                topic: text("topic")?,
                action: event.get("action").cloned().unwrap_or_default(),
            },
            "worker-elect-ack" => News::ElectAck { id: text("id")? },
            _ => News::Other,
        };
        Some(Heard {
            node: text("hostname")?,
            pid: event.get("pid").and_then(Value::as_i64).unwrap_or(0),
            clock: event.get("clock").and_then(Value::as_u64).unwrap_or(0),
            what,
        })
    }
}

/// How long who does not say so may be silent, in seconds.
const SILENCE: f64 = 60.0;
