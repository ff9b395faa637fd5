//! The writer: appends to a buffer, allocates nothing else.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::plain_until;
use crate::{Tag, Value};

pub(super) fn value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => write_int(*number, out),
        Value::Big(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Float(number) => write_float(*number, out),
        Value::Text(text) => write_text(text, out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Tagged(tag, text) => write_tag(*tag, text, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                self::value(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                self::value(item, out);
            }
            out.push(b'}');
        }
    }
}

/// Appends text in double quotes, escaping only what JSON demands.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut from = 0;
    loop {
        let at = plain_until(bytes, from);
        out.extend_from_slice(&bytes[from..at]);
        let Some(&byte) = bytes.get(at) else { break };
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.push(b'"');
}

/// Appends an integer.
pub fn write_int(number: i64, out: &mut Vec<u8>) {
    let _ = write!(out, "{number}"); // writing to a vector cannot fail
}

/// Appends a number as Python's `repr` spells it; NaN and the infinities as the words its JSON uses.
pub fn write_float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if number.is_infinite() {
        let word: &[u8] = if number > 0.0 { b"Infinity" } else { b"-Infinity" };
        return out.extend_from_slice(word);
    }
    let start = out.len();
    let _ = write!(out, "{number:?}"); // shortest digits that read back the same
    // Rust and Python choose the exponent form at the same sizes; only its spelling differs.
    if let Some(at) = out[start..].iter().position(|&byte| byte == b'e') {
        let exponent = out.split_off(start + at + 1);
        let (sign, digits) = match exponent.strip_prefix(b"-") {
            Some(digits) => (b'-', digits),
            None => (b'+', exponent.as_slice()),
        };
        out.push(sign);
        if digits.len() < 2 {
            out.push(b'0');
        }
        out.extend_from_slice(digits);
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.extend_from_slice(br#"{"__type__":"bytes","__value__":"#);
        write_text(text, out);
        out.push(b'}');
        return;
    }
    out.extend_from_slice(br#"{"__type__":"base64","__value__":""#);
    write_base64(bytes, out);
    out.extend_from_slice(b"\"}");
}

/// Appends base64 text, without quotes.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the space was just made");
}

fn write_tag(tag: Tag, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"__type__":""#);
    out.extend_from_slice(tag.as_str().as_bytes());
    out.extend_from_slice(br#"","__value__":"#);
    if tag == Tag::Uuid {
        out.extend_from_slice(br#"{"hex":"#);
        write_text(&text.replace('-', ""), out);
        out.push(b'}');
    } else {
        write_text(text, out);
    }
    out.push(b'}');
}
