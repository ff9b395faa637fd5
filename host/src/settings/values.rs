//! Single values as people write them. Pure; each refusal says what would be right.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use umbel_protocol::body::{Compression, Serializer};

use super::units;
use super::{LogFormat, LogLevel};
use crate::hardening::Mode;

/// Words with commas between; each once.
pub(super) fn list(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}

/// `name=value` with commas between.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{word}` is not of the form `name=queue`")),
    };
    list(text).into_iter().map(pair).collect()
}

/// An address and a port; without an address all of this machine.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let full = match text.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    let wrong = |_| format!("`{text}` is no address to listen on; write 127.0.0.1:9808 or :9808");
    full.parse().map_err(wrong)
}

/// What `word` stands for is `None`; anything else is read.
pub(super) fn unless<T>(
    word: &str,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text == word { Ok(None) } else { read(text).map(Some) }
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// A whole number that may be large.
pub(super) fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// A whole number from one to the most there may be.
pub(super) fn up_to(text: &str, most: u32) -> Result<u32, String> {
    match text.replace('_', "").parse::<u32>() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1 to {most}")),
    }
}

/// Bytes of stack: enough for a language's start, and not what would use up the address space.
pub(super) fn stack(text: &str) -> Result<u64, String> {
    match units::size(text)? {
        bytes @ 0x1_0000..=0x400_0000 => Ok(bytes),
        _ => Err(format!("`{text}` is not a size from 64KiB to 64MiB")),
    }
}

/// How much the process gives up.
pub(super) fn hardening(text: &str) -> Result<Mode, String> {
    match text {
        "off" => Ok(Mode::Off),
        "auto" => Ok(Mode::Auto),
        "require" => Ok(Mode::Require),
        other => Err(format!("`{other}` is none of off, auto, require")),
    }
}

/// CPU time to compile in; the system counts whole seconds.
pub(super) fn compile_time(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    let longest = Duration::from_secs(24 * 3600);
    match time.subsec_nanos() == 0 && !time.is_zero() && time <= longest {
        true => Ok(time),
        false => Err(format!("`{text}` is not a number of whole seconds up to a day")),
    }
}

/// Address space to compile in.
pub(super) fn compile_memory(text: &str) -> Result<u64, String> {
    match units::size(text)? {
        size if size < 128 << 20 => Err(format!("`{text}` is less than a compiler needs: 128MiB")),
        size => Ok(size),
    }
}

/// The SHA-256 of a file.
pub(super) fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not a SHA-256: write its 64 hexadecimal digits")),
    }
}

/// The highest priority of a queue.
pub(super) fn priority(text: &str) -> Result<u8, String> {
    match text.parse::<u8>() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1 to 255")),
    }
}

/// How long a leader may be silent; it has to be heard three times within.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if time < Duration::from_millis(300) => {
            Err(format!("`{text}` is too short to be renewed in time: at least 300ms"))
        }
        time => Ok(time),
    }
}

/// How long results are kept; `None` is for good, as with Celery's zero.
pub(super) fn expiry(text: &str) -> Result<Option<Duration>, String> {
    let time = unless("never", text, units::duration)?;
    Ok(time.filter(|time| !time.is_zero()))
}

/// Serializers that can be opened.
pub(super) fn accepted(text: &str) -> Result<Vec<Serializer>, String> {
    let accepted = list(text).iter().map(|name| serializer(name)).collect::<Result<Vec<_>, _>>()?;
    if accepted.is_empty() { Err("names no serializer".into()) } else { Ok(accepted) }
}

/// A serializer by Celery's name or its content type.
pub(crate) fn serializer(text: &str) -> Result<Serializer, String> {
    Serializer::named(text).ok_or_else(|| match text {
        "pickle" => "`pickle` runs code of whoever wrote it: use json, msgpack or yaml".to_owned(),
        other => format!("`{other}` is none of json, msgpack, yaml"),
    })
}

/// A compression by one of Celery's names; no name is none.
pub(crate) fn compression(text: &str) -> Result<Option<Compression>, String> {
    match text {
        "" | "none" => Ok(None),
        name => match Compression::named(name) {
            Some(compression) => Ok(Some(compression)),
            None => Err(format!("`{name}` is none of gzip, bzip2, lzma, brotli, zstd")),
        },
    }
}

/// Tasks at once.
pub(super) fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1 to 10000")),
    }
}

/// Whether messages of unknown tasks are kept.
pub(super) fn unknown(text: &str) -> Result<bool, String> {
    match text {
        "reject" => Ok(false),
        "park" => Ok(true),
        other => Err(format!("`{other}` is neither `reject` nor `park`")),
    }
}

/// Messages that wait here for their time.
pub(super) fn hold_limit(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number @ ..=1_000_000) => Ok(number),
        _ => Err(format!("`{text}` is not a whole number up to 1000000")),
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

/// A positive whole number or `off`.
pub(super) fn amount<N: FromStr + Default + PartialOrd>(text: &str) -> Result<Option<N>, String> {
    unless("off", text, |number| match number.replace('_', "").parse::<N>() {
        Ok(number) if number > N::default() => Ok(number),
        _ => Err(format!("`{text}` is neither a positive whole number nor `off`")),
    })
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
