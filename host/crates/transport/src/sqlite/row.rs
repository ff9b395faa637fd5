//! A message in columns: properties and headers as kombu's JSON, the body as it is.

use bytes::Bytes;
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_value::{Map, Value};

/// A message as the file holds it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) properties: Vec<u8>,
    pub(super) headers: Vec<u8>,
    pub(super) body: Bytes,
}

impl Row {
    pub(super) fn new(route: &Route, message: &RawMessage) -> Row {
        Row {
            exchange: route.exchange.clone(),
            routing_key: route.routing_key.clone(),
            properties: json(properties_to_map(&message.properties)),
            headers: json(message.headers.clone()),
            body: message.body.clone(),
        }
    }

    /// The message, or what is wrong with the row.
    pub(super) fn open(self) -> Result<(Route, RawMessage), String> {
        let message = RawMessage {
            properties: properties_from_map(map(&self.properties, "properties")?),
            headers: map(&self.headers, "headers")?,
            body: self.body,
        };
        Ok((Route { exchange: self.exchange, routing_key: self.routing_key }, message))
    }
}

fn json(map: Map) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    Value::Map(map).write_json(&mut text);
    text
}

fn map(text: &[u8], what: &str) -> Result<Map, String> {
    match Value::from_json(text) {
        Ok(Value::Map(map)) => Ok(map),
        Ok(_) => Err(format!("the {what} are no object")),
        Err(error) => Err(format!("the {what} are not JSON: {} at byte {}", error.what, error.at)),
    }
}

fn properties_to_map(properties: &Properties) -> Map {
    let Properties {
        content_type,
        content_encoding,
        correlation_id,
        reply_to,
        delivery_mode,
        priority,
        expiration,
        message_id,
        app_id,
        kind,
        timestamp,
        other,
    } = properties;
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    put("content_type", text(content_type));
    put("content_encoding", text(content_encoding));
    put("correlation_id", text(correlation_id));
    put("reply_to", text(reply_to));
    put("delivery_mode", delivery_mode.map(|mode| Value::Int(mode.into())));
    put("priority", priority.map(|priority| Value::Int(priority.into())));
    put("expiration", text(expiration));
    put("message_id", text(message_id));
    put("app_id", text(app_id));
    put("kind", text(kind));
    // As text: all of u64 survives.
    put("timestamp", timestamp.map(|seconds| Value::Text(seconds.to_string())));
    put("other", (!other.is_empty()).then(|| Value::Map(other.clone())));
    map
}

fn properties_from_map(mut map: Map) -> Properties {
    let mut take = |key: &str| map.swap_remove(key);
    let text = |value: Option<Value>| match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let small = |value: Option<Value>| match value {
        Some(Value::Int(number)) => u8::try_from(number).ok(),
        _ => None,
    };
    Properties {
        content_type: text(take("content_type")),
        content_encoding: text(take("content_encoding")),
        correlation_id: text(take("correlation_id")),
        reply_to: text(take("reply_to")),
        delivery_mode: small(take("delivery_mode")),
        priority: small(take("priority")),
        expiration: text(take("expiration")),
        message_id: text(take("message_id")),
        app_id: text(take("app_id")),
        kind: text(take("kind")),
        timestamp: text(take("timestamp")).and_then(|seconds| seconds.parse().ok()),
        other: match take("other") {
            Some(Value::Map(other)) => other,
            _ => Map::new(),
        },
    }
}
