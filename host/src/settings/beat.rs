//! `[beat.NAME]`: what is sent on schedule, and when.

use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;
use umbel_protocol::beat::Entry;
use umbel_schedule::{Crontab, Event, Invalid, Schedule, Solar};
use umbel_value::Value;

use super::file::{Table, nearest};
use super::table::Kind;
use super::units;
use crate::fault::Fault;

const KEYS: &[&str] = &["task", "schedule", "args", "kwargs", "queue", "priority", "expires"];
const SCHEDULES: &[&str] = &["every", "crontab", "timezone", "solar", "lat", "lon"];

const HELP: &str = "write for example schedule = { every = \"30s\" }, { crontab = \"*/5 * * * *\" } or \
                    { solar = \"sunset\", lat = 52.5, lon = 13.4 }";

/// Nothing is sent more often: whoever needs that wants no schedule.
const SHORTEST: Duration = Duration::from_millis(100);

/// One scheduled task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BeatEntry {
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    /// It names no time zone of its own.
    zoneless: bool,
    pub(crate) sends: Entry,
}

impl BeatEntry {
    /// The same in the time zone of entries that name none.
    pub(super) fn in_zone(self, zone: &TimeZone) -> BeatEntry {
        let schedule = match self.schedule {
            Schedule::Crontab(crontab) if self.zoneless => {
                Schedule::Crontab(crontab.in_zone(zone.clone()))
            }
            schedule => schedule,
        };
        BeatEntry { schedule, ..self }
    }
}

/// A time zone by its name.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!(
            "this system knows no time zone `{name}`\nhelp: write for example Europe/Berlin or UTC; \
             names come from the package tzdata"
        )
    })
}

/// Reads the table `[beat.<name>]`.
pub(super) fn read(table: &Table<'_, '_>, name: &str) -> Result<BeatEntry, Fault> {
    table.check_keys(KEYS, &[])?;
    let mut sends = Entry::default();
    let mut timing = None;
    for (key, value) in table.entries {
        let place = Place { table, key: key.get_ref(), value };
        match place.key {
            "task" => sends.task = place.text()?,
            "schedule" => timing = Some(schedule(&place.table(HELP)?)?),
            "args" => sends.args = place.list()?,
            "kwargs" => sends.kwargs = pairs(&place.table("")?)?,
            "queue" => sends.queue = Some(place.text()?),
            "priority" => {
                let priority = |text: &str| text.parse::<u8>().map_err(|_| not_priority(text));
                sends.priority = Some(place.read(Kind::Count, priority)?);
            }
            _ => sends.expires = Some(place.read(Kind::Duration, units::duration)?),
        }
    }
    let missing = |what: &str, help: &str| {
        table.source.fault(&table.place(), format!("`{}` has no `{what}`", table.name)).help(help)
    };
    if sends.task.trim().is_empty() {
        return Err(missing("task", "write the name of the task that it sends: task = \"…\""));
    }
    let (schedule, zoneless) = timing.ok_or_else(|| missing("schedule", HELP))?;
    Ok(BeatEntry { name: name.to_owned(), schedule, zoneless, sends })
}

