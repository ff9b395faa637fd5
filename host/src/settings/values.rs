//! Single values as people write them. Pure; each refusal says what would be right.

use std::time::Duration;

use super::units;
use super::{LogFormat, LogLevel};

/// Names with commas between; each once.
pub(super) fn queues(text: &str) -> Result<Vec<String>, String> {
    let mut queues: Vec<String> = Vec::new();
    for queue in text.split(',').map(str::trim).filter(|queue| !queue.is_empty()) {
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
    }
    if queues.is_empty() { Err("names no queue".into()) } else { Ok(queues) }
}

/// Tasks at once.
pub(super) fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1 to 10000")),
    }
}

/// Messages for each slot.
pub(super) fn multiplier(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(number @ 1..=1000) => Ok(number),
        Ok(0) => Err("0 (without end, for Celery) is not supported: name a number".into()),
        _ => Err(format!("`{text}` is not a whole number from 1 to 1000")),
    }
}

/// Celery's level names, in any case.
pub(super) fn level(text: &str) -> Result<LogLevel, String> {
    const LEVELS: &[(&str, LogLevel)] = &[
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warning", LogLevel::Warning),
        ("warn", LogLevel::Warning),
        ("error", LogLevel::Error),
        ("critical", LogLevel::Critical),
        ("fatal", LogLevel::Critical),
    ];
    let lower = text.to_ascii_lowercase();
    let found = LEVELS.iter().find(|(name, _)| *name == lower);
    found.map(|(_, level)| *level).ok_or_else(|| {
        format!("`{text}` is no level: use debug, info, warning, error, critical or fatal")
    })
}

/// `text` or `json`.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("`{other}` is neither `text` nor `json`")),
    }
}

/// A number or `off`.
pub(super) fn fuel(text: &str) -> Result<Option<u64>, String> {
    match text {
        "off" => Ok(None),
        number => match number.replace('_', "").parse::<u64>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("`{text}` is neither a positive number nor `off`")),
        },
    }
}

/// A limit of no time at all would stop every task.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        Duration::ZERO => Err(format!("`{text}` leaves no time at all")),
        time => Ok(time),
    }
}

/// `true`, `false`, and what people write in the environment.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        other => Err(format!("`{other}` is neither true nor false")),
    }
}
