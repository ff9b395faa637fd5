//! The values that Celery's messages carry: JSON, and what kombu's type tags add to it.
//! Shared by both worlds; knows neither messages nor components.

mod access;
mod budget;
pub mod json;
pub mod msgpack;

pub use budget::{Budget, Exceeded, MAX_COPIES, MAX_DEPTH, MAX_WEIGHT};
pub use json::JsonError;

/// An object; keeps the order of its keys.
pub type Map = indexmap::IndexMap<String, Value>;

/// Anything a Celery serializer can carry.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// An integer outside `i64`: its decimal digits with an optional leading `-`, no leading zeros.
    Big(String),
    /// May be NaN or infinite, as in Python's JSON.
    Float(f64),
    Text(String),
    /// kombu's `bytes` and `base64` tags, msgpack's `bin`.
    Bytes(Vec<u8>),
    /// kombu's `datetime`, `date`, `time`, `decimal` and `uuid` tags.
    Tagged(Tag, String),
    List(Vec<Value>),
    Map(Map),
}

/// Which of kombu's textual tags a value carries. A UUID's text has its dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Datetime,
    Date,
    Time,
    Decimal,
    Uuid,
}

impl Tag {
    /// The word in `__type__`.
    pub fn as_str(self) -> &'static str {
        match self {
            Tag::Datetime => "datetime",
            Tag::Date => "date",
            Tag::Time => "time",
            Tag::Decimal => "decimal",
            Tag::Uuid => "uuid",
        }
    }
}
