//! One field of a crontab: the grammar of Celery's parser, its lenience included.

use crate::Invalid;

/// Which field: its name and its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

/// Numbers below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u64);

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl Field {
    /// A comma list of `*`, `*/n`, `a`, `a-b`, `a-b/n`.
    pub(super) fn parse(self, text: &str) -> Result<Set, Invalid> {
        let mut set = Set::default();
        for part in text.split(',') {
            if part.is_empty() {
                return Err(self.wrong(text, "has an empty part"));
            }
            for number in self.part(part)? {
                set.0 |= 1 << number;
            }
        }
        Ok(set)
    }

    /// What follows a part that is understood is not looked at: Celery's parser does not either.
    fn part(self, part: &str) -> Result<Vec<u32>, Invalid> {
        if let Some((from, rest)) = word_then(part, '-') {
            let (to, rest) = word(rest);
            let numbers = self.range(from, to)?;
            return match rest.strip_prefix('/') {
                Some(step) => self.every(numbers, part, word(step).0),
                None => Ok(numbers),
            };
        }
        match part.strip_prefix('*') {
            Some("") => Ok(self.all()),
            Some(rest) if rest.starts_with('/') => self.every(self.all(), part, word(&rest[1..]).0),
            _ => Ok(vec![self.number(part)?]),
        }
    }

    /// Both ends are in it; one that ends before it begins goes over the top.
    fn range(self, from: &str, to: &str) -> Result<Vec<u32>, Invalid> {
        let (from, to) = (self.number(from)?, self.number(to)?);
        let (first, last) = self.bounds();
        Ok(match to < from {
            true => (from..=last).chain(first..=to).collect(),
            false => (from..=to).collect(),
        })
    }

    /// Counted from the first one.
    fn every(self, numbers: Vec<u32>, part: &str, step: &str) -> Result<Vec<u32>, Invalid> {
        match integer(step) {
            Some(0) | None => Err(self.wrong(part, "has no step: a number above 0")),
            Some(step) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                Ok(numbers.into_iter().step_by(step).collect())
            }
        }
    }

    fn all(self) -> Vec<u32> {
        let (first, last) = self.bounds();
        (first..=last).collect()
    }

    /// A number, or a name by its first three letters.
    fn number(self, text: &str) -> Result<u32, Invalid> {
        let (first, last) = self.bounds();
        let found = integer(text).or_else(|| named(text));
        let Some(number) = found else { return Err(self.wrong(text, "is no number and no name")) };
        match u32::try_from(number) {
            Ok(number) if (first..=last).contains(&number) => Ok(number),
            _ => Err(Invalid(format!("{} {text} is not from {first} to {last}", self.name()))),
        }
    }

    fn bounds(self) -> (u32, u32) {
        match self {
            Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::Day => (1, 31),
            Field::Month => (1, 12),
            Field::Weekday => (0, 6),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::Day => "day of the month",
            Field::Month => "month",
            Field::Weekday => "day of the week",
        }
    }

    fn wrong(self, text: &str, why: &str) -> Invalid {
        Invalid(format!("{} `{text}` {why}", self.name()))
    }
}

/// The word that a text begins with, if there is one, and what follows the sign behind it, if a word
/// begins there.
fn word_then(text: &str, sign: char) -> Option<(&str, &str)> {
    let (first, rest) = word(text);
    let rest = rest.strip_prefix(sign)?;
    (!first.is_empty() && !word(rest).0.is_empty()).then_some((first, rest))
}

/// The letters, digits and underscores that a text begins with, and the rest.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|sign: char| !sign.is_alphanumeric() && sign != '_');
    text.split_at(end.unwrap_or(text.len()))
}

/// As Python reads one: single underscores may stand between digits, a plus before them.
fn integer(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let separated = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    // What does not fit is out of every range.
    separated.then(|| digits.replace('_', "").parse().unwrap_or(u64::MAX))
}

/// Months come first; no month begins like a day.
fn named(text: &str) -> Option<u64> {
    let short: String = text.chars().take(3).collect::<String>().to_lowercase();
    let place = |names: &[&str]| names.iter().position(|name| *name == short);
    place(&MONTHS).map(|month| month + 1).or_else(|| place(&WEEKDAYS)).map(|found| found as u64)
}

impl Set {
    pub(super) fn contains(self, number: u32) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// The smallest; a field is never empty.
    pub(super) fn first(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// The smallest above this one.
    pub(super) fn after(self, number: u32) -> Option<u32> {
        self.numbers().find(|one| *one > number)
    }

    /// From the smallest on.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |number| self.contains(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_celery_recorded_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/pure-crontab.json");
        let text = std::fs::read(path).expect("the recording is there");
        let recorded: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let cases = recorded["parse"].as_array().expect("a table");
        assert!(cases.len() > 50, "{} cases", cases.len());
        for case in cases {
            let field = match case["field"].as_str().expect("a name") {
                "minute" => Field::Minute,
                "hour" => Field::Hour,
                "day_of_month" => Field::Day,
                "month_of_year" => Field::Month,
                "day_of_week" => Field::Weekday,
                other => panic!("no field {other}"),
            };
            let read = field.parse(case["expr"].as_str().expect("a text"));
            let expected = case["values"].as_array();
            let numbers = |set: Set| set.numbers().map(u64::from).collect::<Vec<_>>();
            let expected = expected.map(|numbers| {
                numbers.iter().map(|number| number.as_u64().expect("a number")).collect::<Vec<_>>()
            });
            assert_eq!(read.ok().map(numbers), expected, "{case}");
        }
    }

    #[test]
    fn what_python_reads_is_read() {
        for (text, expected) in [
            ("1_0", Some(vec![10])),
            ("+5", Some(vec![5])),
            ("1__0", None),
            ("*/2/3", Some((0..24).step_by(2).collect())),
            ("*5", None),
            ("5-", None),
            ("1-5/", None),
            ("1-5/x", None),
            ("january", Some(vec![1])),
            ("99999999999999999999", None),
            ("ä", None),
        ] {
            let read = Field::Hour.parse(text).ok().map(|set| set.numbers().collect::<Vec<_>>());
            assert_eq!(read, expected, "{text}");
        }
    }
}
