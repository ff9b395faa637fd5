//! Values as Python shows them, cut to a length: `argsrepr`, results in logs and events (PROTOCOL 1.8).

use std::fmt::Write as _;

use jiff::tz::Offset;
use umbel_value::json::write_float;
use umbel_value::{Map, Tag, Value};

use crate::time::Parts;

/// Characters after which the rest is left out.
pub const MAX_LENGTH: usize = 1024;

/// Containers nested deeper are not opened.
pub const MAX_LEVELS: usize = 3;

/// Any value, cut as Celery cuts it.
pub fn repr(value: &Value) -> String {
    let mut writer = Writer::new();
    writer.value(value, 0);
    writer.out
}

/// Positional arguments: a tuple.
pub fn args(args: &[Value]) -> String {
    let mut writer = Writer::new();
    writer.sequence(args, Brackets::Tuple, 0);
    writer.out
}

/// Keyword arguments: a dict.
pub fn kwargs(kwargs: &Map) -> String {
    let mut writer = Writer::new();
    writer.dict(kwargs, 0);
    writer.out
}

/// A text as Python's `repr` quotes and escapes it, whole.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if character.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(character)); // a String takes all
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}

#[derive(Clone, Copy)]
enum Brackets {
    List,
    Tuple,
}

/// Writes piece by piece until the length is used up; from then on only what is open is closed.
struct Writer {
    out: String,
    /// Characters left; the last piece may overdraw.
    left: isize,
    /// The mark of what is left out was written.
    full: bool,
}

impl Writer {
    fn new() -> Self {
        Self { out: String::new(), left: MAX_LENGTH as isize, full: false }
    }

    /// Whether another piece may be written. Marks the first that may not.
    fn open(&mut self) -> bool {
        if self.full {
            return false;
        }
        if self.left <= 0 {
            self.full = true;
            self.out.push_str(", ...");
        }
        !self.full
    }

    /// A piece that is never cut in itself.
    fn whole(&mut self, text: &str) -> bool {
        let open = self.open();
        if open {
            self.out.push_str(text);
            self.left -= text.chars().count() as isize;
        }
        open
    }

    /// A piece that is cut at the last space before the limit.
    fn cut(&mut self, text: &str, quote: bool) {
        if !self.open() {
            return;
        }
        let limit = self.left as usize; // positive: `open` said so
        let (shown, dots) = truncate(text, limit);
        let before = self.out.len();
        if quote {
            self.out.push('\'');
            self.out.push_str(&shown.replace('\'', "\\'"));
        } else {
            self.out.push_str(shown);
        }
        self.out.push_str(dots);
        if quote {
            self.out.push('\'');
        }
        self.left -= self.out[before..].chars().count() as isize;
    }

    /// Closing brackets are always shown and, past the limit, not counted.
    fn close(&mut self, bracket: &str) {
        self.out.push_str(bracket);
        self.left -= bracket.len() as isize;
    }

    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Null => self.cut("None", false),
            Value::Bool(true) => self.cut("True", false),
            Value::Bool(false) => self.cut("False", false),
            Value::Int(number) => self.cut(&number.to_string(), false),
            Value::Big(digits) => self.cut(digits, false),
            Value::Float(number) => self.cut(&float(*number), false),
            Value::Text(text) => self.cut(text, true),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Tagged(tag, text) => self.cut(&tagged(*tag, text), false),
            Value::List(items) => self.sequence(items, Brackets::List, level),
            Value::Map(map) => self.dict(map, level),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if !self.open() {
            return;
        }
        let limit = self.left as usize; // positive: `open` said so
        let (shown, dots) =
            if bytes.len() > limit { (&bytes[..limit], "...") } else { (bytes, "") };
        let mut text = String::from("b'");
        match std::str::from_utf8(shown) {
            Ok(plain) => text.push_str(plain),
            Err(_) => {
                for byte in shown {
                    let _ = write!(text, "{byte:02x}"); // a String takes all
                }
            }
        }
        text.push_str(dots);
        text.push('\'');
        self.whole(&text);
    }

    fn sequence(&mut self, items: &[Value], brackets: Brackets, level: usize) {
        let (opening, closing) = match brackets {
            Brackets::List => ("[", "]"),
            Brackets::Tuple if items.len() == 1 => ("(", ",)"),
            Brackets::Tuple => ("(", ")"),
        };
        if level >= MAX_LEVELS {
            self.whole(&format!("{opening}...{closing}"));
            return;
        }
        if !self.whole(opening) {
            return;
        }
        for (index, item) in items.iter().enumerate() {
            if index > 0 && !self.whole(", ") {
                break;
            }
            self.value(item, level + 1);
        }
        self.close(closing);
    }

    fn dict(&mut self, map: &Map, level: usize) {
        if level >= MAX_LEVELS {
            self.whole("{...}");
            return;
        }
        if !self.whole("{") {
            return;
        }
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 && !self.whole(", ") {
                break;
            }
            self.cut(key, true);
            if !self.whole(": ") {
                break;
            }
            self.value(value, level + 1);
        }
        self.close("}");
    }
}

fn truncate(text: &str, limit: usize) -> (&str, &str) {
    // A text of exactly the limit is cut as well; that is Celery's way.
    if text.chars().nth(limit.saturating_sub(1)).is_none() {
        return (text, "");
    }
    let end = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    let shown = &text[..end];
    (shown.rsplit_once(' ').map_or(shown, |(words, _)| words), "...")
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let mut out = Vec::new();
    write_float(number, &mut out);
    String::from_utf8(out).expect("numbers are ASCII")
}

fn tagged(tag: Tag, text: &str) -> String {
    let parts = match tag {
        Tag::Decimal => return format!("Decimal('{text}')"),
        Tag::Uuid => return format!("UUID('{text}')"),
        Tag::Datetime | Tag::Date => Parts::parse(text),
        Tag::Time => Parts::parse_time(text),
    };
    let Some(Parts { civil, offset }) = parts else {
        return format!("datetime.{}({})", tag.as_str(), quoted(text));
    };
    let mut fields = Vec::new();
    if tag != Tag::Time {
        fields.extend([civil.year().to_string(), civil.month().to_string()]);
        fields.push(civil.day().to_string());
    }
    if tag != Tag::Date {
        fields.extend([civil.hour().to_string(), civil.minute().to_string()]);
        let micros = civil.subsec_nanosecond() / 1000;
        if civil.second() != 0 || micros != 0 {
            fields.push(civil.second().to_string());
        }
        if micros != 0 {
            fields.push(micros.to_string());
        }
    }
    if let Some(offset) = offset {
        fields.push(format!("tzinfo={}", zone(offset)));
    }
    format!("datetime.{}({})", tag.as_str(), fields.join(", "))
}

fn zone(offset: Offset) -> String {
    let seconds = offset.seconds();
    if seconds == 0 {
        return "datetime.timezone.utc".to_owned();
    }
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let days = if days == 0 { String::new() } else { format!("days={days}, ") };
    format!("datetime.timezone(datetime.timedelta({days}seconds={rest}))")
}
