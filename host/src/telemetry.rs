//! The log: Celery's line format or JSON, Celery's level names.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::fault::{no_colour, redact};
use crate::settings::{LogFormat, LogLevel};

/// Starts logging to stderr. Once per process.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let ours = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Critical => LevelFilter::OFF,
    };
    // Libraries speak up only when something is wrong, and never louder than we may.
    let others = ours.min(LevelFilter::WARN);
    let filter = Targets::new()
        .with_default(others)
        .with_target("umbel", ours)
        // Which message a line is about. Lines of text say it in their own words.
        .with_target(
            "umbel::message",
            match format {
                LogFormat::Text => LevelFilter::OFF,
                LogFormat::Json => LevelFilter::ERROR,
            },
        )
        // It tells of every lost connection as an error; the transport tells of it once, with what follows.
        .with_target("lapin", LevelFilter::OFF);
    let colour = std::io::stderr().is_terminal() && !no_colour();
    let layer = tracing_subscriber::fmt::layer().with_writer(Stderr).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start would be a mistake of ours, and harmless.
    let _ = match format {
        LogFormat::Text => registry.with(layer.event_format(CeleryLines { colour })).try_init(),
        LogFormat::Json => {
            let layer = layer.fmt_fields(JsonFields::new());
            registry.with(layer.event_format(JsonLines)).try_init()
        }
    };
}

/// Standard error, one write a line.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = std::io::Stderr;

    fn make_writer(&'a self) -> Self::Writer {
        std::io::stderr()
    }
}

/// `[2026-01-01 00:00:00,000: INFO/MainProcess] …`
struct CeleryLines {
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for CeleryLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let (on, off) = match (self.colour, level) {
            (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
            (true, Level::DEBUG | Level::TRACE) => ("\x1b[2m", "\x1b[0m"),
            _ => ("", ""),
        };
        let message = safe(&fields.message);
        write!(writer, "{on}[{}: {}/MainProcess] {message}", now(), name(level))?;
        for (key, value) in &fields.others {
            write!(writer, " {key}={}", safe(value))?;
        }
        writeln!(writer, "{off}")
    }
}

/// One JSON object a line, with `task`, `id` and `plugin` where it is about a message.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = serde_json::Map::new();
        let instant = Zoned::now().timestamp().to_string();
        line.insert("time".into(), instant.into());
        line.insert("level".into(), name(*event.metadata().level()).into());
        line.insert("message".into(), safe(&fields.message).into());
        for (key, value) in about::<S, N>(context) {
            line.entry(key).or_insert_with(|| safe(&value).into());
        }
        for (key, value) in &fields.others {
            let value = safe(value);
            match line.get(*key) {
                None => drop(line.insert((*key).to_owned(), value.into())),
                // A message that is about to be sent on behalf of another one, for example.
                Some(other) if *other != *value => {
                    line.entry(format!("other_{key}")).or_insert_with(|| value.into());
                }
                Some(_) => {}
            }
        }
        writeln!(writer, "{}", serde_json::Value::Object(line))
    }
}

/// What the spans around a line say.
fn about<S, N>(context: &FmtContext<'_, S, N>) -> Vec<(String, String)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut said = Vec::new();
    for span in context.event_scope().into_iter().flatten() {
        let extensions = span.extensions();
        let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
        let fields = serde_json::from_str::<serde_json::Map<_, _>>(fields);
        for (key, value) in fields.unwrap_or_default() {
            match value {
                serde_json::Value::String(text) => said.push((key, text)),
                other => said.push((key, other.to_string())),
            }
        }
    }
    said
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // Writing to a String cannot fail.
            "message" => drop(write!(self.message, "{value:?}")),
            // How `log` records arrive; of no use to operators.
            name if name.starts_with("log.") => {}
            name => self.others.push((name, format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name if name.starts_with("log.") => {}
            name => self.others.push((name, value.to_owned())),
        }
    }
}

/// Without passwords and without what would steer a terminal: results and guests' texts pass here.
fn safe(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.contains("://") {
        text = redact(&text).into();
    }
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        text = text.replace(steers, "\u{fffd}").into();
    }
    text
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Local time as Python's logging writes it.
fn now() -> impl fmt::Display {
    let now = Zoned::now();
    let (date, time) = (now.date(), now.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02},{:03}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_neither_passwords_nor_escapes() {
        assert_eq!(
            safe("amqp://u:p@h \x1b[31mred\r\n\ttab"),
            "amqp://u:**@h \u{fffd}[31mred\u{fffd}\n\ttab"
        );
        assert!(matches!(safe("plain\ntext"), Cow::Borrowed(_)));
    }
}
