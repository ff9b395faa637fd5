//! Values, endings and results as people and programs read them.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use umbel_protocol::record::{Exception, ResultRecord};
use umbel_value::Value;

use crate::fault::no_colour;
use crate::out;
use crate::settings::units::about_size;

/// Prints a value: text and bytes as they are, anything else as JSON; or writes it to a file.
pub(super) fn value(value: &Value, file: Option<&Path>) -> anyhow::Result<()> {
    if let Some(file) = file {
        let content = match value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Text(text) => text.clone().into_bytes(),
            other => other.to_json().into_bytes(),
        };
        return std::fs::write(file, content)
            .with_context(|| format!("cannot write {}", file.display()));
    }
    match value {
        Value::Bytes(bytes) if !std::io::stdout().is_terminal() => out::bytes(bytes)?,
        Value::Bytes(bytes) => {
            let size = about_size(bytes.len() as u64);
            out::line(&format!("{size} of bytes; write them to a file with -o FILE"))?;
        }
        Value::Text(text) => out::line(&printable(text))?,
        other => out::line(&other.to_json())?,
    }
    Ok(())
}

/// Keeps control characters of a task's text from reaching a terminal.
pub(super) fn printable(text: &str) -> String {
    if !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() && !"\n\t".contains(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Columns of rows, the first of which are their names. Nothing in it is wrapped.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> std::io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    for (at, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        let line = one_line(&cells.collect::<Vec<_>>().join("  "));
        out::line(&if at == 0 { painted(&line, "1") } else { line })?;
    }
    Ok(())
}

/// The text in a colour (as terminals count them), if standard output is a terminal that is to have
/// colours.
pub(super) fn painted(text: &str, colour: &str) -> String {
    match std::io::stdout().is_terminal() && !no_colour() {
        true => format!("\x1b[{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

/// The first so many characters; something in place of the others.
pub(super) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Local time, as the log writes it.
pub(super) fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Others wrote the text: it must neither steer a terminal nor look like two lines.
pub(super) fn one_line(text: &str) -> String {
    printable(&text.replace(['\n', '\r', '\t'], " ")).trim_end().to_owned()
}

/// A value of ours for a program's JSON.
pub(super) fn json(value: &Value) -> serde_json::Value {
    // Big integers and NaN are no JSON for everyone: they become text.
    serde_json::from_str(&value.to_json())
        .unwrap_or_else(|_| serde_json::Value::String(value.to_json()))
}

/// An exception as Python prints it: `ValueError: bad thing`.
pub(super) fn exception(exception: &Exception) -> String {
    let args = &exception.args;
    let message = match args.as_slice() {
        [] => return exception.kind.clone(),
        [Value::Text(text)] => text.clone(),
        [other] => other.to_json(),
        several => {
            let parts: Vec<String> = several.iter().map(Value::to_json).collect();
            format!("({})", parts.join(", "))
        }
    };
    format!("{}: {message}", exception.kind)
}

/// The error of a record that is no success, with its traceback.
pub(super) fn failure(record: &ResultRecord) -> String {
    let mut text = String::new();
    if let Some(traceback) = record.traceback.as_deref().filter(|text| !text.is_empty()) {
        text += traceback.trim_end();
        text += "\n";
    }
    text += &match Exception::from_value(&record.result) {
        Some(error) => exception(&error),
        None => format!("{}: {}", record.state.as_str(), record.result.to_json()),
    };
    text
}
