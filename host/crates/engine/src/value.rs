//! JSON to component values and back, by shape. Nothing wraps, nothing is guessed.

use umbel_value::{Map, Value};
use wasmtime::component::Val;

use crate::shape::{Case, Field, Shape};

/// Why a value does not fit a shape, and where inside it.
#[derive(Debug, PartialEq)]
pub(crate) struct Misfit {
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    /// From the parameter inwards, as Python would index it: `[2].name`.
    pub(crate) path: String,
}

impl Misfit {
    fn type_error(expected: &str, got: &Value) -> Self {
        Self::new("TypeError", format!("expected {expected}, got {}", python_type(got)))
    }

    fn value_error(what: String) -> Self {
        Self::new("ValueError", what)
    }

    fn new(kind: &'static str, what: String) -> Self {
        Self { kind, what, path: String::new() }
    }

    fn at(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

/// How Python calls a value's type.
pub(crate) fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "None",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Big(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::Tagged(tag, _) => match tag {
            umbel_value::Tag::Datetime => "datetime",
            umbel_value::Tag::Date => "date",
            umbel_value::Tag::Time => "time",
            umbel_value::Tag::Decimal => "Decimal",
            umbel_value::Tag::Uuid => "UUID",
        },
        Value::List(_) => "list",
        Value::Map(_) => "dict",
    }
}

/// Turns a value into what a parameter of this shape takes.
pub(crate) fn lower(value: &Value, shape: &Shape) -> Result<Val, Misfit> {
    Ok(match shape {
        Shape::Bool => match value {
            Value::Bool(b) => Val::Bool(*b),
            _ => return Err(Misfit::type_error("bool", value)),
        },
        Shape::S8 => Val::S8(integer(value, shape)?),
        Shape::U8 => Val::U8(integer(value, shape)?),
        Shape::S16 => Val::S16(integer(value, shape)?),
        Shape::U16 => Val::U16(integer(value, shape)?),
        Shape::S32 => Val::S32(integer(value, shape)?),
        Shape::U32 => Val::U32(integer(value, shape)?),
        Shape::S64 => Val::S64(integer(value, shape)?),
        Shape::U64 => Val::U64(integer(value, shape)?),
        Shape::F32 => Val::Float32(single(float(value)?)?),
        Shape::F64 => Val::Float64(float(value)?),
        Shape::Char => Val::Char(character(value)?),
        Shape::Text => match value {
            Value::Text(text) | Value::Tagged(_, text) => Val::String(text.clone()),
            _ => return Err(Misfit::type_error("str", value)),
        },
        Shape::Json => Val::String(value.to_json()),
        Shape::Bytes => Val::List(octets(value)?.iter().copied().map(Val::U8).collect()),
        Shape::List(item) => Val::List(items(value, |_| Some(item))?),
        Shape::FixedList(item, length) => {
            exactly(value, *length as usize)?;
            Val::FixedLengthList(items(value, |_| Some(item))?)
        }
        Shape::Tuple(shapes) => {
            exactly(value, shapes.len())?;
            Val::Tuple(items(value, |i| shapes.get(i))?)
        }
        Shape::Record(fields) => Val::Record(record(value, fields)?),
        Shape::Variant(cases) => variant(value, cases)?,
        Shape::Enum(names) => match value {
            Value::Text(text) => Val::Enum(one_of(text, names)?),
            _ => return Err(Misfit::type_error("str", value)),
        },
        Shape::Flags(names) => flags(value, names)?,
        Shape::Option(inner) => match value {
            Value::Null => Val::Option(None),
            some => Val::Option(Some(Box::new(lower(some, inner)?))),
        },
        Shape::Result(ok, err) => result(value, ok.as_deref(), err.as_deref())?,
    })
}

/// An integer of any width, range-checked.
fn integer<T: TryFrom<i128>>(value: &Value, shape: &Shape) -> Result<T, Misfit> {
    let (wide, negative) = match value {
        Value::Int(n) => (Some(i128::from(*n)), *n < 0),
        // More digits than i128 holds are more than any of these types holds.
        Value::Big(digits) => (digits.parse().ok(), digits.starts_with('-')),
        _ => return Err(Misfit::type_error("int", value)),
    };
    wide.and_then(|n| T::try_from(n).ok()).ok_or_else(|| {
        let size = if negative { "small" } else { "large" };
        Misfit::new(
            "OverflowError",
            format!("Python int too {size} to convert to {}", shape.number()),
        )
    })
}

fn float(value: &Value) -> Result<f64, Misfit> {
    match value {
        Value::Float(f) => Ok(*f),
        #[expect(clippy::cast_precision_loss, reason = "as Python's float(int)")]
        Value::Int(n) => Ok(*n as f64),
        Value::Big(digits) => match digits.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(f),
            _ => Err(Misfit::new("OverflowError", "int too large to convert to float".to_owned())),
        },
        _ => Err(Misfit::type_error("float", value)),
    }
}

