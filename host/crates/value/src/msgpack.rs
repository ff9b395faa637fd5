//! MessagePack as Python's `msgpack` reads and writes it for kombu: `str` is text, `bin` is bytes,
//! keys are text. Extension types are refused.

mod read;
mod write;

use std::fmt;

use crate::Value;

/// Why bytes are not MessagePack that Celery can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsgpackError {
    /// What is wrong, lower case, without the position.
    pub what: String,
    /// Offset into the bytes.
    pub at: usize,
}

impl fmt::Display for MsgpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for MsgpackError {}

/// Why a value cannot be written, in the words of Python's serializer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexpressible(pub String);

impl fmt::Display for Inexpressible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Inexpressible {}

impl Value {
    /// Reads one value; nothing may follow it.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Value, MsgpackError> {
        read::read(bytes)
    }

    /// Appends this value. Integers beyond 64 bits and kombu's textual tags cannot be written; what
    /// was appended before one of them stays.
    pub fn write_msgpack(&self, out: &mut Vec<u8>) -> Result<(), Inexpressible> {
        write::value(self, out)
    }
}
