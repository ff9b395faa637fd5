//! kombu's JSON envelope, in which Redis carries messages (PROTOCOL 3.2).

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use umbel_value::json::{Reader, write_base64, write_int, write_text};
use umbel_value::{JsonError, Map, Value};

use crate::message::{Properties, RawMessage, Route};

/// Clients in other languages leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Properties that have a field.
const KNOWN: [&str; 11] = [
    "expiration",
    "correlation_id",
    "reply_to",
    "message_id",
    "app_id",
    "type",
    "timestamp",
    "delivery_mode",
    "priority",
    "delivery_info",
    "delivery_tag",
];

/// A message in its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub message: RawMessage,
    /// `properties.delivery_info`.
    pub route: Route,
    /// `properties.delivery_tag`; chosen by the publisher.
    pub tag: String,
    /// `delivery_info.redelivered` or the header of that name; in neither place besides.
    pub redelivered: bool,
}

impl Envelope {
    /// The envelope as kombu writes it: keys in its order, the body in base64.
    pub fn to_json(&self) -> Vec<u8> {
        let RawMessage { properties, headers, body } = &self.message;
        let mut out = Vec::with_capacity(body.len() / 3 * 4 + 1024);
        out.extend_from_slice(b"{\"body\":\"");
        write_base64(body, &mut out);
        out.extend_from_slice(b"\",\"content-encoding\":");
        text_or_null(&properties.content_encoding, &mut out);
        out.extend_from_slice(b",\"content-type\":");
        text_or_null(&properties.content_type, &mut out);
        out.extend_from_slice(b",\"headers\":{");
        let mut object = Object { out: &mut out, first: true };
        for (key, value) in headers {
            object.value(key, value);
        }
        if self.redelivered {
            object.value("redelivered", &Value::Bool(true));
        }
        out.extend_from_slice(b"},\"properties\":{");
        self.write_properties(Object { out: &mut out, first: true });
        out.extend_from_slice(b"}}");
        out
    }

    fn write_properties(&self, mut object: Object<'_>) {
        let properties = &self.message.properties;
        object.text("expiration", &properties.expiration);
        object.text("correlation_id", &properties.correlation_id);
        object.text("reply_to", &properties.reply_to);
        object.text("message_id", &properties.message_id);
        object.text("app_id", &properties.app_id);
        object.text("type", &properties.kind);
        object.number("timestamp", properties.timestamp.and_then(|at| i64::try_from(at).ok()));
        object.number("delivery_mode", properties.delivery_mode.map(i64::from));
        object.name("delivery_info");
        object.out.extend_from_slice(b"{\"exchange\":");
        write_text(&self.route.exchange, object.out);
        object.out.extend_from_slice(b",\"routing_key\":");
        write_text(&self.route.routing_key, object.out);
        let mut info = Object { out: object.out, first: false };
        if let Some(Value::Map(more)) = properties.other.get("delivery_info") {
            for (key, value) in more {
                info.value(key, value);
            }
        }
        if self.redelivered {
            info.value("redelivered", &Value::Bool(true));
        }
        object.out.push(b'}');
        object.number("priority", properties.priority.map(i64::from));
        object.name("body_encoding");
        object.out.extend_from_slice(b"\"base64\"");
        for (key, value) in properties.other.iter().filter(|(key, _)| *key != "delivery_info") {
            object.value(key, value);
        }
        object.name("delivery_tag");
        write_text(&self.tag, object.out);
    }

    /// Reads an envelope of any kombu version. Malformed ones are errors, never panics.
    pub fn from_json(text: &[u8]) -> Result<Envelope, EnvelopeError> {
        let mut parts = Parts::default();
        let mut reader = Reader::new(text)?;
        if reader.peek() != Some(b'{') {
            return Err(EnvelopeError::Shape("not an object".to_owned()));
        }
        reader.object(|reader, key| {
            match &*key {
                "body" => parts.body = text_of(reader)?,
                "content-encoding" => parts.properties.content_encoding = owned(text_of(reader)?),
                "content-type" => parts.properties.content_type = owned(text_of(reader)?),
                "headers" => parts.headers = headers_of(reader)?,
                "properties" if reader.peek() == Some(b'{') => {
                    reader.object(|reader, key| parts.property(reader, &key))?;
                }
                _ => drop(reader.value()?),
            }
            Ok(())
        })?;
        reader.end()?;
        parts.finish()
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not JSON: {} at byte {}", .0.what, .0.at)]
    Json(JsonError),
    #[error("{0}")]
    Shape(String),
}

impl From<JsonError> for EnvelopeError {
    fn from(error: JsonError) -> Self {
        EnvelopeError::Json(error)
    }
}

/// What was read so far; the body waits for its encoding, which comes last.
#[derive(Default)]
struct Parts<'a> {
    body: Option<Cow<'a, str>>,
    encoding: Option<Cow<'a, str>>,
    headers: Value,
    properties: Properties,
    route: Route,
    tag: Option<String>,
    redelivered: bool,
}

