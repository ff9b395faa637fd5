//! kombu's JSON dialect: unbounded integers, NaN and infinities, type tags.

mod read;
mod write;

use std::fmt;

pub use read::Reader;
pub use write::{write_base64, write_float, write_int, write_text};

use crate::Value;

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

/// Where the next byte stands that cannot be in a string as it is: a quote, a backslash, a control
/// character. The end if there is none. Eight bytes a step.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes were asked for"));
        let quote = zero_byte(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_byte(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let stop = quote | backslash | control;
        if stop != 0 {
            // The lowest hit is exact; borrows can only spoil bytes above it.
            return at + stop.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let stop = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    stop.map_or(bytes.len(), |more| at + more)
}
