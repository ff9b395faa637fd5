//! Bodies: content types, serializers, compression and size caps.

mod compression;
mod yaml;

use bytes::Bytes;
use umbel_value::Value;

pub use compression::Compression;

use crate::message::{DecodeError, RawMessage};

/// What a compressed body may grow to.
pub const MAX_BODY: u64 = 64 << 20;

/// The content type of JSON.
pub const JSON: &str = "application/json";

/// How a body or a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub serializer: Serializer,
    pub compression: Option<Compression>,
}

/// The serializers that hold nothing but data (PROTOCOL 1.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serializer {
    #[default]
    Json,
    Msgpack,
    Yaml,
}

/// Why a serializer cannot write a value, in the words of Python's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

/// An opened body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Value(Value),
    /// Celery hands this content type over as it is; it cannot hold a task request.
    Opaque,
    Empty,
}

impl Serializer {
    pub const ALL: [Serializer; 3] = [Serializer::Json, Serializer::Msgpack, Serializer::Yaml];

    /// By kombu's name or by content type, as `accept_content` takes both.
    pub fn named(name: &str) -> Option<Serializer> {
        Self::ALL.into_iter().find(|one| name == one.as_str() || name == one.content_type())
    }

    /// kombu's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Serializer::Json => "json",
            Serializer::Msgpack => "msgpack",
            Serializer::Yaml => "yaml",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Serializer::Json => JSON,
            Serializer::Msgpack => "application/x-msgpack",
            Serializer::Yaml => "application/x-yaml",
        }
    }

    pub fn content_encoding(self) -> &'static str {
        match self {
            Serializer::Json | Serializer::Yaml => "utf-8",
            Serializer::Msgpack => "binary",
        }
    }

    /// Reads one value; the complaint says what is wrong and where.
    pub fn read(self, bytes: &[u8]) -> Result<Value, String> {
        match self {
            Serializer::Json => Value::from_json(bytes).map_err(|error| error.to_string()),
            Serializer::Msgpack => Value::from_msgpack(bytes).map_err(|error| error.to_string()),
            Serializer::Yaml => yaml::read(bytes),
        }
    }

    /// Why it cannot write this value. JSON can write them all.
    pub fn refuses(self, value: &Value) -> Option<EncodeError> {
        if self == Serializer::Json { None } else { self.write(value).err() }
    }

    /// Writes one value. JSON can write them all.
    pub fn write(self, value: &Value) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(256);
        match self {
            Serializer::Json => value.write_json(&mut out),
            Serializer::Msgpack => {
                value.write_msgpack(&mut out).map_err(|error| EncodeError(error.to_string()))?;
            }
            Serializer::Yaml => yaml::write(value, &mut out)?,
        }
        Ok(out)
    }
}

/// Opens a body of any serializer.
pub fn open(raw: &RawMessage) -> Result<Body, DecodeError> {
    open_accepting(raw, &Serializer::ALL).map(|(body, _)| body)
}

/// Opens a body as kombu does: the content type is judged before a byte is unpacked.
pub(crate) fn open_accepting(
    raw: &RawMessage,
    accept: &[Serializer],
) -> Result<(Body, Content), DecodeError> {
    let (bytes, content) = unpack_accepting(raw, accept)?;
    Ok((read(bytes, content)?, content))
}

/// A body that is unpacked and not read.
pub(crate) enum Packed {
    Bytes(Bytes),
    Opaque,
    Empty,
}

/// Reads an unpacked body.
pub(crate) fn read(packed: Packed, content: Content) -> Result<Body, DecodeError> {
    match packed {
        Packed::Opaque => Ok(Body::Opaque),
        Packed::Empty => Ok(Body::Empty),
        Packed::Bytes(bytes) => {
            content.serializer.read(&bytes).map(Body::Value).map_err(DecodeError::Undecodable)
        }
    }
}

/// As [`open_accepting`], but for the reading.
pub(crate) fn unpack_accepting(
    raw: &RawMessage,
    accept: &[Serializer],
) -> Result<(Packed, Content), DecodeError> {
    let content_type = raw.properties.content_type.as_deref().unwrap_or_default();
    if matches!(content_type, "" | "application/data" | "application/text") {
        return Ok((Packed::Opaque, Content::default()));
    }
    let known = Serializer::ALL.into_iter().find(|one| one.content_type() == content_type);
    let serializer =
        known.filter(|one| accept.contains(one)).ok_or_else(|| disallowed(content_type))?;
    let mut content = Content { serializer, compression: None };
    if raw.body.is_empty() {
        return Ok((Packed::Empty, content));
    }
    content.compression = compression(raw)?;
    let bytes = match content.compression {
        Some(compression) => unpack(compression, &raw.body)?.into(),
        None => raw.body.clone(),
    };
    Ok((Packed::Bytes(bytes), content))
}

fn compression(raw: &RawMessage) -> Result<Option<Compression>, DecodeError> {
    let Some(kind) = raw.headers.get("compression").filter(|kind| kind.is_truthy()) else {
        return Ok(None);
    };
    let complaint = || match kind {
        Value::Text(kind) => format!("unknown compression `{kind}`"),
        _ => "the header `compression` is not text".to_owned(),
    };
    let known = kind.as_str().and_then(Compression::named);
    known.map(Some).ok_or_else(|| DecodeError::Undecodable(complaint()))
}

fn unpack(compression: Compression, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    compression.unpack(data, MAX_BODY).map_err(DecodeError::Undecodable)
}

fn disallowed(content_type: &str) -> DecodeError {
    let name = match content_type {
        "application/x-python-serialize" => "pickle",
        other => Serializer::named(other).map_or(other, |known| known.as_str()),
    };
    DecodeError::Disallowed { name: name.to_owned(), content_type: content_type.to_owned() }
}
