//! The writer: the shortest form of everything, as Python's.

use super::Inexpressible;
use crate::Value;

pub(super) fn value(value: &Value, out: &mut Vec<u8>) -> Result<(), Inexpressible> {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(truth) => out.push(0xc2 + u8::from(*truth)),
        Value::Int(number) => integer(*number, out),
        Value::Big(digits) => big(digits, out)?,
        Value::Float(number) => {
            out.push(0xcb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Text(text) => self::text(text, out)?,
        Value::Bytes(bytes) => {
            header(bytes.len(), Family { short: None, byte: Some(0xc4), wide: 0xc5 }, out)?;
            out.extend_from_slice(bytes);
        }
        Value::Tagged(..) => {
            let what = format!("can not serialize '{}' object", value.type_name());
            return Err(Inexpressible(what));
        }
        Value::List(items) => {
            header(items.len(), Family { short: Some((0x90, 16)), byte: None, wide: 0xdc }, out)?;
            for item in items {
                self::value(item, out)?;
            }
        }
        Value::Map(map) => {
            header(map.len(), Family { short: Some((0x80, 16)), byte: None, wide: 0xde }, out)?;
            for (key, item) in map {
                text(key, out)?;
                self::value(item, out)?;
            }
        }
    }
    Ok(())
}

/// The markers of one type, by the size of its length.
struct Family {
    /// The marker that holds the length itself, and what it cannot hold any more.
    short: Option<(u8, u8)>,
    byte: Option<u8>,
    /// The marker of two bytes; that of four follows it.
    wide: u8,
}

fn header(length: usize, family: Family, out: &mut Vec<u8>) -> Result<(), Inexpressible> {
    let small = u8::try_from(length).ok();
    match (small, family.short, family.byte) {
        (Some(length), Some((marker, limit)), _) if length < limit => out.push(marker | length),
        (Some(length), _, Some(marker)) => out.extend_from_slice(&[marker, length]),
        _ => match u16::try_from(length) {
            Ok(length) => {
                out.push(family.wide);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                let length = u32::try_from(length)
                    .map_err(|_| Inexpressible("object is too large".to_owned()))?;
                out.push(family.wide + 1);
                out.extend_from_slice(&length.to_be_bytes());
            }
        },
    }
    Ok(())
}

fn text(text: &str, out: &mut Vec<u8>) -> Result<(), Inexpressible> {
    header(text.len(), Family { short: Some((0xa0, 32)), byte: Some(0xd9), wide: 0xda }, out)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn integer(number: i64, out: &mut Vec<u8>) {
    let mut put = |marker: u8, bytes: &[u8]| {
        out.push(marker);
        out.extend_from_slice(bytes);
    };
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => put(0xcc, &[number as u8]),
        0x100..=0xffff => put(0xcd, &(number as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => put(0xce, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => put(0xcf, &number.to_be_bytes()),
        -0x20..0 => out.push(number as u8),
        -0x80..-0x20 => put(0xd0, &[number as u8]),
        -0x8000..-0x80 => put(0xd1, &(number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => put(0xd2, &(number as i32).to_be_bytes()),
        ..-0x8000_0000 => put(0xd3, &number.to_be_bytes()),
    }
}

fn big(digits: &str, out: &mut Vec<u8>) -> Result<(), Inexpressible> {
    let number: u64 =
        digits.parse().map_err(|_| Inexpressible("Integer value out of range".to_owned()))?;
    out.push(0xcf);
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}
