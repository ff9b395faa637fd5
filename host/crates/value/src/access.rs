//! Short ways into a value and out of Rust's own types.

use crate::{Map, Value};

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The integer, if it is one that fits and is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Big(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The number, integers included; those beyond 2^53 lose digits.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Big(digits) => digits.parse().ok(),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value under `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Python's idea of truth: null, false, zero and whatever is empty are not true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Big(_) | Value::Tagged(..) => true,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
        }
    }

    /// Python's name of the type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::Tagged(tag, _) => match tag {
                crate::Tag::Decimal => "Decimal",
                crate::Tag::Uuid => "UUID",
                other => other.as_str(),
            },
            Value::List(_) => "list",
            Value::Map(_) => "dict",
        }
    }
}

macro_rules! from {
    ($($source:ty => $name:ident $value:expr;)*) => {$(
        impl From<$source> for Value {
            fn from($name: $source) -> Value {
                $value
            }
        }
    )*};
}

from! {
    () => _unit Value::Null;
    bool => truth Value::Bool(truth);
    i32 => number Value::Int(number.into());
    u8 => number Value::Int(number.into());
    u16 => number Value::Int(number.into());
    u32 => number Value::Int(number.into());
    i64 => number Value::Int(number);
    u64 => number i64::try_from(number).map_or_else(|_| Value::Big(number.to_string()), Value::Int);
    i128 => number i64::try_from(number).map_or_else(|_| Value::Big(number.to_string()), Value::Int);
    f32 => number Value::Float(number.into());
    f64 => number Value::Float(number);
    &str => text Value::Text(text.to_owned());
    String => text Value::Text(text);
    &String => text Value::Text(text.clone());
    Vec<Value> => items Value::List(items);
    Map => map Value::Map(map);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Value {
        Value::List(items.into_iter().collect())
    }
}

impl<'a> FromIterator<(&'a str, Value)> for Value {
    fn from_iter<I: IntoIterator<Item = (&'a str, Value)>>(entries: I) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(entries: [(&str, Value); N]) -> Value {
        entries.into_iter().collect()
    }
}
