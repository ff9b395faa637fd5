//! Durations and sizes with units, read and shown. Pure.

use std::time::Duration;

use umbel_task::policy::Rate;

const DURATIONS: &[(&str, f64)] =
    &[("ms", 0.001), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

const SIZES: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// Longer waits than this are a slip of the keyboard.
const LONGEST: f64 = 10.0 * 365.0 * 86400.0;

/// Reads `250ms`, `25s`, `5m`, `1h30m`, `1.5s`. The error says what is missing.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty: write a number and a unit, for example `30s`".into());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, unit, tail) = split(rest);
        let number: f64 = number.parse().map_err(|_| not_a(text, "duration", "30s` or `1h30m"))?;
        if unit.is_empty() {
            return Err(format!(
                "`{text}` has no unit: write `{number}s`, `{number}m` or `{number}h`"
            ));
        }
        let factor = DURATIONS.iter().find(|(name, _)| *name == unit);
        let Some((_, factor)) = factor else {
            return Err(format!("`{unit}` is no unit of time: use ms, s, m, h or d"));
        };
        seconds += number * factor;
        rest = tail;
    }
    if seconds > LONGEST {
        return Err(format!("`{text}` is more than ten years"));
    }
    // Whole microseconds: what is shown reads back as the same.
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// A duration; a bare number is seconds, as where Celery's own flags and settings count them.
pub(crate) fn celerys_duration(text: &str) -> Result<Duration, String> {
    duration(&with_celerys_unit(text))
}

/// A bare number gets its `s`; other texts stay as they are.
pub(super) fn with_celerys_unit(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{text}s"),
        _ => text.to_owned(),
    }
}

/// Reads `64KiB`, `256MiB`, `1.5GB`, `512B`. The error says what is missing.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit, tail) = split(text.trim());
    let number: f64 = match number.parse() {
        Ok(number) if tail.is_empty() => number,
        _ => return Err(not_a(text, "size", "256MiB")),
    };
    if unit.is_empty() {
        return Err(format!(
            "`{text}` has no unit: write `{number}MiB`, `{number}KiB` or `{number}B`"
        ));
    }
    let lower = unit.to_ascii_lowercase();
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == lower) else {
        return Err(format!("`{unit}` is no unit of size: use B, KB, MB, GB, KiB, MiB or GiB"));
    };
    let bytes = number * *factor as f64;
    if bytes > (1u64 << 50) as f64 {
        return Err(format!("`{text}` is more than a pebibyte"));
    }
    Ok(bytes as u64)
}

const RATES: &[(&str, f64)] = &[("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads `10/s`, `100/m`, `0.5/h`, `7` (a second), as Celery does; `None` for `off` and zero.
pub(crate) fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" {
        return Ok(None);
    }
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = RATES.iter().find(|(name, _)| *name == unit.trim()).map(|(_, seconds)| seconds);
    let Some(seconds) = seconds else {
        return Err(format!("`{unit}` is no unit of a rate: write `n/s`, `n/m` or `n/h`"));
    };
    match number.trim().parse::<f64>() {
        Ok(0.0) => Ok(None),
        Ok(number) if number.is_finite() && number > 0.0 => {
            Ok(Some(Rate { per_second: number / seconds }))
        }
        _ => Err(format!("`{text}` is not a rate: write for example `10/s`, `100/m` or `off`")),
    }
}

/// In the first unit that makes it a whole number: `100/m`.
pub(crate) fn show_rate(rate: Rate) -> String {
    let in_unit = |seconds: f64| rate.per_second * seconds;
    let is_whole = |number: f64| number >= 0.5 && (number - number.round()).abs() < 1e-6;
    match RATES.iter().find(|(_, seconds)| is_whole(in_unit(*seconds))) {
        Some((unit, seconds)) => format!("{}/{unit}", in_unit(*seconds).round()),
        None => format!("{}/h", in_unit(3600.0)),
    }
}

/// The shortest spelling that reads back as the same: `5m`, `1h30m`, `1.5s`, `12ms`.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        return match duration.subsec_micros() {
            0 => format!("{seconds}s"),
            _ if seconds == 0 => format!("{}ms", duration.as_micros() as f64 / 1000.0),
            _ => format!("{}s", duration.as_micros() as f64 / 1e6),
        };
    }
    let mut text = String::new();
    for (unit, worth) in [("d", 86400), ("h", 3600), ("m", 60)] {
        let whole = match unit {
            "d" => seconds / worth,
            "h" => seconds % 86400 / worth,
            _ => seconds % 3600 / worth,
        };
        if whole > 0 {
            text += &format!("{whole}{unit}");
        }
    }
    let rest = Duration::new(seconds % 60, duration.subsec_nanos());
    if !rest.is_zero() {
        text += &show_duration(rest);
    }
    text
}