/// Rounds to the nearest single; a finite number never becomes an infinity.
fn single(wide: f64) -> Result<f32, Misfit> {
    #[expect(clippy::cast_possible_truncation, reason = "the overflow is what is looked for")]
    let narrow = wide as f32;
    if wide.is_finite() && !narrow.is_finite() {
        return Err(Misfit::new("OverflowError", "float too large to convert to f32".to_owned()));
    }
    Ok(narrow)
}

fn character(value: &Value) -> Result<char, Misfit> {
    let Value::Text(text) = value else { return Err(Misfit::type_error("str", value)) };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(Misfit::value_error(format!(
            "expected one character, got a str of length {}",
            text.chars().count()
        ))),
    }
}

/// Bytes as they are, text as its UTF-8, an array of 0 to 255.
pub(crate) fn octets(value: &Value) -> Result<std::borrow::Cow<'_, [u8]>, Misfit> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.into()),
        Value::Text(text) => Ok(text.as_bytes().into()),
        Value::List(items) => {
            let byte = |(i, item): (usize, &Value)| match item {
                Value::Int(n) => u8::try_from(*n).map_err(|_| {
                    Misfit::value_error("bytes must be in range(0, 256)".to_owned())
                        .at(&format!("[{i}]"))
                }),
                Value::Big(_) => {
                    Err(Misfit::value_error("bytes must be in range(0, 256)".to_owned())
                        .at(&format!("[{i}]")))
                }
                _ => Err(Misfit::type_error("int", item).at(&format!("[{i}]"))),
            };
            items.iter().enumerate().map(byte).collect::<Result<Vec<u8>, _>>().map(Into::into)
        }
        _ => Err(Misfit::type_error("bytes", value)),
    }
}

fn exactly(value: &Value, length: usize) -> Result<(), Misfit> {
    match value {
        Value::List(items) if items.len() != length => {
            Err(Misfit::value_error(format!("expected {length} items, got {}", items.len())))
        }
        _ => Ok(()),
    }
}

fn items<'s>(
    value: &Value,
    shape: impl Fn(usize) -> Option<&'s Shape>,
) -> Result<Vec<Val>, Misfit> {
    let Value::List(items) = value else { return Err(Misfit::type_error("list", value)) };
    let mut vals = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let Some(shape) = shape(i) else { break };
        vals.push(lower(item, shape).map_err(|m| m.at(&format!("[{i}]")))?);
    }
    Ok(vals)
}

fn record(value: &Value, fields: &[Field]) -> Result<Vec<(String, Val)>, Misfit> {
    let Value::Map(map) = value else { return Err(Misfit::type_error("dict", value)) };
    if let Some(unknown) = map.keys().find(|key| !fields.iter().any(|f| f.key == **key)) {
        return Err(Misfit::value_error(format!("unexpected key '{unknown}'")));
    }
    let mut vals = Vec::with_capacity(fields.len());
    for field in fields {
        let val = match map.get(&field.key) {
            Some(value) => {
                lower(value, &field.shape).map_err(|m| m.at(&format!(".{}", field.key)))?
            }
            None if matches!(field.shape, Shape::Option(_)) => Val::Option(None),
            None => return Err(Misfit::value_error(format!("missing key '{}'", field.key))),
        };
        vals.push((field.name.clone(), val));
    }
    Ok(vals)
}

