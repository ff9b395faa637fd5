//! kombu's JSON envelope, in which Redis carries messages (PROTOCOL 3.2).

use umbel_value::JsonError;

use crate::message::{RawMessage, Route};

/// A message in its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub message: RawMessage,
    /// `properties.delivery_info`.
    pub route: Route,
    /// `properties.delivery_tag`; chosen by the publisher.
    pub tag: String,
    /// `delivery_info.redelivered` or the header of that name.
    pub redelivered: bool,
}

impl Envelope {
    /// The envelope as kombu writes it: keys in its order, the body in base64.
    pub fn to_json(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads an envelope of any kombu version. Malformed ones are errors, never panics.
    pub fn from_json(text: &[u8]) -> Result<Envelope, EnvelopeError> {
        let _ = text;
        todo!()
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not JSON: {} at byte {}", .0.what, .0.at)]
    Json(JsonError),
    #[error("{0}")]
    Shape(String),
}
