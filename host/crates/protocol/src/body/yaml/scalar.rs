//! What a scalar means in YAML 1.1, as PyYAML resolves it. `1e3`, `0o17` and `y` are texts there.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::Tag;
use umbel_value::json::MAX_DIGITS;
use umbel_value::{Tag as Kind, Value};

use crate::time::Timestamp;

/// The value of a scalar; `plain` is one without quotes.
pub(super) fn resolve(text: Cow<'_, str>, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return match plain.then(|| implicit(&text)).flatten() {
            Some(value) => value,
            None => Ok(Value::Text(text.into_owned())),
        };
    };
    let name = core(tag)?;
    let value = match name {
        "str" => Some(Ok(Value::Text(text.into_owned()))),
        "null" => Some(Ok(Value::Null)),
        "bool" => truth(&text).map(Ok),
        "int" => integer(&text),
        "float" => float(&text).or_else(|| text.parse().ok()).map(|number| Ok(number.into())),
        "timestamp" => timestamp(&text),
        "binary" => return binary(&text),
        _ => return Err(unknown(tag)),
    };
    value.unwrap_or_else(|| Err(format!("a scalar that is no {name}")))
}

/// Refuses a list or an object of any other tag than its own.
pub(super) fn collection(tag: Option<&Tag>, own: &str) -> Result<(), String> {
    match tag {
        Some(tag) if core(tag)? != own => Err(unknown(tag)),
        _ => Ok(()),
    }
}

fn core(tag: &Tag) -> Result<&str, String> {
    if tag.is_yaml_core_schema() { Ok(&tag.suffix) } else { Err(unknown(tag)) }
}

fn unknown(tag: &Tag) -> String {
    format!("could not determine a constructor for the tag '{}{}'", tag.handle, tag.suffix)
}

/// What a text without quotes and tag stands for; `None` for itself.
fn implicit(text: &str) -> Option<Result<Value, String>> {
    let first = text.bytes().next().unwrap_or(b'~');
    match first {
        b'~' | b'n' | b'N' if matches!(text, "" | "~" | "null" | "Null" | "NULL") => {
            Some(Ok(Value::Null))
        }
        b'-' | b'+' | b'.' | b'0'..=b'9' => integer(text)
            .or_else(|| float(text).map(|number| Ok(number.into())))
            .or_else(|| timestamp(text)),
        _ => truth(text).map(Ok),
    }
}

fn truth(text: &str) -> Option<Value> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true.into()),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false.into())
        }
        _ => None,
    }
}

/// Binary, octal, decimal, hexadecimal or in sixties; `None` if it does not look like one.
fn integer(text: &str) -> Option<Result<Value, String>> {
    let (sign, digits) = signed(text);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, digits),
        [b'0'..=b'9', ..] => (10, digits),
        _ => return None,
    };
    if radix == 10 && digits.contains(':') {
        return sixties(digits).map(|number| number.map(|number| (sign * number).into()));
    }
    let fits = |digit: u8| digit == b'_' || char::from(digit).is_digit(radix);
    if digits.is_empty() || !digits.bytes().all(fits) {
        return None;
    }
    let digits = digits.replace('_', "");
    Some(match i128::from_str_radix(&digits, radix) {
        Ok(number) => Ok((sign * number).into()),
        Err(_) if radix == 10 && digits.len() <= MAX_DIGITS => {
            Ok(Value::Big(if sign < 0 { format!("-{digits}") } else { digits }))
        }
        Err(_) => Err("an integer that is too long".to_owned()),
    })
}

/// `190:20:30`, the way YAML 1.1 writes times and angles.
fn sixties(text: &str) -> Option<Result<i128, String>> {
    let mut parts = text.split(':');
    let first = parts.next()?.replace('_', "");
    if !are_digits(first.as_bytes(), 1, usize::MAX) {
        return None;
    }
    let mut sum: Option<i128> = first.parse().ok();
    for part in parts {
        let digit = number(part, 1, 2).filter(|digit| *digit < 60)?;
        sum = sum.and_then(|sum| sum.checked_mul(60)?.checked_add(digit.into()));
    }
    Some(sum.ok_or_else(|| "an integer that is too long".to_owned()))
}

