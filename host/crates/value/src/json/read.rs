//! The parser: one pass over the bytes, no tree in between.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{JsonError, MAX_DIGITS, plain_until};
use crate::{Budget, Exceeded, Map, Tag, Value};

/// Reads JSON text piece by piece. Each method takes leading white space and leaves what follows.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    budget: Budget,
}

impl<'a> Reader<'a> {
    /// Refuses what is not UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| JsonError { what: "not UTF-8".to_owned(), at: error.valid_up_to() })?;
        Ok(Self { text, bytes, at: 0, budget: Budget::new() })
    }

    /// The first byte of the next piece, without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("extra data")),
        }
    }

    /// Any value, type tags resolved.
    pub fn value(&mut self) -> Result<Value, JsonError> {
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.text()?.into_owned())),
            Some(b'{') => self.map_or_tag(),
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(|reader| {
                    items.push(reader.value()?);
                    Ok(())
                })?;
                Ok(Value::List(items))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'N') => self.word("NaN", Value::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f64::INFINITY)),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Any value, checked like [`Reader::value`] and left in the text; gives where it stands there.
    /// Refuses type tags: only reading tells whether they are right.
    pub fn skip(&mut self) -> Result<Range<usize>, JsonError> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => drop(self.text()?),
            Some(b'{') => self.object(|reader, key| match &*key {
                "__type__" => Err(reader.error("a type tag")),
                _ => reader.skip().map(drop),
            })?,
            Some(b'[') => self.array(|reader| reader.skip().map(drop))?,
            _ => drop(self.value()?),
        }
        Ok(start..self.at)
    }

    /// An object; `each` gets every key and must take its value. Duplicate keys come as often as
    /// they are written.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'{', "expected an object")?;
        if self.peek() != Some(b'}') {
            loop {
                let key = match self.peek() {
                    Some(b'"') => self.text()?,
                    _ => return Err(self.error("expected a key in double quotes")),
                };
                if self.peek() != Some(b':') {
                    return Err(self.error("expected `:`"));
                }
                self.at += 1;
                self.spend(2)?;
                each(self, key)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.error("expected `,` or `}`")),
                }
            }
        }
        self.leave();
        Ok(())
    }

    /// An array; `each` must take one value.
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'[', "expected an array")?;
        if self.peek() != Some(b']') {
            loop {
                self.spend(1)?;
                each(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(self.error("expected `,` or `]`")),
                }
            }
        }
        self.leave();
        Ok(())
    }

    /// A string; borrowed when it holds no escapes.
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a string"));
        }
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut owned = String::with_capacity(self.at - start + 32);
        owned.push_str(&self.text[start..self.at]);
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => owned.push(self.escape()?),
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unterminated string")),
            }
            let start = self.at;
            self.skip_plain();
            owned.push_str(&self.text[start..self.at]);
        }
    }

    /// A complaint about the current position.
    pub fn error(&self, what: impl Into<String>) -> JsonError {
        JsonError { what: what.into(), at: self.at }
    }

    fn enter(&mut self, opening: u8, expected: &str) -> Result<(), JsonError> {
        if self.peek() != Some(opening) {
            return Err(self.error(expected));
        }
        self.budget.enter().map_err(|exceeded| self.exceeded(exceeded))?;
        self.at += 1;
        Ok(())
    }

    fn spend(&mut self, weight: usize) -> Result<(), JsonError> {
        self.budget.spend(weight).map_err(|exceeded| self.exceeded(exceeded))
    }

    #[cold]
    fn exceeded(&self, exceeded: Exceeded) -> JsonError {
        self.error(exceeded.to_string())
    }

    fn leave(&mut self) {
        self.budget.leave();
        self.at += 1;
    }

    fn map_or_tag(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let mut map = Map::new();
        self.object(|reader, key| {
            let value = reader.value()?;
            map.insert(key.into_owned(), value);
            Ok(())
        })?;
        let tagged =
            map.len() == 2 && map.contains_key("__type__") && map.contains_key("__value__");
        if !tagged {
            return Ok(Value::Map(map));
        }
        resolve(map).map_err(|what| JsonError { what, at: start })
    }

    /// Moves on to the next quote, backslash or control character.
    fn skip_plain(&mut self) {
        self.at = plain_until(self.bytes, self.at);
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 2;
        let plain = match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            Some(_) => return Err(JsonError { what: "unknown escape".to_owned(), at: start }),
            None => {
                return Err(JsonError { what: "unterminated string".to_owned(), at: start });
            }
        };
        Ok(plain)
    }

    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let unit = self.four_hex(start)?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let lone = JsonError {
            what: format!("lone surrogate `\\u{unit:04x}`, which no text can carry"),
            at: start,
        };
        if unit >= 0xdc00 || self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(lone);
        }
        self.at += 2;
        let low = self.four_hex(start)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(lone);
        }
        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        char::from_u32(code).ok_or(lone)
    }

    fn four_hex(&mut self, start: usize) -> Result<u32, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
        });
        self.at += 4;
        code.ok_or_else(|| JsonError { what: "bad `\\u` escape".to_owned(), at: start })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
            if self.bytes.get(self.at) == Some(&b'I') {
                return self.word("Infinity", Value::Float(f64::NEG_INFINITY));
            }
        }
        let count = if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            1
        } else {
            self.digits()
        };
        if count == 0 {
            return Err(self.error("expected a digit"));
        }
        if let Some(b'.' | b'e' | b'E') = self.bytes.get(self.at) {
            self.fraction()?;
            let text = &self.text[start..self.at];
            let number = text.parse().map_err(|_| self.error("not a number"))?;
            return Ok(Value::Float(number));
        }
        let text = &self.text[start..self.at];
        if let Ok(number) = text.parse() {
            return Ok(Value::Int(number));
        }
        if count > MAX_DIGITS {
            let what = format!("integer of more than {MAX_DIGITS} digits");
            return Err(JsonError { what, at: start });
        }
        Ok(Value::Big(text.to_owned()))
    }

    fn fraction(&mut self) -> Result<(), JsonError> {
        if self.bytes[self.at] == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.error("expected a digit"));
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.error("expected a digit"));
            }
        }
        Ok(())
    }
}

