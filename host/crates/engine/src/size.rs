//! How long a value is as JSON, without writing it.

use umbel_value::Value;

/// Bytes of a value as JSON text.
pub(crate) fn json_size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Int(n) => digits(*n),
        Value::Big(digits) => digits.len() as u64,
        // The longest shortest form, "-2.2250738585072014e-308", is 24 long; most are shorter.
        Value::Float(f) => {
            if f.fract() == 0.0 && f.abs() < 1e15 {
                f.to_string().len() as u64 + 2
            } else {
                f.to_string().len().min(24) as u64
            }
        }
        Value::Text(text) => text_size(text),
        // {"__type__":"bytes","__value__":"…"} and {"__type__":"base64",…}: the longer of the two.
        Value::Bytes(bytes) => 37 + bytes.len().div_ceil(3) as u64 * 4,
        Value::Tagged(_, text) => 39 + text_size(text),
        Value::List(items) => {
            let commas = items.len().saturating_sub(1) as u64;
            2 + commas + items.iter().map(json_size).sum::<u64>()
        }
        Value::Map(map) => {
            let commas = map.len().saturating_sub(1) as u64;
            2 + commas + map.iter().map(|(k, v)| text_size(k) + 1 + json_size(v)).sum::<u64>()
        }
    }
}

fn digits(n: i64) -> u64 {
    let sign = u64::from(n < 0);
    sign + n.unsigned_abs().checked_ilog10().map_or(1, |log| u64::from(log) + 1)
}

fn text_size(text: &str) -> u64 {
    let escaped: u64 = text
        .bytes()
        .map(|b| match b {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum();
    escaped + 2
}

#[cfg(test)]
mod tests {
    use super::json_size;
    use umbel_value::{Map, Value};

    #[test]
    fn the_size_is_that_of_the_text() {
        let map =
            Map::from_iter([("a\"b".to_owned(), Value::Null), (String::new(), Value::Int(-10))]);
        for value in [
            Value::Null,
            Value::Bool(false),
            Value::Int(0),
            Value::Int(i64::MIN),
            Value::Int(999),
            Value::Big("-123456789012345678901234567890".to_owned()),
            Value::Float(2.5),
            Value::Text("ü\u{1}\n\"\\".to_owned()),
            Value::List(vec![]),
            Value::List(vec![Value::Int(1), Value::Text(String::new())]),
            Value::Map(map),
        ] {
            assert_eq!(json_size(&value), value.to_json().len() as u64, "{}", value.to_json());
        }
    }

    #[test]
    fn bytes_are_never_counted_too_small() {
        for length in [0, 1, 2, 3, 1000] {
            let value = Value::Bytes(vec![255; length]);
            let (counted, real) = (json_size(&value), value.to_json().len() as u64);
            assert!(counted >= real && counted <= real + 4, "{length}: {counted} for {real}");
        }
    }
}