/// A number with a dot; an exponent needs its sign.
fn float(text: &str) -> Option<f64> {
    let (sign, number) = signed(text);
    match number {
        ".inf" | ".Inf" | ".INF" => return Some(sign as f64 * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if number == text => return Some(f64::NAN),
        _ => {}
    }
    let (whole, rest) = number.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    if whole.contains(':') && digits(rest) {
        let fraction: f64 = format!("0.{}", rest.replace('_', "")).parse().ok()?;
        return Some(sign as f64 * (sixties(whole)?.ok()? as f64 + fraction));
    }
    let (fraction, exponent) = rest.split_at(rest.find(['e', 'E']).unwrap_or(rest.len()));
    // Without a digit in front of the dot there must be one behind it, and no sign.
    let leading = if whole.is_empty() && number == text { fraction } else { whole };
    let looks_like_one = leading.starts_with(|first: char| first.is_ascii_digit())
        && digits(whole)
        && digits(fraction)
        && (exponent.is_empty() || is_exponent(exponent));
    looks_like_one.then(|| text.replace('_', "").parse().ok()).flatten()
}

fn is_exponent(text: &str) -> bool {
    matches!(text.as_bytes(), [_, b'+' | b'-', digits @ ..] if are_digits(digits, 1, usize::MAX))
}

/// `2030-01-02`, or `2030-1-2 3:04:05.6 +01:00` and its like; `None` if it does not look like one.
pub(super) fn timestamp(text: &str) -> Option<Result<Value, String>> {
    let (date, time) = match text.split_once(['T', 't', ' ', '\t']) {
        Some((date, time)) => (date, Some(time.trim_start_matches([' ', '\t']))),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 4)?;
    let least = if time.is_some() { 1 } else { 2 };
    let (month, day) = (number(parts.next()?, least, 2)?, number(parts.next()?, least, 2)?);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let (tag, text) = match time {
        None => (Kind::Date, date),
        Some(time) => (Kind::Datetime, format!("{date}T{}", clock(time)?)),
    };
    Some(match Timestamp::parse(&text) {
        Some(_) => Ok(Value::Tagged(tag, text)),
        None => Err(format!("no such time as {text}")),
    })
}

/// Time of day and offset, as Python's `isoformat` writes them.
fn clock(text: &str) -> Option<String> {
    let (time, zone) = text.split_at(text.find(['Z', '+', '-', ' ', '\t']).unwrap_or(text.len()));
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.splitn(3, ':');
    let hour = number(parts.next()?, 1, 2)?;
    let (minute, second) = (number(parts.next()?, 2, 2)?, number(parts.next()?, 2, 2)?);
    if !are_digits(fraction.as_bytes(), 0, usize::MAX) {
        return None;
    }
    let micros = format!("{:0<6}", &fraction[..fraction.len().min(6)]);
    let fraction = if micros == "000000" { String::new() } else { format!(".{micros}") };
    let zone = offset(zone.trim_start_matches([' ', '\t']))?;
    Some(format!("{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn offset(text: &str) -> Option<String> {
    match text {
        "" => return Some(String::new()),
        "Z" => return Some("+00:00".to_owned()),
        _ => {}
    }
    let (sign, offset) = text.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let (hours, minutes) = (number(hours, 1, 2)?, number(minutes, 2, 2)?);
    matches!(sign, "+" | "-").then(|| format!("{sign}{hours:02}:{minutes:02}"))
}

fn number(text: &str, least: usize, most: usize) -> Option<u16> {
    are_digits(text.as_bytes(), least, most).then(|| text.parse().ok()).flatten()
}

fn are_digits(text: &[u8], least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

/// Base64 with line breaks in it.
fn binary(text: &str) -> Result<Value, String> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(text).map_err(|_| "failed to decode base64 data".to_owned())?;
    Ok(Value::Bytes(bytes))
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}
