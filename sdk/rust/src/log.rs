//! Lines in the worker's log, marked there with the task's name and id.

use crate::bindings::umbel::task::log as host;

pub use host::Level;

/// Writes one line with details; `fields` is a JSON object, or empty for none.
pub fn write(level: Level, message: &str, fields: &str) {
    host::write(level, message, fields);
}

/// Writes a line for whoever looks for a fault.
pub fn debug(message: &str) {
    write(Level::Debug, message, "");
}

/// Writes a line about the normal course.
pub fn info(message: &str) {
    write(Level::Info, message, "");
}

/// Writes a line about something given up.
pub fn warning(message: &str) {
    write(Level::Warning, message, "");
}

/// Writes a line about something that somebody must look at.
pub fn error(message: &str) {
    write(Level::Error, message, "");
}