impl<'a> Parts<'a> {
    fn property(&mut self, reader: &mut Reader<'a>, key: &str) -> Result<(), JsonError> {
        let properties = &mut self.properties;
        match (key, reader.peek()) {
            ("body_encoding", _) => self.encoding = text_of(reader)?,
            ("delivery_tag", Some(b'"')) => self.tag = owned(text_of(reader)?),
            ("delivery_info", Some(b'{')) => {
                return reader.object(|reader, key| self.delivery_info(reader, key));
            }
            ("delivery_info", _) => drop(reader.value()?),
            (key, Some(b'n')) if KNOWN.contains(&key) => drop(reader.value()?), // null is absent
            ("expiration", Some(b'"')) => properties.expiration = owned(text_of(reader)?),
            ("correlation_id", Some(b'"')) => properties.correlation_id = owned(text_of(reader)?),
            ("reply_to", Some(b'"')) => properties.reply_to = owned(text_of(reader)?),
            ("message_id", Some(b'"')) => properties.message_id = owned(text_of(reader)?),
            ("app_id", Some(b'"')) => properties.app_id = owned(text_of(reader)?),
            ("type", Some(b'"')) => properties.kind = owned(text_of(reader)?),
            _ => {
                let value = reader.value()?;
                let small = value.as_u64().and_then(|number| u8::try_from(number).ok());
                match (key, small, value.as_u64()) {
                    ("priority", Some(number), _) => properties.priority = Some(number),
                    ("delivery_mode", Some(number), _) => properties.delivery_mode = Some(number),
                    // The writer's numbers end at 2^63.
                    ("timestamp", _, Some(number)) if number <= i64::MAX as u64 => {
                        properties.timestamp = Some(number);
                    }
                    _ => drop(properties.other.insert(key.to_owned(), value)),
                }
            }
        }
        Ok(())
    }

    fn delivery_info(
        &mut self,
        reader: &mut Reader<'a>,
        key: Cow<'a, str>,
    ) -> Result<(), JsonError> {
        match (&*key, reader.peek()) {
            ("exchange", Some(b'"')) => self.route.exchange = reader.text()?.into_owned(),
            ("routing_key", Some(b'"')) => self.route.routing_key = reader.text()?.into_owned(),
            ("exchange" | "routing_key", _) => drop(reader.value()?),
            ("redelivered", _) => self.redelivered |= reader.value()?.is_truthy(),
            _ => {
                let value = reader.value()?;
                let more = self.properties.other.entry("delivery_info".to_owned());
                if let Value::Map(more) = more.or_insert_with(|| Value::Map(Map::new())) {
                    more.insert(key.into_owned(), value);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Envelope, EnvelopeError> {
        let shape = |what: &str| EnvelopeError::Shape(what.to_owned());
        let text = self.body.ok_or_else(|| shape("no `body` text"))?;
        let body = match self.encoding.as_deref() {
            Some("base64") => {
                BASE64.decode(&*text).map_err(|_| shape("the body is not base64"))?.into()
            }
            None | Some("utf-8") => Bytes::from(text.into_owned()),
            Some(other) => {
                return Err(EnvelopeError::Shape(format!("unknown body encoding `{other}`")));
            }
        };
        let mut headers = match self.headers {
            Value::Map(headers) => headers,
            Value::Null => Map::new(),
            other => {
                let what = format!("the headers are {}, not a mapping", other.type_name());
                return Err(EnvelopeError::Shape(what));
            }
        };
        let flag = headers.shift_remove("redelivered");
        Ok(Envelope {
            message: RawMessage { properties: self.properties, headers, body },
            route: self.route,
            tag: self.tag.ok_or_else(|| shape("no `delivery_tag`"))?,
            redelivered: self.redelivered || flag.is_some_and(|flag| flag.is_truthy()),
        })
    }
}

/// Appends the members of an object.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(name, self.out);
        self.out.push(b':');
    }

    fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        value.write_json(self.out);
    }

    fn text(&mut self, name: &str, text: &Option<String>) {
        if let Some(text) = text {
            self.name(name);
            write_text(text, self.out);
        }
    }

    fn number(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.name(name);
            write_int(number, self.out);
        }
    }
}

/// The next value if it is a text; anything else counts as absent.
fn text_of<'a>(reader: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, JsonError> {
    match reader.peek() {
        Some(b'"') => reader.text().map(Some),
        _ => reader.value().map(|_| None),
    }
}

/// Without growing step by step: a client sends about twenty.
fn headers_of(reader: &mut Reader<'_>) -> Result<Value, JsonError> {
    if reader.peek() != Some(b'{') {
        return reader.value();
    }
    let mut headers = Map::with_capacity(24);
    reader.object(|reader, key| {
        let value = reader.value()?;
        headers.insert(key.into_owned(), value);
        Ok(())
    })?;
    Ok(Value::Map(headers))
}

fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

fn text_or_null(text: &Option<String>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_text(text, out),
        None => out.extend_from_slice(b"null"),
    }
}