/// The largest binary unit that divides it: `256MiB`, `1536B`.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, worth) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(worth) {
            return format!("{}{unit}", bytes / worth);
        }
    }
    format!("{bytes}B")
}

/// For measured amounts: `3.4MiB`, `812B`.
pub(crate) fn about_size(bytes: u64) -> String {
    for (unit, worth) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= worth {
            return format!("{:.1}{unit}", bytes as f64 / worth as f64);
        }
    }
    format!("{bytes}B")
}

/// For measured times: `1.53s`, `12.4ms`, `85µs`.
pub(crate) fn about_duration(duration: Duration) -> String {
    let micros = duration.as_micros() as f64;
    match micros {
        m if m < 1000.0 => format!("{m}µs"),
        m if m < 1e6 => format!("{:.1}ms", m / 1000.0),
        m => format!("{:.2}s", m / 1e6),
    }
}

/// Splits `1.5GB…` into number, unit and what follows.
fn split(text: &str) -> (&str, &str, &str) {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(number);
    let rest = rest.trim_start();
    let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(unit);
    (number, unit.trim_end(), tail)
}

fn not_a(text: &str, what: &str, example: &str) -> String {
    format!("`{text}` is not a {what}: write a number and a unit, for example `{example}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, micros: u64) {
        assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
    }

    #[test]
    fn durations_carry_units() {
        check_duration("250ms", 250_000);
        check_duration("25s", 25_000_000);
        check_duration(" 5m ", 300_000_000);
        check_duration("5min", 300_000_000);
        check_duration("1h30m", 5_400_000_000);
        check_duration("1h 30m", 5_400_000_000);
        check_duration("2d", 172_800_000_000);
        check_duration("1.5s", 1_500_000);
        check_duration("0s", 0);
        check_duration("0.1ms", 100);
    }

    #[test]
    fn a_duration_without_its_unit_is_refused_with_a_proposal() {
        for (text, part) in [
            ("30", "write `30s`"),
            ("", "is empty"),
            ("fast", "not a duration"),
            ("5 parsecs", "`parsecs` is no unit of time"),
            ("-5s", "not a duration"),
            ("1.2.3s", "not a duration"),
            ("5m30", "has no unit"),
            ("99999d", "more than ten years"),
            ("5µ", "is no unit"),
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_carry_units() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65536),
            ("256MiB", 256 << 20),
            ("256 mib", 256 << 20),
            ("4MB", 4_000_000),
            ("1.5KiB", 1536),
            ("2GiB", 2 << 30),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("256", "write `256MiB`"),
            ("", "not a size"),
            ("MiB", "not a size"),
            ("256M", "`M` is no unit of size"),
            ("-1MiB", "not a size"),
            ("1MiB2", "not a size"),
            ("9999999GiB", "more than a pebibyte"),
        ] {
            let error = size(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn rates_are_celerys() {
        for (text, per_second, shown) in [
            ("10/s", 10.0, "10/s"),
            ("7", 7.0, "7/s"),
            ("100/m", 100.0 / 60.0, "100/m"),
            ("60/m", 1.0, "1/s"),
            ("5/h", 5.0 / 3600.0, "5/h"),
            ("0.5/m", 0.5 / 60.0, "30/h"),
            ("0.25/h", 0.25 / 3600.0, "0.25/h"),
        ] {
            let rate = rate(text).expect(text).expect(text);
            assert!((rate.per_second - per_second).abs() < 1e-12, "{text}: {rate:?}");
            assert_eq!(show_rate(rate), shown);
        }
        for text in ["off", "0", "0/m"] {
            assert_eq!(rate(text), Ok(None), "{text}");
        }
        for (text, part) in [
            ("10/d", "`d` is no unit of a rate"),
            ("fast", "`fast` is not a rate"),
            ("-1/s", "not a rate"),
            ("inf/s", "not a rate"),
            ("", "not a rate"),
        ] {
            let error = rate(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for (text, shown) in [
            ("300s", "5m"),
            ("25s", "25s"),
            ("90s", "1m30s"),
            ("5400s", "1h30m"),
            ("86400s", "1d"),
            ("1.5s", "1.5s"),
            ("12ms", "12ms"),
            ("0.25ms", "0.25ms"),
            ("61.5s", "1m1.5s"),
            ("0s", "0s"),
        ] {
            let read = duration(text).expect(text);
            assert_eq!(show_duration(read), shown);
            assert_eq!(duration(shown), Ok(read));
        }
        for (bytes, shown) in [(256 << 20, "256MiB"), (1536, "1536B"), (0, "0B"), (2 << 30, "2GiB")]
        {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(size(shown), Ok(bytes));
        }
    }
}
