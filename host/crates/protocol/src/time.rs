//! Instants in the dialects Python writes (PROTOCOL 1.4).

use jiff::civil::DateTime;
use jiff::tz::Offset;

/// An instant, and the text it came as.
#[derive(Clone, Debug, PartialEq)]
pub struct Timestamp {
    pub at: jiff::Timestamp,
    /// As the sender wrote it; sent on unchanged.
    pub text: String,
}

impl Timestamp {
    /// ISO 8601 with `T` or space, optional fraction, `Z` or `±HH:MM`; without an offset it is UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let parts = Parts::parse(text)?;
        let at = parts.offset.unwrap_or(Offset::UTC).to_timestamp(parts.civil).ok()?;
        Some(Timestamp { at, text: text.to_owned() })
    }

    /// As Python's `datetime.isoformat()` writes a UTC instant: microseconds, absent when zero,
    /// `+00:00`. What is finer than a microsecond is dropped.
    pub fn new(at: jiff::Timestamp) -> Timestamp {
        let micros = at.as_microsecond();
        let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(at);
        Timestamp { at, text: isoformat(at) }
    }
}

/// A UTC instant as Python's `datetime.isoformat()` writes it; `date_done` of results is such a text.
pub fn isoformat(at: jiff::Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(at);
    let (date, time) = (civil.date(), civil.time());
    let micros = time.subsec_nanosecond() / 1000;
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}+00:00",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}

/// Seconds since the epoch, as Python's `time.time()` gives them.
pub fn epoch(at: jiff::Timestamp) -> f64 {
    at.as_second() as f64 + f64::from(at.subsec_nanosecond()) / 1e9
}

/// An ISO 8601 text taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) civil: DateTime,
    /// Absent in naive times.
    pub(crate) offset: Option<Offset>,
}

impl Parts {
    pub(crate) fn parse(text: &str) -> Option<Parts> {
        let mut scan = Scan(text.as_bytes());
        let date = scan.date()?;
        if scan.0.is_empty() {
            return Some(Parts {
                civil: date.to_datetime(jiff::civil::Time::midnight()),
                offset: None,
            });
        }
        let _separator = scan.take(|byte| matches!(byte, b'T' | b't' | b' '))?;
        let (time, offset) = scan.time()?;
        Some(Parts { civil: date.to_datetime(time), offset })
    }

    /// A time of day without its date.
    pub(crate) fn parse_time(text: &str) -> Option<Parts> {
        let (time, offset) = Scan(text.as_bytes()).time()?;
        Some(Parts { civil: jiff::civil::date(1970, 1, 1).to_datetime(time), offset })
    }
}

struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn take(&mut self, fits: impl Fn(u8) -> bool) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        fits(first).then(|| self.0 = rest)?;
        Some(first)
    }

    fn digits(&mut self, count: usize) -> Option<i16> {
        (0..count).try_fold(0, |number, _| {
            Some(number * 10 + i16::from(self.take(|byte| byte.is_ascii_digit())? - b'0'))
        })
    }

    fn two(&mut self) -> Option<i8> {
        self.digits(2).map(|number| number as i8) // at most 99
    }

    fn date(&mut self) -> Option<jiff::civil::Date> {
        let year = self.digits(4)?;
        self.take(|byte| byte == b'-')?;
        let month = self.two()?;
        self.take(|byte| byte == b'-')?;
        jiff::civil::Date::new(year, month, self.two()?).ok()
    }

    /// Time of day and offset, to the end of the text.
    fn time(&mut self) -> Option<(jiff::civil::Time, Option<Offset>)> {
        let hour = self.two()?;
        self.take(|byte| byte == b':')?;
        let minute = self.two()?;
        let (mut second, mut nanos) = (0, 0);
        if self.take(|byte| byte == b':').is_some() {
            second = self.two()?;
            if self.take(|byte| matches!(byte, b'.' | b',')).is_some() {
                nanos = self.fraction()?;
            }
        }
        let time = jiff::civil::Time::new(hour, minute, second, nanos).ok()?;
        let offset = self.offset()?;
        self.0.is_empty().then_some((time, offset))
    }

    /// Nanoseconds, whatever the number of digits; Python keeps six.
    fn fraction(&mut self) -> Option<i32> {
        let mut scale = 100_000_000;
        let mut nanos = i32::from(self.take(|byte| byte.is_ascii_digit())? - b'0') * scale;
        while let Some(digit) = self.take(|byte| byte.is_ascii_digit()) {
            scale /= 10;
            if scale >= 1000 {
                nanos += i32::from(digit - b'0') * scale;
            }
        }
        Some(nanos)
    }

    /// `Some(None)` for a naive time.
    fn offset(&mut self) -> Option<Option<Offset>> {
        let sign = match self.take(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')) {
            None => return Some(None),
            Some(b'Z' | b'z') => return Some(Some(Offset::UTC)),
            Some(b'-') => -1,
            Some(_) => 1,
        };
        let mut seconds = i32::from(self.two()?) * 3600;
        if !self.0.is_empty() {
            let _colon = self.take(|byte| byte == b':');
            seconds += i32::from(self.two()?) * 60;
        }
        if self.take(|byte| byte == b':').is_some() {
            seconds += i32::from(self.two()?);
        }
        let less_than_a_day = (seconds < 86_400).then_some(sign * seconds)?; // as in Python
        Offset::from_seconds(less_than_a_day).ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: i64, nanos: i32) {
        let expected = jiff::Timestamp::new(seconds, nanos).unwrap();
        let parsed = Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((parsed.at, parsed.text.as_str()), (expected, text));
    }

    #[test]
    fn every_dialect_is_read() {
        check("2030-01-02T03:04:05.678901+00:00", 1_893_553_445, 678_901_000);
        check("2030-01-02T03:04:05+00:00", 1_893_553_445, 0);
        check("2030-01-02T03:04:05Z", 1_893_553_445, 0);
        check("2030-01-02 05:04:05+02:00", 1_893_553_445, 0);
        check("2030-01-02T01:34:05-0130", 1_893_553_445, 0);
        check("2030-01-02T04:04:05+01", 1_893_553_445, 0);
        check("2030-01-02T03:04:05", 1_893_553_445, 0);
        check("2030-01-02T03:04", 1_893_553_440, 0);
        check("2030-01-02T03:04:05.5", 1_893_553_445, 500_000_000);
        check("2030-01-02T03:04:05.1234567891234", 1_893_553_445, 123_456_000);
        check("2030-01-02", 1_893_542_400, 0);
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "5",
            "tomorrow",
            "2030-13-01",
            "2030-02-30T00:00:00",
            "2030-01-02T25:00:00",
            "2030-01-02T03:04:05+",
            "2030-01-02T03:04:05.",
            "2030-01-02T03:04:05 x",
            "2030-01-02T03:04:05+99:00",
            "2030-01-02T03:04:05-24:00",
            "٢030-01-02",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_written_as_python_does() {
        for (seconds, nanos, text) in [
            (1_893_553_445, 678_901_234, "2030-01-02T03:04:05.678901+00:00"),
            (1_893_553_445, 1_000, "2030-01-02T03:04:05.000001+00:00"),
            (1_893_553_445, 999, "2030-01-02T03:04:05+00:00"),
        ] {
            let written = Timestamp::new(jiff::Timestamp::new(seconds, nanos).unwrap());
            assert_eq!(written.text, text);
            assert_eq!(Timestamp::parse(text), Some(written));
        }
    }
}
