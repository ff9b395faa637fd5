//! kombu's JSON dialect: unbounded integers, NaN and infinities, type tags.

mod read;
mod write;

use std::fmt;

pub use read::Reader;
pub use write::{write_base64, write_float, write_int, write_text};

use crate::Value;

/// Deeper nesting is refused before it can exhaust a stack.
pub const MAX_DEPTH: usize = 512;

/// Longer integers are refused, as Python refuses them.
pub const MAX_DIGITS: usize = 4300;

/// Why text is not JSON that Celery can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, lower case, without the position.
    pub what: String,
    /// Byte offset into the text.
    pub at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for JsonError {}

impl Value {
    /// Parses JSON text; resolves kombu's type tags. An unknown `__type__` is an error, as in kombu.
    pub fn from_json(text: &[u8]) -> Result<Value, JsonError> {
        let mut reader = Reader::new(text)?;
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }

    /// Appends this value as JSON text (UTF-8, no spaces), type tags where needed.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write::value(self, out);
    }

    /// This value as JSON text.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(128);
        self.write_json(&mut out);
        String::from_utf8(out).expect("the writer emits only UTF-8")
    }
}
