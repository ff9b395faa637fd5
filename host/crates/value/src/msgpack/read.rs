//! The reader. A length is believed only as far as there are bytes for it.

use super::MsgpackError;
use crate::{Budget, Exceeded, Map, Value};

pub(super) fn read(bytes: &[u8]) -> Result<Value, MsgpackError> {
    let mut reader = Reader { bytes, at: 0, budget: Budget::new() };
    let value = reader.value()?;
    match reader.rest().is_empty() {
        true => Ok(value),
        false => Err(reader.error("extra data")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: Budget,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, MsgpackError> {
        self.within(|budget| budget.spend(1))?;
        let marker = self.byte()?;
        Ok(match marker {
            0x00..=0x7f => Value::Int(marker.into()),
            0xe0..=0xff => Value::Int(i64::from(marker as i8)),
            0x80..=0x8f => return self.map(u32::from(marker & 0x0f)),
            0x90..=0x9f => return self.list(u32::from(marker & 0x0f)),
            0xa0..=0xbf => Value::from(self.text(u32::from(marker & 0x1f))?),
            0xc0 => Value::Null,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(marker - 0xc4)?;
                Value::Bytes(self.take(length)?.to_vec())
            }
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc..=0xce => Value::Int(self.length(marker - 0xcc)?.into()),
            0xcf => Value::from(u64::from_be_bytes(self.array()?)),
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            0xd9..=0xdb => {
                let length = self.length(marker - 0xd9)?;
                Value::from(self.text(length)?)
            }
            0xdc | 0xdd => {
                let length = self.length(marker - 0xdb)?;
                return self.list(length);
            }
            0xde | 0xdf => {
                let length = self.length(marker - 0xdd)?;
                return self.map(length);
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => return Err(self.error("an extension type")),
            0xc1 => return Err(self.error("the marker that is never used")),
        })
    }

    fn list(&mut self, length: u32) -> Result<Value, MsgpackError> {
        self.within(Budget::enter)?;
        let mut items = Vec::with_capacity(self.room(length)?);
        for _ in 0..length {
            items.push(self.value()?);
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn map(&mut self, length: u32) -> Result<Value, MsgpackError> {
        self.within(Budget::enter)?;
        let mut map = Map::with_capacity(self.room(length)?);
        for _ in 0..length {
            let key = self.key()?.to_owned();
            map.insert(key, self.value()?);
        }
        self.budget.leave();
        Ok(Value::Map(map))
    }

    fn key(&mut self) -> Result<&'a str, MsgpackError> {
        self.within(|budget| budget.spend(1))?;
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => u32::from(marker & 0x1f),
            marker @ 0xd9..=0xdb => self.length(marker - 0xd9)?,
            _ => return Err(self.error("a key that is not text")),
        };
        self.text(length)
    }

    /// How many elements to make room for at once.
    fn room(&self, length: u32) -> Result<usize, MsgpackError> {
        match usize::try_from(length) {
            Ok(length) if length <= self.rest().len() => Ok(length.min(64)),
            _ => Err(self.error("unexpected end")),
        }
    }

    fn text(&mut self, length: u32) -> Result<&'a str, MsgpackError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("text that is not UTF-8"))
    }

    /// A number of one byte, of two or of four.
    fn length(&mut self, size: u8) -> Result<u32, MsgpackError> {
        Ok(match size {
            0 => self.byte()?.into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn byte(&mut self) -> Result<u8, MsgpackError> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgpackError> {
        let Some(bytes) = self.rest().first_chunk() else {
            return Err(self.error("unexpected end"));
        };
        self.at += N;
        Ok(*bytes)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], MsgpackError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.rest().get(..length).ok_or_else(|| self.error("unexpected end"))?;
        self.at += length;
        Ok(bytes)
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn within(
        &mut self,
        step: impl FnOnce(&mut Budget) -> Result<(), Exceeded>,
    ) -> Result<(), MsgpackError> {
        step(&mut self.budget).map_err(|exceeded| self.error(exceeded.to_string()))
    }

    fn error(&self, what: impl Into<String>) -> MsgpackError {
        MsgpackError { what: what.into(), at: self.at }
    }
}
