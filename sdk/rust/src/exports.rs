//! What the code that `#[umbel::tasks]` writes calls; not for anybody else.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, json};

/// Reads a parameter: its name says where a misfit is.
pub fn read<T: DeserializeOwned>(parameter: &str, text: &str) -> Result<T, Error> {
    json::from(text)
        .map_err(|error| Error::failed("ValueError", format!("{parameter}: {}", error.message())))
}

/// Writes a result.
pub fn write<T: Serialize>(value: T) -> Result<String, Error> {
    json::to(&value)
}

/// Ends a task that has no other way to say what is wrong.
pub fn fatal<T>(error: Error) -> T {
    panic!("{}", error.message())
}

/// Compiles if a parameter of this type can be read.
pub fn readable<T: DeserializeOwned>() {}

/// Compiles if a result of this type can be written.
pub fn writable<T: Serialize>() {}

/// What a task can end with: an [`Error`], or whatever becomes one because it can be shown.
#[diagnostic::on_unimplemented(
    message = "a task cannot fail with `{Self}`, which nobody could read",
    label = "help: implement `std::fmt::Display` for it, or derive `umbel::Type`"
)]
pub trait Ending: Into<Error> {}

impl Ending for Error {}
impl<E: Display + 'static> Ending for E {}

/// Compiles if a task can end with this error.
pub fn ending<E: Ending>() {}
