//! Lines in the worker's log, marked there with the task's name and id.

use std::fmt::Display;

use serde::Serialize;

use crate::{Result, host, json};

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// About the normal course.
    Info,
    /// About something given up.
    Warning,
    /// About something that somebody must look at.
    Error,
}

/// Writes one line with details: a struct, a map, or anything else that is a JSON object.
pub fn write(
    level: Level,
    message: impl Display,
    fields: &(impl Serialize + ?Sized),
) -> Result<()> {
    host::log::write(level, &message.to_string(), &json::to(fields)?);
    Ok(())
}

/// Writes a line for whoever looks for a fault.
pub fn debug(message: impl Display) {
    line(Level::Debug, &message);
}

/// Writes a line about the normal course.
pub fn info(message: impl Display) {
    line(Level::Info, &message);
}

/// Writes a line about something given up.
pub fn warning(message: impl Display) {
    line(Level::Warning, &message);
}

/// Writes a line about something that somebody must look at.
pub fn error(message: impl Display) {
    line(Level::Error, &message);
}

fn line(level: Level, message: &dyn Display) {
    host::log::write(level, &message.to_string(), "");
}
