//! Values of any shape, and Rust types as JSON.
//!
//! NaN and the infinities, which Python writes into JSON and serde does not know, are refused with a
//! `ValueError`; a parameter of type `f64` takes them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

pub use serde_json::value::RawValue;
pub use serde_json::{Value, json};

/// A parameter or a result that is whatever serde makes of it: maps, types of other crates.
///
/// ```
/// #[umbel::tasks]
/// mod tasks {
///     use std::collections::BTreeMap;
///     use umbel::Json;
///
///     /// How often each word stands in a text.
///     pub fn count_words(text: &str) -> Json<BTreeMap<String, u32>> {
///         let mut counts = BTreeMap::new();
///         for word in text.split_whitespace() {
///             *counts.entry(word.to_string()).or_default() += 1;
///         }
///         Json(counts)
///     }
/// }
/// # fn main() { assert_eq!(tasks::count_words("a b a").0["a"], 2); }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

/// Reads JSON text; what does not fit is a failure of kind `ValueError`.
pub fn from<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::failed("ValueError", error.to_string()))
}

/// Writes JSON text; a value that has no JSON form (a map with keys that are not text) is a failure
/// of kind `TypeError`.
pub fn to<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::failed("TypeError", error.to_string()))
}

/// Looks at text as JSON without taking it apart, to pass it on as it is.
pub fn raw(text: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(text).map_err(|error| Error::failed("ValueError", error.to_string()))
}
