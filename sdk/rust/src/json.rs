//! Rust values to and from the text of a `json` parameter or result.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{Error, Json};

pub use serde_json::Value;
pub use serde_json::value::RawValue;

/// Reads a `json` parameter; text that does not fit is a failure of kind `ValueError`.
pub fn from<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::failed("ValueError", error.to_string()))
}

/// Writes a `json` result; a value that has no JSON form (a map with keys that are not text) is a
/// failure of kind `TypeError`.
pub fn to<T: Serialize + ?Sized>(value: &T) -> Result<Json, Error> {
    serde_json::to_string(value).map_err(|error| Error::failed("TypeError", error.to_string()))
}

/// Looks at text as JSON without taking it apart, to pass it on as it is.
pub fn raw(text: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(text).map_err(|error| Error::failed("ValueError", error.to_string()))
}
