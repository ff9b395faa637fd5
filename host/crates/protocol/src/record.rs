//! Result records (PROTOCOL 4.2 and 4.3).

use std::borrow::Cow;
use std::fmt;

use umbel_value::json::write_text;
use umbel_value::{Map, Tag, Value};

use crate::body::{Compression, Content, MAX_BODY, Serializer};
use crate::{names, repr};

/// A task's state (PROTOCOL 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Started,
    Success,
    Failure,
    Revoked,
    Retry,
    /// A state of the task's own.
    Custom(String),
}

impl State {
    pub fn as_str(&self) -> &str {
        match self {
            State::Pending => "PENDING",
            State::Started => "STARTED",
            State::Success => "SUCCESS",
            State::Failure => "FAILURE",
            State::Revoked => "REVOKED",
            State::Retry => "RETRY",
            State::Custom(name) => name,
        }
    }

    /// Nothing follows a ready state.
    pub fn is_ready(&self) -> bool {
        matches!(self, State::Success | State::Failure | State::Revoked)
    }
}

impl From<&str> for State {
    fn from(name: &str) -> State {
        match name {
            "PENDING" => State::Pending,
            "STARTED" => State::Started,
            "SUCCESS" => State::Success,
            "FAILURE" => State::Failure,
            "REVOKED" => State::Revoked,
            "RETRY" => State::Retry,
            other => State::Custom(other.to_owned()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is stored under a task's id.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRecord {
    pub id: String,
    pub state: State,
    /// The value, or an exception as [`Exception::to_value`] writes it.
    pub result: Value,
    pub traceback: Option<String>,
    /// Result tuples; `None` is null.
    pub children: Option<Vec<Value>>,
    /// ISO 8601; only in ready states.
    pub date_done: Option<String>,
    pub group_id: Option<String>,
    pub parent_id: Option<String>,
    /// Keys that have no field above, `result_extended`'s among them.
    pub other: Map,
}

/// An exception as results carry it. Shown as Python's `repr` shows one.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    pub kind: String,
    pub args: Vec<Value>,
    pub module: Option<String>,
}

impl Exception {
    /// An exception of one text.
    pub fn new(module: &str, kind: &str, message: impl Into<String>) -> Exception {
        let args = vec![Value::Text(message.into())];
        Exception { kind: kind.to_owned(), args, module: Some(module.to_owned()) }
    }

    /// `{"exc_type", "exc_message", "exc_module"}`.
    pub fn to_value(&self) -> Value {
        Value::from([
            ("exc_type", (&self.kind).into()),
            ("exc_message", self.args.clone().into()),
            ("exc_module", self.module.as_ref().into()),
        ])
    }

    /// Reads what Celery or we stored; `None` if it is no exception.
    pub fn from_value(value: &Value) -> Option<Exception> {
        let kind = value.get("exc_type")?.as_str()?.to_owned();
        let args = match value.get("exc_message") {
            Some(Value::List(args)) => args.clone(),
            Some(single) => vec![single.clone()],
            None => Vec::new(),
        };
        let module = value.get("exc_module").and_then(Value::as_str).map(str::to_owned);
        Some(Exception { kind, args, module })
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.kind)?;
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match arg {
                Value::Text(text) => f.write_str(&repr::quoted(text))?,
                other => f.write_str(&repr::repr(other))?,
            }
        }
        f.write_str(")")
    }
}

impl ResultRecord {
    /// A record with nothing but its state and value.
    pub fn new(id: impl Into<String>, state: State, result: Value) -> ResultRecord {
        ResultRecord {
            id: id.into(),
            state,
            result,
            traceback: None,
            children: Some(Vec::new()),
            date_done: None,
            group_id: None,
            parent_id: None,
            other: Map::new(),
        }
    }

    /// The stored bytes; the compression is marked in front of them, as Celery 5.7 does. What the
    /// serializer cannot write becomes the failure that Celery makes of it.
    pub fn encode(&self, content: Content) -> Vec<u8> {
        let bytes = match content.serializer {
            Serializer::Json => self.to_json(),
            other => other.write(&self.to_value()).unwrap_or_else(|error| {
                let failure = self.without_value(&error.0);
                other.write(&failure.to_value()).expect("texts can be written")
            }),
        };
        packed(bytes, content)
    }

    /// Reads stored bytes of a serializer, compressed or not.
    pub fn decode(bytes: &[u8], serializer: Serializer) -> Result<ResultRecord, RecordError> {
        let bytes = unpacked(bytes)?;
        serializer.read(&bytes).map_err(RecordError).and_then(Self::from_value)
    }

