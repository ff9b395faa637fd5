//! When scheduled tasks are due, as Celery counts it. Pure: no IO, no clock; whoever asks says what
//! time it is.

mod crontab;
mod solar;
mod tick;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

pub use crontab::Crontab;
pub use solar::{Event, Solar};
pub use tick::Tick;

/// When an entry is to run, each time from its last run on.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// So much time after the last run.
    Every(Duration),
    Crontab(Crontab),
    Solar(Solar),
}

/// What a schedule says at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It was to run at `due`; however many runs were missed, it runs once, and `last` is to be
    /// noted as its last run.
    Due { due: Timestamp, last: Timestamp },
    /// Every run that was missed is too old to be made up for; `last` is to be noted.
    TooLate { last: Timestamp },
    /// Not before then; `None` is never, as far as can be foreseen.
    Later(Option<Timestamp>),
}

/// Why a text or a number is no schedule. Lower case, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Schedule {
    /// The first run after a last one; `None` if there is none in the time to come.
    pub fn next(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::Every(time) => last.checked_add(*time).ok(),
            Schedule::Crontab(crontab) => crontab.next(last),
            Schedule::Solar(solar) => solar.next(last),
        }
    }

    /// Whether it is to run now. Crontab runs that are further back than `deadline` are let go, as
    /// Celery's `beat_cron_starting_deadline` has it.
    pub fn look(&self, last: Timestamp, now: Timestamp, deadline: Option<Duration>) -> Look {
        match self.next(last) {
            Some(due) if due <= now => match deadline.is_some_and(|by| self.is_stale(now, by)) {
                true => Look::TooLate { last: now },
                false => Look::Due { due, last: self.noted(due, now) },
            },
            later => Look::Later(later),
        }
    }

    /// What the run that was due at `due` and goes out at `now` counts as: an interval keeps its
    /// rhythm however late one run is, anything else goes by the clock anyway.
    fn noted(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        let Schedule::Every(time) = self else { return now };
        let late = now.duration_since(due).as_nanos().max(0).unsigned_abs();
        let missed = late.checked_div(time.as_nanos()).unwrap_or(0);
        let skipped = u64::try_from(missed * time.as_nanos()).map(Duration::from_nanos);
        skipped.ok().and_then(|skipped| due.checked_add(skipped).ok()).unwrap_or(now)
    }

    /// No run fell into the time before `now` that counts.
    fn is_stale(&self, now: Timestamp, deadline: Duration) -> bool {
        let Schedule::Crontab(crontab) = self else { return false };
        // A run at the very beginning of that time counts.
        let since = now.checked_sub(deadline + Duration::from_micros(1));
        since.is_ok_and(|since| crontab.next(since).is_none_or(|next| next > now))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(time) => write!(f, "every {time:?}"),
            Schedule::Crontab(crontab) => crontab.fmt(f),
            Schedule::Solar(solar) => solar.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[track_caller]
    fn check(schedule: &Schedule, last: &str, now: &str, deadline: Option<u64>, expected: Look) {
        let deadline = deadline.map(Duration::from_secs);
        assert_eq!(schedule.look(at(last), at(now), deadline), expected);
    }

    #[test]
    fn an_interval_keeps_its_rhythm_and_makes_up_for_one_run_alone() {
        let every = Schedule::Every(Duration::from_secs(10));
        let start = "2030-01-01T00:00:00Z";
        let due = at("2030-01-01T00:00:10Z");
        let later = Look::Later(Some(due));
        check(&every, start, "2030-01-01T00:00:09.999Z", None, later);
        check(&every, start, "2030-01-01T00:00:10Z", None, Look::Due { due, last: due });
        check(&every, start, "2030-01-01T00:00:19.9Z", None, Look::Due { due, last: due });
        let last = at("2030-01-01T01:00:00Z");
        check(&every, start, "2030-01-01T01:00:03Z", None, Look::Due { due, last });
    }

    #[test]
    fn a_crontab_makes_up_for_one_run_unless_all_are_too_old() {
        let daily = Crontab::parse("0 4 * * *", jiff::tz::TimeZone::UTC).expect("a crontab");
        let daily = Schedule::Crontab(daily);
        let last = "2030-01-01T04:00:00Z";
        let due = at("2030-01-02T04:00:00Z");
        let now = "2030-01-05T05:00:00Z";
        check(&daily, last, now, None, Look::Due { due, last: at(now) });
        check(&daily, last, now, Some(3600), Look::Due { due, last: at(now) });
        check(&daily, last, now, Some(3599), Look::TooLate { last: at(now) });
        check(&daily, last, "2030-01-02T03:59:59Z", Some(1), Look::Later(Some(due)));
    }
}
