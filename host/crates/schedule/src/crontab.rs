//! Celery's crontab: five fields, all of which must match. Unlike cron, a day of the month and a day
//! of the week are both asked for.

mod field;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use self::field::{Field, Set};
use crate::Invalid;

/// How many days a month has at most.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The longest wait there is: a 29th of February on one day of the week, past a century without one.
const YEARS: i16 = 41;

/// A schedule by the fields of the clock and the calendar of one time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Crontab {
    text: String,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    zone: TimeZone,
}

impl Crontab {
    /// Reads `minute hour day-of-month month day-of-week`; each `*`, or a list of numbers, names and
    /// ranges, each of these with a step.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Crontab, Invalid> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(Invalid(format!(
                "`{text}` has {} fields, a crontab has five: minute, hour, day of the month, month, \
                 day of the week",
                fields.len()
            )));
        };
        let crontab = Crontab {
            text: fields.join(" "),
            minutes: Field::Minute.parse(minute)?,
            hours: Field::Hour.parse(hour)?,
            days: Field::Day.parse(day)?,
            months: Field::Month.parse(month)?,
            weekdays: Field::Weekday.parse(weekday)?,
            zone,
        };
        if !crontab.ever_occurs() {
            return Err(Invalid(format!("day {day} never occurs in month {month}")));
        }
        Ok(crontab)
    }

    /// The same fields on the clocks of another time zone.
    pub fn in_zone(self, zone: TimeZone) -> Crontab {
        Crontab { zone, ..self }
    }

    /// The first run after the minute of `last`. Times that the clock skips come as much later;
    /// of those that come twice, the first counts, unless it is over.
    pub fn next(&self, last: Timestamp) -> Option<Timestamp> {
        let wall = self.zone.to_datetime(last);
        let next = self.zone.to_ambiguous_zoned(self.after(wall)?);
        let first = next.clone().compatible().ok()?.timestamp();
        if first > last {
            return Some(first);
        }
        let second = next.later().ok()?.timestamp();
        (second > last).then_some(second)
    }

    /// The first minute that matches after the minute of `last`, on the wall.
    fn after(&self, last: DateTime) -> Option<DateTime> {
        let (today, time) = (last.date(), last.time());
        let (hour, minute) = (number(time.hour()), number(time.minute()));
        if self.matches(today) {
            if self.hours.contains(hour)
                && let Some(minute) = self.minutes.after(minute)
            {
                return Some(moment(today, hour, minute));
            }
            if let Some(hour) = self.hours.after(hour) {
                return Some(moment(today, hour, self.minutes.first()));
            }
        }
        let day = self.day_after(today)?;
        Some(moment(day, self.hours.first(), self.minutes.first()))
    }

    fn day_after(&self, today: Date) -> Option<Date> {
        let years = today.year()..=today.year().saturating_add(YEARS);
        let months = years.flat_map(|year| self.months.numbers().map(move |month| (year, month)));
        let days = months.flat_map(|(year, month)| {
            let days = self.days.numbers();
            days.filter_map(move |day| Date::new(year, month as i8, day as i8).ok())
        });
        days.filter(|day| *day > today).find(|day| self.matches(*day))
    }

    fn matches(&self, date: Date) -> bool {
        self.months.contains(number(date.month()))
            && self.days.contains(number(date.day()))
            && self.weekdays.contains(number(date.weekday().to_sunday_zero_offset()))
    }

    fn ever_occurs(&self) -> bool {
        let days = self.months.numbers().filter_map(|month| DAYS.get(month as usize - 1));
        let first = self.days.first();
        days.into_iter().any(|days| first <= *days)
    }
}

/// Numbers of the calendar are small and not negative.
fn number(number: i8) -> u32 {
    u32::from(number.unsigned_abs())
}

fn moment(date: Date, hour: u32, minute: u32) -> DateTime {
    date.at(hour as i8, minute as i8, 0, 0) // fields hold what their clock shows
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        match self.zone.iana_name() {
            Some("UTC") | None => Ok(()),
            Some(name) => write!(f, " ({name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(crontab: &str, zone: &str, last: &str, expected: &str) {
        let zone = TimeZone::get(zone).expect("a time zone of the system");
        let crontab = Crontab::parse(crontab, zone).expect("a crontab");
        let next = crontab.next(last.parse().expect("an instant"));
        assert_eq!(next, Some(expected.parse().expect("an instant")), "{crontab} after {last}");
    }

    #[test]
    fn an_hour_that_the_clock_skips_runs_as_much_later() {
        let zone = "America/New_York";
        check("30 2 * * *", zone, "2030-03-09T12:00:00Z", "2030-03-10T07:30:00Z");
        check("30 2 * * *", zone, "2030-03-10T07:30:00Z", "2030-03-11T06:30:00Z");
        check("*/5 * * * *", zone, "2030-03-10T06:55:00Z", "2030-03-10T07:00:00Z");
        check("*/5 * * * *", zone, "2030-03-10T07:00:00Z", "2030-03-10T07:05:00Z");
    }

    #[test]
    fn an_hour_that_comes_twice_runs_once_a_day() {
        let zone = "America/New_York";
        check("30 1 * * *", zone, "2030-11-02T12:00:00Z", "2030-11-03T05:30:00Z");
        check("30 1 * * *", zone, "2030-11-03T05:30:00Z", "2030-11-04T06:30:00Z");
    }

    #[test]
    fn what_begins_in_the_second_of_two_hours_runs_in_it() {
        let zone = "America/New_York";
        check("*/5 * * * *", zone, "2030-11-03T06:02:00Z", "2030-11-03T06:05:00Z");
        check("*/5 * * * *", zone, "2030-11-03T06:55:00Z", "2030-11-03T07:00:00Z");
    }

    #[test]
    fn a_leap_day_on_a_sunday_is_found_however_far_it_is() {
        check("0 0 29 2 sun", "UTC", "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z");
    }

    #[test]
    fn what_is_no_crontab_says_why() {
        for (text, part) in [
            ("* * * *", "has 4 fields"),
            ("* * 30 2 *", "day 30 never occurs in month 2"),
            ("* * 31 apr,jun *", "day 31 never occurs"),
            ("60 * * * *", "minute 60"),
            ("* * * * 7", "day of the week 7"),
        ] {
            let Invalid(why) = Crontab::parse(text, TimeZone::UTC).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
