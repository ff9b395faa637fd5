//! How long a value is as JSON, without writing it.

use umbel_value::Value;
use wasmtime::component::Val;

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

/// No more bytes than the value of these boxes has as JSON text: told without making the value.
pub(crate) fn least_json_size(val: &Val) -> u64 {
    let between = |count: usize| 2 + count.saturating_sub(1) as u64;
    match val {
        Val::U64(n) => n.checked_ilog10().map_or(1, |log| u64::from(log) + 1),
        Val::S64(n) => digits(*n),
        Val::U32(n) => digits((*n).into()),
        Val::S32(n) => digits((*n).into()),
        // Bytes: three are four in base64.
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => items.len() as u64,
        Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => {
            between(items.len()) + items.iter().map(least_json_size).sum::<u64>()
        }
        Val::Record(fields) => {
            let field = |(name, val): &(String, Val)| name.len() as u64 + 3 + least_json_size(val);
            between(fields.len()) + fields.iter().map(field).sum::<u64>()
        }
        Val::Option(Some(val)) | Val::Variant(_, Some(val)) => least_json_size(val),
        Val::Result(Ok(Some(val)) | Err(Some(val))) => least_json_size(val),
        // Text may be JSON that has a shorter spelling.
        _ => 1,
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
    use super::*;
    use crate::shape::{Case, Field, Shape};
    use crate::value::lift;
    use umbel_value::Map;

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

    #[test]
    fn the_least_size_is_never_more_than_the_size() {
        let list = |item| Shape::List(Box::new(item));
        let text = |text: &str| Val::String(text.to_owned());
        let name = |name: &str| name.to_owned();
        let record = Shape::Record(vec![Field {
            name: name("a-b"),
            key: name("a_b"),
            shape: Shape::Option(Box::new(Shape::F64)),
        }]);
        let variant = Shape::Variant(vec![Case { name: name("c"), shape: Some(Shape::Bool) }]);
        let result = Shape::Result(None, Some(Box::new(Shape::Char)));
        let given = |val| Val::Option(Some(Box::new(val)));
        for (val, shape) in [
            (Val::U64(u64::MAX), Shape::U64),
            (Val::S64(i64::MIN), Shape::S64),
            (Val::U32(0), Shape::U32),
            (Val::List(vec![Val::U64(0); 3]), list(Shape::U64)),
            (Val::List(vec![]), list(Shape::U64)),
            (Val::List(vec![Val::U8(255); 100]), Shape::Bytes),
            (Val::Tuple(vec![text("\"1\""), text("  1 ")]), {
                Shape::Tuple(vec![Shape::Text, Shape::Json])
            }),
            (Val::Record(vec![(name("a-b"), given(Val::Float64(0.5)))]), record.clone()),
            (Val::Record(vec![(name("a-b"), Val::Option(None))]), record),
            (Val::Variant(name("c"), Some(Box::new(Val::Bool(true)))), variant),
            (Val::Result(Err(Some(Box::new(Val::Char('x'))))), result),
            (Val::Enum(name("e")), Shape::Enum(vec![name("e")])),
            (Val::Flags(vec![]), Shape::Flags(vec![name("f")])),
        ] {
            let least = least_json_size(&val);
            let real = lift(val, &shape).ok().map(|value| json_size(&value));
            assert!(real.is_some_and(|real| least <= real), "{least} for {real:?}: {shape:?}");
        }
    }
}
