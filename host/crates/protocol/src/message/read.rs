//! Wire to message.

use bytes::Bytes;
use umbel_value::json::{JsonError, Reader};
use umbel_value::{Map, Tag, Value};

use super::{Chain, DecodeError, Embed, Message, RawMessage, Unread, Version};
use crate::body::{self, Body, Packed, Serializer};
use crate::time::Timestamp;
use crate::v1;

impl Message {
    /// Reads either protocol (PROTOCOL 1.3) in any serializer.
    pub fn decode(raw: &RawMessage) -> Result<Message, DecodeError> {
        Self::decode_accepting(raw, &Serializer::ALL)
    }

    /// Reads a message whose body is in one of these serializers, and refuses any other.
    pub fn decode_accepting(
        raw: &RawMessage,
        accept: &[Serializer],
    ) -> Result<Message, DecodeError> {
        let (packed, content) = body::unpack_accepting(raw, accept)?;
        let known = raw.headers.contains_key("task");
        if let Packed::Bytes(bytes) = &packed
            && known
            && content.serializer == Serializer::Json
            && let Some((args, kwargs, embed)) = json_parts(bytes)
        {
            let message = Message::from_headers(raw, &raw.headers, Version::V2)?;
            return Ok(Message { args, kwargs, embed, content, ..message });
        }
        let body = body::read(packed, content)?;
        if !known {
            return v1::decode(raw, body, content);
        }
        let body = match body {
            Body::Value(Value::Map(object)) if object.contains_key("args") => {
                return v1::decode_hybrid(raw, object, content);
            }
            Body::Value(body) => body,
            Body::Opaque => return Err(refuse(raw, "the body has no content type that is opened")),
            Body::Empty => return Err(refuse(raw, "the body is empty")),
        };
        let mut message = Message::from_headers(raw, &raw.headers, Version::V2)?;
        message.content = content;
        match parts(body) {
            Ok((args, kwargs, embed)) => {
                message.args = args;
                message.kwargs = kwargs;
                message.embed = embed;
                Ok(message)
            }
            Err(what) => Err(message.invalid(what)),
        }
    }

    /// A message without its body.
    pub(crate) fn from_headers(
        raw: &RawMessage,
        headers: &Map,
        version: Version,
    ) -> Result<Message, DecodeError> {
        let given = |key: &str| headers.get(key).and_then(Value::as_str).map(str::to_owned);
        let (id, task) = match (given("id"), given("task")) {
            (Some(id), Some(task)) if !id.is_empty() => (id, task),
            (id, task) => {
                let what = if task.is_none() { "no task name" } else { "no task id" };
                return Err(DecodeError::Invalid { what: what.to_owned(), id, task });
            }
        };
        let mut message = Message::empty(version, id, task);
        message.reply_to = raw.properties.reply_to.clone();
        message.correlation_id = raw.properties.correlation_id.clone();
        message.priority = raw.properties.priority;
        for (key, value) in headers {
            match message.set_header(key, value) {
                Ok(true) => {}
                Ok(false) => {
                    message.headers.insert(key.clone(), value.clone());
                }
                Err(what) => return Err(message.invalid(what)),
            }
        }
        Ok(message)
    }

    /// This message as a complaint about it.
    pub(crate) fn invalid(self, what: String) -> DecodeError {
        DecodeError::Invalid { what, id: Some(self.id), task: Some(self.task) }
    }

    /// False: the header has no field, or not with such a value, and is to be kept as it came.
    fn set_header(&mut self, key: &str, value: &Value) -> Result<bool, String> {
        let kept = match key {
            // The first two are set already; compression ends with the body's opening.
            "task" | "id" | "compression" => true,
            "lang" => value.as_str() == Some("py"),
            "shadow" => text(&mut self.shadow, value),
            "eta" => {
                self.eta = instant(value).ok_or_else(|| complaint("ETA", value))?;
                true
            }
            "expires" => {
                self.expires = instant(value).ok_or_else(|| complaint("expires", value))?;
                true
            }
            "group" => text(&mut self.group, value),
            "group_index" => {
                self.group_index = small(value);
                self.group_index.is_some() || value.is_null()
            }
            "retries" => {
                self.retries = number(value).ok_or_else(|| complaint("retries", value))?;
                true
            }
            "timelimit" => {
                (self.time_limit, self.soft_time_limit) =
                    limits(value).ok_or_else(|| complaint("timelimit", value))?;
                true
            }
            "root_id" => text(&mut self.root_id, value),
            "parent_id" => text(&mut self.parent_id, value),
            "argsrepr" => text(&mut self.argsrepr, value),
            "kwargsrepr" => text(&mut self.kwargsrepr, value),
            "origin" => text(&mut self.origin, value),
            "ignore_result" => {
                self.ignore_result = value.as_bool();
                self.ignore_result.is_some() || value.is_null()
            }
            "replaced_task_nesting" => {
                let nesting = number(value);
                self.replaced_task_nesting = nesting.unwrap_or_default();
                nesting.is_some()
            }
            "stamped_headers" => match value {
                Value::Null => true,
                Value::List(names) => {
                    self.stamped_headers =
                        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                    self.stamped_headers.is_some()
                }
                _ => false,
            },
            "stamps" => match value {
                Value::Null => true,
                Value::Map(stamps) => {
                    self.stamps = stamps.clone();
                    true
                }
                _ => false,
            },
            _ => false,
        };
        Ok(kept)
    }
}

