//! Content types, encodings, compression and size caps of bodies.
//! JSON is the only content type that is opened.

use std::borrow::Cow;
use std::io::Read as _;

use umbel_value::Value;

use crate::message::{DecodeError, RawMessage};

/// What a compressed body may grow to.
pub const MAX_BODY: u64 = 64 << 20;

/// The content type of every body we write.
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

/// kombu's compressions (PROTOCOL 1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// What kombu calls gzip: a bare zlib stream.
    Zlib,
    Bzip2,
    Lzma,
    Brotli,
    Zstd,
}

/// An opened body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Value(Value),
    /// Celery hands this content type over as it is; it cannot hold a task request.
    Opaque,
    Empty,
}

/// Opens a body as kombu does: the content type is judged before a byte is unpacked.
pub fn open(raw: &RawMessage) -> Result<Body, DecodeError> {
    let content_type = raw.properties.content_type.as_deref().unwrap_or_default();
    match content_type {
        JSON if raw.body.is_empty() => return Ok(Body::Empty),
        JSON => {}
        "" | "application/data" | "application/text" => return Ok(Body::Opaque),
        other => return Err(disallowed(other)),
    }
    let text = match raw.headers.get("compression") {
        Some(kind) if kind.is_truthy() => {
            let kind = kind.as_str().ok_or_else(|| {
                DecodeError::Undecodable("the header `compression` is not text".to_owned())
            })?;
            Cow::Owned(decompress(&raw.body, kind, MAX_BODY)?)
        }
        _ => Cow::Borrowed(raw.body.as_ref()),
    };
    Value::from_json(&text)
        .map(Body::Value)
        .map_err(|error| DecodeError::Undecodable(error.to_string()))
}

/// Unpacks data of one of kombu's compressions (content type or alias), to at most `cap` bytes.
pub fn decompress(data: &[u8], kind: &str, cap: u64) -> Result<Vec<u8>, DecodeError> {
    let name = match kind {
        // What kombu calls gzip is a bare zlib stream.
        "application/x-gzip" | "gzip" | "zlib" => return inflate(data, cap),
        "application/x-bz2" | "bzip2" | "bzip" => "bzip2",
        "application/x-lzma" | "lzma" | "xz" => "lzma",
        "application/x-brotli" | "brotli" => "brotli",
        "application/zstd" | "zstd" | "zstandard" => "zstd",
        other => {
            return Err(DecodeError::Undecodable(format!("unknown compression `{other}`")));
        }
    };
    Err(DecodeError::Undecodable(format!("compression `{name}` is not supported")))
}

fn inflate(data: &[u8], cap: u64) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    // One byte more than allowed tells a full body from a bomb.
    let mut stream = flate2::read::ZlibDecoder::new(data).take(cap.saturating_add(1));
    stream
        .read_to_end(&mut out)
        .map_err(|error| DecodeError::Undecodable(format!("corrupt zlib data: {error}")))?;
    if out.len() as u64 > cap {
        return Err(DecodeError::Undecodable(format!("unpacks to more than {cap} bytes")));
    }
    Ok(out)
}

fn disallowed(content_type: &str) -> DecodeError {
    let name = match content_type {
        "application/x-python-serialize" => "pickle",
        "application/x-yaml" => "yaml",
        "application/x-msgpack" => "msgpack",
        other => other,
    };
    DecodeError::Disallowed { name: name.to_owned(), content_type: content_type.to_owned() }
}