/// `"case"`, or an object with the case as its only key.
fn variant(value: &Value, cases: &[Case]) -> Result<Val, Misfit> {
    let find = |name: &str| {
        cases.iter().find(|c| c.name == name || snake(&c.name) == name).ok_or_else(|| {
            let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
            Misfit::value_error(format!("'{name}' is not one of {}", listed(&names)))
        })
    };
    match value {
        Value::Text(text) => {
            let case = find(text)?;
            if case.shape.is_some() {
                return Err(Misfit::value_error(format!("case '{text}' needs a value")));
            }
            Ok(Val::Variant(case.name.clone(), None))
        }
        Value::Map(map) if map.len() == 1 => {
            let Some((name, payload)) = map.first() else { unreachable!("one entry was counted") };
            let case = find(name)?;
            match (&case.shape, payload) {
                (Some(shape), payload) => {
                    let val = lower(payload, shape).map_err(|m| m.at(&format!(".{name}")))?;
                    Ok(Val::Variant(case.name.clone(), Some(Box::new(val))))
                }
                (None, Value::Null) => Ok(Val::Variant(case.name.clone(), None)),
                (None, _) => Err(Misfit::value_error(format!("case '{name}' takes no value"))),
            }
        }
        Value::Map(map) => Err(Misfit::value_error(format!(
            "expected one key that names a case, got {} keys",
            map.len()
        ))),
        _ => Err(Misfit::type_error("str or dict", value)),
    }
}

fn flags(value: &Value, names: &[String]) -> Result<Val, Misfit> {
    let Value::List(items) = value else { return Err(Misfit::type_error("list", value)) };
    let mut set: Vec<String> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let Value::Text(text) = item else {
            return Err(Misfit::type_error("str", item).at(&format!("[{i}]")));
        };
        let name = one_of(text, names).map_err(|m| m.at(&format!("[{i}]")))?;
        if !set.contains(&name) {
            set.push(name);
        }
    }
    Ok(Val::Flags(set))
}

fn result(value: &Value, ok: Option<&Shape>, err: Option<&Shape>) -> Result<Val, Misfit> {
    let side = |name: &str, payload: &Value, shape: Option<&Shape>| match (shape, payload) {
        (Some(shape), payload) => lower(payload, shape)
            .map(|val| Some(Box::new(val)))
            .map_err(|m| m.at(&format!(".{name}"))),
        (None, Value::Null) => Ok(None),
        (None, _) => Err(Misfit::value_error(format!("'{name}' takes no value"))),
    };
    let Value::Map(map) = value else { return Err(Misfit::type_error("dict", value)) };
    match (map.len(), map.get("ok"), map.get("err")) {
        (1, Some(payload), _) => Ok(Val::Result(Ok(side("ok", payload, ok)?))),
        (1, _, Some(payload)) => Ok(Val::Result(Err(side("err", payload, err)?))),
        _ => Err(Misfit::value_error("expected one key, 'ok' or 'err'".to_owned())),
    }
}

fn one_of(text: &str, names: &[String]) -> Result<String, Misfit> {
    names.iter().find(|n| *n == text || snake(n) == text).cloned().ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Misfit::value_error(format!("'{text}' is not one of {}", listed(&names)))
    })
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    quoted.join(", ")
}

/// `make-thumb` as `make_thumb`.
pub(crate) fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// Why a value that a guest gave is no result.
#[derive(Debug, PartialEq)]
pub(crate) enum Bad {
    /// Text of type `json` that is not JSON.
    Json(String),
    /// The value has another type than the component said. Cannot happen unless a cache lies.
    Shape,
}