/// Gives whether it is in no time zone yet, too.
fn schedule(table: &Table<'_, '_>) -> Result<(Schedule, bool), Fault> {
    table.check_keys(SCHEDULES, &[])?;
    let find = |key: &'static str| {
        let (_, value) = table.entries.get_key_value(key)?;
        Some(Place { table, key, value })
    };
    let kinds: Vec<_> = ["every", "crontab", "solar"].into_iter().filter_map(find).collect();
    let [kind] = &kinds[..] else {
        let what = format!("`{}` must have one of `every`, `crontab`, `solar`", table.name);
        return Err(table.source.fault(&table.place(), what).help(HELP));
    };
    let beside: &[&str] = match kind.key {
        "every" => &[],
        "crontab" => &["timezone"],
        _ => &["lat", "lon"],
    };
    for key in ["timezone", "lat", "lon"].into_iter().filter(|key| !beside.contains(key)) {
        if let Some(place) = find(key) {
            return Err(place.wrong(&format!("says nothing beside `{}`", kind.key)));
        }
    }
    match kind.key {
        "every" => Ok((Schedule::Every(kind.read(Kind::Duration, interval)?), false)),
        "crontab" => {
            let own = find("timezone").map(|place| place.read(Kind::Text, zone)).transpose()?;
            let zoneless = own.is_none();
            let text = kind.text()?;
            let crontab = Crontab::parse(&text, own.unwrap_or(TimeZone::UTC));
            let crontab = crontab.map_err(|Invalid(why)| kind.wrong(&why))?;
            Ok((Schedule::Crontab(crontab), zoneless))
        }
        _ => {
            let event = kind.read(Kind::Text, event)?;
            let degrees = |key| match find(key) {
                Some(place) => place.number(),
                None => Err(kind.wrong(&format!("needs `{key}`")).help(HELP)),
            };
            let solar = Solar::new(event, degrees("lat")?, degrees("lon")?);
            let solar = solar.map_err(|Invalid(why)| kind.wrong(&why))?;
            Ok((Schedule::Solar(solar), false))
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if time < SHORTEST => Err(format!("`{text}` is less than {SHORTEST:?}")),
        time => Ok(time),
    }
}

fn event(name: &str) -> Result<Event, String> {
    Event::named(name).ok_or_else(|| {
        let names = Event::ALL.map(Event::name);
        let help = match nearest(name, &names) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("it is one of {}", names.join(", ")),
        };
        format!("`{name}` is no event of the sun\nhelp: {help}")
    })
}

fn not_priority(text: &str) -> String {
    format!("`{text}` is not a whole number from 0 to 255")
}

/// One line of a table.
struct Place<'t, 'a, 'i> {
    table: &'t Table<'a, 'i>,
    key: &'t str,
    value: &'a Spanned<DeValue<'i>>,
}

impl<'a, 'i> Place<'_, 'a, 'i> {
    fn text(&self) -> Result<String, Fault> {
        self.table.plain(Kind::Text, self.key, self.value)
    }

    fn read<T>(
        &self,
        kind: Kind,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let text = self.table.plain(kind, self.key, self.value)?;
        read(&text).map_err(|why| self.wrong(&why))
    }

    fn table(&self, help: &str) -> Result<Table<'a, 'i>, Fault> {
        let table = self.table.table(self.value, self.key);
        table.map_err(|fault| if help.is_empty() { fault } else { fault.help(help) })
    }

    fn list(&self) -> Result<Vec<Value>, Fault> {
        match value(self)? {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong_type("an array")),
        }
    }

    fn number(&self) -> Result<f64, Fault> {
        let number = value(self)?;
        number.as_f64().ok_or_else(|| self.wrong_type("a number"))
    }

    fn wrong(&self, why: &str) -> Fault {
        let what = format!("`{}`: {why}", self.table.path(self.key));
        self.table.source.fault(&self.value.span(), what)
    }

    fn wrong_type(&self, expected: &str) -> Fault {
        self.table.wrong_type(self.value, self.key, self.value.get_ref(), expected)
    }
}

/// What a message carries.
fn value(place: &Place<'_, '_, '_>) -> Result<Value, Fault> {
    let value = match place.value.get_ref() {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(on) => Some(Value::Bool(*on)),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).ok().map(Value::Int)
        }
        DeValue::Float(number) => number.as_str().replace('_', "").parse().ok().map(Value::Float),
        DeValue::Array(items) => {
            let items = items.iter().map(|value| self::value(&Place { value, ..*place }));
            Some(Value::List(items.collect::<Result<_, _>>()?))
        }
        DeValue::Table(_) => Some(Value::Map(pairs(&place.table("")?)?)),
        DeValue::Datetime(_) => None,
    };
    let expected = "text, a number, true or false, an array or a table";
    value.ok_or_else(|| place.wrong_type(expected).help("write a date as text, in quotes"))
}

/// In the order of the file.
fn pairs(table: &Table<'_, '_>) -> Result<umbel_value::Map, Fault> {
    let mut entries: Vec<_> = table.entries.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let pairs = entries.into_iter().map(|(key, value)| {
        let key = key.get_ref().as_ref();
        Ok((key.to_owned(), self::value(&Place { table, key, value })?))
    });
    pairs.collect()
}