    /// The stored JSON. `status` comes first and `task_id` last, as Celery writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"status\":");
        write_text(self.state.as_str(), &mut out);
        out.extend_from_slice(b",\"result\":");
        self.result.write_json(&mut out);
        out.extend_from_slice(b",\"traceback\":");
        optional(self.traceback.as_deref(), &mut out);
        out.extend_from_slice(b",\"children\":");
        match &self.children {
            None => out.extend_from_slice(b"null"),
            Some(children) => {
                out.push(b'[');
                for (index, child) in children.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    child.write_json(&mut out);
                }
                out.push(b']');
            }
        }
        out.extend_from_slice(b",\"date_done\":");
        optional(self.date_done.as_deref(), &mut out);
        for (key, value) in [("group_id", &self.group_id), ("parent_id", &self.parent_id)] {
            if value.is_some() {
                name(key, &mut out);
                optional(value.as_deref(), &mut out);
            }
        }
        for (key, value) in &self.other {
            name(key, &mut out);
            value.write_json(&mut out);
        }
        out.extend_from_slice(b",\"task_id\":");
        write_text(&self.id, &mut out);
        out.push(b'}');
        out
    }

    /// Reads JSON that Celery or we stored, compressed or not.
    pub fn from_json(text: &[u8]) -> Result<ResultRecord, RecordError> {
        Self::decode(text, Serializer::Json)
    }

    /// As `to_json` writes it.
    fn to_value(&self) -> Value {
        let mut map = Map::with_capacity(8 + self.other.len());
        let mut set = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        set("status", self.state.as_str().into());
        set("result", self.result.clone());
        set("traceback", self.traceback.as_ref().into());
        set("children", self.children.clone().into());
        set("date_done", self.date_done.as_ref().into());
        for (key, value) in [("group_id", &self.group_id), ("parent_id", &self.parent_id)] {
            if value.is_some() {
                set(key, value.as_ref().into());
            }
        }
        for (key, value) in &self.other {
            set(key, value.clone());
        }
        set("task_id", (&self.id).into());
        map.into()
    }

    /// The record that says why this one cannot be stored: nothing in it but texts.
    fn without_value(&self, what: &str) -> ResultRecord {
        let state = if self.state.is_ready() { State::Failure } else { self.state.clone() };
        let error = Exception::new("kombu.exceptions", "EncodeError", what);
        ResultRecord {
            traceback: self.traceback.clone(),
            date_done: self.date_done.clone(),
            group_id: self.group_id.clone(),
            parent_id: self.parent_id.clone(),
            ..ResultRecord::new(&self.id, state, error.to_value())
        }
    }

    fn from_value(value: Value) -> Result<ResultRecord, RecordError> {
        let Value::Map(mut map) = value else {
            return Err(RecordError(format!("{} instead of an object", value.type_name())));
        };
        let mut take = |key: &str| map.shift_remove(key).unwrap_or_default();
        let (Value::Text(status), Value::Text(id)) = (take("status"), take("task_id")) else {
            return Err(RecordError("`status` or `task_id` is missing".to_owned()));
        };
        let children = match take("children") {
            Value::Null => None,
            Value::List(children) => Some(children),
            other => return Err(RecordError(format!("`children` is {}", other.type_name()))),
        };
        Ok(ResultRecord {
            id,
            state: State::from(status.as_str()),
            result: take("result"),
            traceback: optional_text(take("traceback"), "traceback")?,
            children,
            date_done: optional_text(take("date_done"), "date_done")?,
            group_id: optional_text(take("group_id"), "group_id")?,
            parent_id: optional_text(take("parent_id"), "parent_id")?,
            other: map,
        })
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not a result record: {0}")]
pub struct RecordError(pub String);

/// Compresses what a result backend stores, and marks it so.
pub(crate) fn packed(bytes: Vec<u8>, content: Content) -> Vec<u8> {
    let Some(compression) = content.compression else { return bytes };
    let mut out = names::COMPRESSED_RESULT.to_vec();
    out.extend_from_slice(compression.content_type().as_bytes());
    out.push(0);
    out.extend_from_slice(&compression.pack(&bytes));
    out
}

/// What was stored, compressed or not.
pub(crate) fn unpacked(text: &[u8]) -> Result<Cow<'_, [u8]>, RecordError> {
    let Some(rest) = text.strip_prefix(names::COMPRESSED_RESULT) else {
        return Ok(Cow::Borrowed(text));
    };
    let end = rest.iter().position(|&byte| byte == 0);
    let end = end.ok_or_else(|| RecordError("compressed by nothing".to_owned()))?;
    let kind = String::from_utf8_lossy(&rest[..end]);
    let compression = Compression::named(&kind)
        .ok_or_else(|| RecordError(format!("unknown compression `{kind}`")))?;
    compression.unpack(&rest[end + 1..], MAX_BODY).map(Cow::Owned).map_err(RecordError)
}

/// Old kombu stored `date_done` as a tagged instant.
fn optional_text(value: Value, key: &str) -> Result<Option<String>, RecordError> {
    match value {
        Value::Null => Ok(None),
        Value::Text(text) | Value::Tagged(Tag::Datetime, text) => Ok(Some(text)),
        other => Err(RecordError(format!("`{key}` is {}", other.type_name()))),
    }
}

fn optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_text(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn name(key: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_text(key, out);
    out.push(b':');
}