/// Turns what a function of this shape gave into a value.
pub(crate) fn lift(val: Val, shape: &Shape) -> Result<Value, Bad> {
    Ok(match (val, shape) {
        (Val::Bool(b), _) => Value::Bool(b),
        (Val::S8(n), _) => Value::Int(n.into()),
        (Val::U8(n), _) => Value::Int(n.into()),
        (Val::S16(n), _) => Value::Int(n.into()),
        (Val::U16(n), _) => Value::Int(n.into()),
        (Val::S32(n), _) => Value::Int(n.into()),
        (Val::U32(n), _) => Value::Int(n.into()),
        (Val::S64(n), _) => Value::Int(n),
        (Val::U64(n), _) => match i64::try_from(n) {
            Ok(n) => Value::Int(n),
            Err(_) => Value::Big(n.to_string()),
        },
        (Val::Float32(f), _) => Value::Float(f.into()),
        (Val::Float64(f), _) => Value::Float(f),
        (Val::Char(c), _) => Value::Text(c.to_string()),
        (Val::String(text), Shape::Json) => json(&text)?,
        (Val::String(text), _) => Value::Text(text),
        (Val::List(items), Shape::Bytes) => {
            let byte = |val| if let Val::U8(n) = val { Ok(n) } else { Err(Bad::Shape) };
            Value::Bytes(items.into_iter().map(byte).collect::<Result<_, _>>()?)
        }
        (
            Val::List(items) | Val::FixedLengthList(items),
            Shape::List(s) | Shape::FixedList(s, _),
        ) => Value::List(items.into_iter().map(|v| lift(v, s)).collect::<Result<_, _>>()?),
        (Val::Tuple(items), Shape::Tuple(shapes)) => Value::List(
            items.into_iter().zip(shapes).map(|(v, s)| lift(v, s)).collect::<Result<_, _>>()?,
        ),
        (Val::Record(vals), Shape::Record(fields)) => {
            let mut map = Map::with_capacity(fields.len());
            for ((_, val), field) in vals.into_iter().zip(fields) {
                map.insert(field.key.clone(), lift(val, &field.shape)?);
            }
            Value::Map(map)
        }
        (Val::Variant(name, payload), Shape::Variant(cases)) => {
            let case = cases.iter().find(|c| c.name == name).ok_or(Bad::Shape)?;
            match (payload, &case.shape) {
                (Some(val), Some(shape)) => single_key(name, lift(*val, shape)?),
                (None, None) => Value::Text(name),
                _ => return Err(Bad::Shape),
            }
        }
        (Val::Enum(name), _) => Value::Text(name),
        (Val::Flags(names), _) => Value::List(names.into_iter().map(Value::Text).collect()),
        (Val::Option(None), _) => Value::Null,
        (Val::Option(Some(val)), Shape::Option(inner)) => lift(*val, inner)?,
        (Val::Result(Ok(val)), Shape::Result(shape, _)) => {
            single_key("ok".to_owned(), lift_side(val, shape.as_deref())?)
        }
        (Val::Result(Err(val)), Shape::Result(_, shape)) => {
            single_key("err".to_owned(), lift_side(val, shape.as_deref())?)
        }
        _ => return Err(Bad::Shape),
    })
}

/// One side of a `result`; null where there is no payload.
pub(crate) fn lift_side(val: Option<Box<Val>>, shape: Option<&Shape>) -> Result<Value, Bad> {
    match (val, shape) {
        (Some(val), Some(shape)) => lift(*val, shape),
        (None, _) => Ok(Value::Null),
        (Some(_), None) => Err(Bad::Shape),
    }
}

/// Parses text of type `json` strictly.
pub(crate) fn json(text: &str) -> Result<Value, Bad> {
    Value::from_json(text.as_bytes()).map_err(|e| Bad::Json(format!("{} at byte {}", e.what, e.at)))
}

fn single_key(name: String, value: Value) -> Value {
    Value::Map(Map::from_iter([(name, value)]))
}
