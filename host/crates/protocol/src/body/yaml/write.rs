//! Values to YAML: flow style, every text in double quotes, so that no text is taken for anything
//! else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use umbel_value::json::{write_float, write_int};
use umbel_value::{Budget, Tag, Value};

use super::{MAX_WEIGHT, scalar};
use crate::body::EncodeError;

/// PyYAML looks no further than 1024 characters for the colon that makes a text a key.
const LONG_KEY: usize = 1000;

/// The reader takes no more brackets within brackets.
const MAX_FLOW: usize = 255;

/// Appends one document. Of kombu's textual tags, dates and instants can be written.
pub(in crate::body) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    node(value, 0, &mut Budget::of(MAX_WEIGHT), out)
}

fn node(
    value: &Value,
    depth: usize,
    budget: &mut Budget,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    // What is too heavy to be read is not written.
    let weight = match value {
        Value::List(_) => 5,
        Value::Map(map) => 5 + map.len(),
        _ => 1,
    };
    budget.spend(weight).map_err(|exceeded| EncodeError(exceeded.to_string()))?;
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Int(number) => write_int(*number, out),
        Value::Big(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Float(number) => float(*number, out),
        Value::Text(text) => quoted(text, out),
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"!!binary ");
            quoted(&STANDARD.encode(bytes), out);
        }
        Value::Tagged(tag, text) => timestamp(*tag, text, out)?,
        Value::List(_) | Value::Map(_) if depth == MAX_FLOW => {
            return Err(EncodeError(format!("nested deeper than {MAX_FLOW}")));
        }
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                node(item, depth + 1, budget, out)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, item)) in map.iter().enumerate() {
                separate(index, out);
                self::key(key, out);
                node(item, depth + 1, budget, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

fn key(key: &str, out: &mut Vec<u8>) {
    let start = out.len();
    quoted(key, out);
    if out.len() - start > LONG_KEY {
        out.splice(start..start, *b"? ");
        out.push(b' ');
    }
    out.extend_from_slice(b": ");
}

/// With a dot and a signed exponent, or it would be a text.
fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b".nan");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b".inf" } else { b"-.inf" });
    }
    let start = out.len();
    write_float(number, out);
    let exponent = out[start..].iter().position(|&byte| byte == b'e');
    if let Some(at) = exponent
        && !out[start..].contains(&b'.')
    {
        out.splice(start + at..start + at, *b".0");
    }
}

fn timestamp(tag: Tag, text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match scalar::timestamp(text) {
        Some(Ok(Value::Tagged(same, _))) if same == tag => {
            out.extend_from_slice(b"!!timestamp ");
            quoted(text, out);
            Ok(())
        }
        _ => Err(EncodeError(format!("cannot represent an object of type {}", tag.as_str()))),
    }
}

/// What PyYAML calls not printable, and what it takes for a line break, is escaped.
fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\0'..' ' | '\u{7f}'..='\u{a0}' => {
                out.extend_from_slice(format!("\\x{:02x}", u32::from(character)).as_bytes());
            }
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            plain => out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
