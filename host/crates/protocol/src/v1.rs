//! Protocol 1 and the hybrid form: a body that is one object (PROTOCOL 1.2).

use std::mem;

use umbel_value::{Map, Value};

use crate::body::{Body, Content};
use crate::message::{DecodeError, Embed, Message, RawMessage, Version, arguments};

/// Header names that the hybrid form may carry in its body.
const HEADERS: [&str; 15] = [
    "lang",
    "task",
    "id",
    "root_id",
    "parent_id",
    "group",
    "meth",
    "shadow",
    "eta",
    "expires",
    "retries",
    "timelimit",
    "argsrepr",
    "kwargsrepr",
    "origin",
];

/// Reads a message that has no header `task`.
pub(crate) fn decode(
    raw: &RawMessage,
    body: Body,
    content: Content,
) -> Result<Message, DecodeError> {
    let mut object = match body {
        Body::Value(Value::Map(map)) if map.contains_key("task") => map,
        Body::Value(value) => {
            return Err(DecodeError::Unknown(format!(
                "no header `task`, and the body is {} without one",
                value.type_name()
            )));
        }
        Body::Opaque => return Err(DecodeError::Unknown("the body is opaque".to_owned())),
        Body::Empty => return Err(DecodeError::Unknown("the body is empty".to_owned())),
    };
    object.shift_remove("utc");
    // `taskset` is what old clients call the group.
    if let Some(taskset) = object.shift_remove("taskset") {
        object.insert("group".to_owned(), taskset);
    }
    let parts = Parts::take(&mut object);
    let mut headers = object;
    for (key, value) in &raw.headers {
        headers.insert(key.clone(), value.clone());
    }
    build(raw, &headers, parts, (Version::V1, content))
}

/// Reads a message that has the header `task`, and whose body is an object with `args`.
pub(crate) fn decode_hybrid(
    raw: &RawMessage,
    mut object: Map,
    content: Content,
) -> Result<Message, DecodeError> {
    let parts = Parts::take(&mut object);
    let mut headers = raw.headers.clone();
    for key in HEADERS {
        if let Some(value) = object.shift_remove(key)
            && !headers.contains_key(key)
        {
            headers.insert(key.to_owned(), value);
        }
    }
    build(raw, &headers, parts, (Version::V2, content))
}

/// What becomes body in protocol 2.
struct Parts {
    args: Value,
    kwargs: Value,
    embed: Embed,
}

impl Parts {
    fn take(object: &mut Map) -> Parts {
        let mut take = |key: &str| object.get_mut(key).map(mem::take).unwrap_or_default();
        let filled = |value: Value| (!value.is_null()).then_some(value);
        let parts = Parts {
            args: take("args"),
            kwargs: take("kwargs"),
            embed: Embed {
                callbacks: filled(take("callbacks")),
                errbacks: filled(take("errbacks")),
                chain: None,
                chord: filled(take("chord")),
                other: Map::new(),
            },
        };
        for key in ["args", "kwargs", "callbacks", "errbacks", "chord"] {
            object.shift_remove(key);
        }
        parts
    }
}

fn build(
    raw: &RawMessage,
    headers: &Map,
    parts: Parts,
    (version, content): (Version, Content),
) -> Result<Message, DecodeError> {
    let mut message = Message::from_headers(raw, headers, version)?;
    message.content = content;
    let empty = |value: Value, instead: Value| if value.is_null() { instead } else { value };
    let args = empty(parts.args, Value::List(Vec::new()));
    let kwargs = empty(parts.kwargs, Value::Map(Map::new()));
    match arguments(args, kwargs) {
        Ok((args, kwargs)) => (message.args, message.kwargs) = (args, kwargs),
        Err(what) => return Err(message.invalid(what)),
    }
    message.embed = parts.embed;
    Ok(message)
}