/// What an object of `__type__` and `__value__` stands for.
fn resolve(mut map: Map) -> Result<Value, String> {
    let value = map.swap_remove("__value__").unwrap_or_default();
    let Some(Value::Text(kind)) = map.swap_remove("__type__") else {
        return Err("`__type__` is not text".to_owned());
    };
    let tag = match kind.as_str() {
        "datetime" => Tag::Datetime,
        "date" => Tag::Date,
        "time" => Tag::Time,
        "decimal" => Tag::Decimal,
        "uuid" => {
            return uuid(&value).ok_or_else(|| "tag `uuid` without its 32 hex digits".to_owned());
        }
        "bytes" | "base64" => {
            let Value::Text(text) = value else {
                return Err(format!("tag `{kind}` without its text"));
            };
            if kind == "bytes" {
                return Ok(Value::Bytes(text.into_bytes()));
            }
            let bytes = STANDARD.decode(text).map_err(|_| "tag `base64` is not base64".to_owned());
            return bytes.map(Value::Bytes);
        }
        _ => return Err(format!("unsupported type `{kind}`")),
    };
    match value {
        Value::Text(text) => Ok(Value::Tagged(tag, text)),
        _ => Err(format!("tag `{kind}` without its text")),
    }
}

fn uuid(value: &Value) -> Option<Value> {
    let map = value.as_map().filter(|map| map.len() == 1)?;
    let mut digits = map.get("hex")?.as_str()?.replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    digits.make_ascii_lowercase();
    for at in [8, 13, 18, 23] {
        digits.insert(at, '-');
    }
    Some(Value::Tagged(Tag::Uuid, digits))
}