/// Call arguments as Python would take them: a text is its characters.
pub(crate) fn arguments(args: Value, kwargs: Value) -> Result<(Vec<Value>, Map), String> {
    let args = match args {
        Value::List(items) => items,
        Value::Text(text) => text.chars().map(|one| Value::Text(one.to_string())).collect(),
        other => return Err(format!("positional arguments are {}, not a list", other.type_name())),
    };
    match kwargs {
        Value::Map(kwargs) => Ok((args, kwargs)),
        _ => Err("Task keyword arguments is not a mapping".to_owned()),
    }
}

/// The three parts of a body of protocol 2 in JSON, with the chain unread; `None` for what is written
/// otherwise or wrong, and has to be looked at more closely.
fn json_parts(bytes: &Bytes) -> Option<(Vec<Value>, Map, Embed)> {
    let mut reader = Reader::new(bytes).ok()?;
    let (mut args, mut kwargs, mut embed) = (None, None, None);
    let mut part = 0;
    let read = reader.array(|reader| {
        part += 1;
        match part {
            1 => args = Some(reader.value()?),
            2 => kwargs = Some(reader.value()?),
            3 => embed = Some(json_embed(reader, bytes)?),
            _ => return Err(reader.error("a fourth part")),
        }
        Ok(())
    });
    read.and_then(|()| reader.end()).ok()?;
    match (args?, kwargs?) {
        (Value::List(args), Value::Map(kwargs)) => Some((args, kwargs, embed?)),
        _ => None,
    }
}

fn json_embed(reader: &mut Reader<'_>, source: &Bytes) -> Result<Embed, JsonError> {
    let mut embed = Embed::default();
    let given = |value: Value| Some(value).filter(|value| !value.is_null());
    reader.object(|reader, key| {
        match &*key {
            "callbacks" => embed.callbacks = given(reader.value()?),
            "errbacks" => embed.errbacks = given(reader.value()?),
            "chord" => embed.chord = given(reader.value()?),
            "chain" if reader.peek() == Some(b'[') => {
                embed.chain = Some(Chain::Unread(Unread::take(reader, source)?));
            }
            "chain" => embed.chain = given(reader.value()?).map(Chain::Read),
            _ => drop(embed.other.insert(key.into_owned(), reader.value()?)),
        }
        Ok(())
    })?;
    Ok(embed)
}

/// The three parts of a body of protocol 2.
fn parts(body: Value) -> Result<(Vec<Value>, Map, Embed), String> {
    let items = match body {
        Value::List(items) => items,
        other => return Err(format!("the body is {}, not a list of three", other.type_name())),
    };
    let [args, kwargs, embed] = <[Value; 3]>::try_from(items)
        .map_err(|items| format!("the body is a list of {}, not of three", items.len()))?;
    let (args, kwargs) = arguments(args, kwargs)?;
    let mut rest = match embed {
        Value::Null => Map::new(),
        Value::Map(map) => map,
        other => return Err(format!("the embed is {}, not a mapping", other.type_name())),
    };
    let mut take = |key: &str| rest.get_mut(key).map(std::mem::take).filter(|v| !v.is_null());
    let mut embed = Embed {
        callbacks: take("callbacks"),
        errbacks: take("errbacks"),
        chain: take("chain").map(Chain::Read),
        chord: take("chord"),
        other: Map::new(),
    };
    rest.retain(|key, _| !matches!(key.as_str(), "callbacks" | "errbacks" | "chain" | "chord"));
    embed.other = rest;
    Ok((args, kwargs, embed))
}

fn refuse(raw: &RawMessage, what: &str) -> DecodeError {
    let given = |key: &str| raw.headers.get(key).and_then(Value::as_str).map(str::to_owned);
    DecodeError::Invalid { what: what.to_owned(), id: given("id"), task: given("task") }
}

fn complaint(name: &str, value: &Value) -> String {
    format!("invalid {name} value {}", crate::repr::repr(value))
}

fn text(slot: &mut Option<String>, value: &Value) -> bool {
    *slot = value.as_str().map(str::to_owned);
    slot.is_some() || value.is_null()
}

fn small(value: &Value) -> Option<u32> {
    u32::try_from(value.as_i64()?).ok()
}

/// Null counts as zero.
fn number(value: &Value) -> Option<u32> {
    if value.is_null() { Some(0) } else { small(value) }
}

fn instant(value: &Value) -> Option<Option<Timestamp>> {
    match value {
        Value::Null => Some(None),
        Value::Text(text) | Value::Tagged(Tag::Datetime, text) => Timestamp::parse(text).map(Some),
        _ => None,
    }
}

/// Hard, then soft. Zero means no limit, as null does.
fn limits(value: &Value) -> Option<(Option<f64>, Option<f64>)> {
    if value.is_null() {
        return Some((None, None));
    }
    let [hard, soft] = value.as_list()? else { return None };
    Some((seconds(hard)?, seconds(soft)?))
}

fn seconds(value: &Value) -> Option<Option<f64>> {
    if value.is_null() {
        return Some(None);
    }
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    Some((seconds > 0.0).then_some(seconds))
}
