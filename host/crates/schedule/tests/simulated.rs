//! Ten days of a mixed schedule, beside Celery's own `crontab` and `schedule` under a simulated clock.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use umbel_harness::{paths, python};
use umbel_schedule::{Crontab, Look, Schedule};

/// Names, what is scheduled, and where; none of it falls into an hour that comes twice, in which
/// Celery sends without a pause.
const MIXED: &[(&str, &str, &str)] = &[
    ("* 0-5 * * *", "UTC", "every minute"),
    ("*/7 * * * *", "UTC", "a step that does not divide the hour"),
    ("50-10/5 */3 * * *", "Europe/Berlin", "a range over the top"),
    ("0,30 8-17/2 * * mon-fri", "America/New_York", "office hours"),
    ("30 2 * * *", "Europe/Berlin", "in the hour that is skipped"),
    ("15 2 * * *", "America/New_York", "in the hour that is skipped"),
    ("5 4 1-7,25-31 * mon", "UTC", "both days must match"),
    ("0 0 31 * *", "Asia/Kolkata", "the last day of long months"),
    ("0 12 */3 */2 *", "Australia/Lord_Howe", "months and days by steps"),
    ("59 23 * * sun", "Pacific/Apia", "at the end of the week"),
    ("0 0 29 2 *", "UTC", "on leap days"),
    ("0 22-2 * * fri-mon", "Africa/Casablanca", "ranges that wrap"),
];
const INTERVALS: &[f64] = &[450.0, 1090.5, 3600.0, 86_400.0];

/// Over the beginning of summer in Europe, in the United States, over its end in Australia, over a leap day.
const STARTS: &[&str] = &[
    "2030-03-26T11:22:33Z",
    "2030-03-05T00:00:00Z",
    "2030-04-02T13:59:59.5Z",
    "2032-02-24T23:59:59Z",
];
const DAYS: i64 = 10;

#[test]
fn ten_days_of_a_mixed_schedule_are_celerys() {
    let mut compared = 0;
    let asked =
        json!({ "starts": STARTS, "days": DAYS, "crontabs": MIXED, "intervals": INTERVALS });
    let script = paths::workspace().join("host/crates/schedule/tests/simulated.py");
    let answers = python::run(&script, &[&asked.to_string()]);
    for (index, start) in STARTS.iter().enumerate() {
        let celerys = &answers[index];
        for (index, (text, zone, why)) in MIXED.iter().enumerate() {
            let zone = TimeZone::get(zone).expect("a time zone of the system");
            let crontab = Crontab::parse(text, zone).expect("a crontab");
            let what = format!("{text} ({why}) from {start}");
            compared +=
                check(&Schedule::Crontab(crontab), start, &celerys["crontabs"][index], &what);
        }
        for (index, seconds) in INTERVALS.iter().enumerate() {
            let every = Schedule::Every(std::time::Duration::from_secs_f64(*seconds));
            let what = format!("every {seconds} s from {start}");
            compared += check(&every, start, &celerys["intervals"][index], &what);
        }
    }
    assert!(compared > 20_000, "{compared} runs compared");
}

/// Runs whenever it is due, as beat does; gives how many runs there were.
#[track_caller]
fn check(schedule: &Schedule, start: &str, expected: &Value, what: &str) -> usize {
    let start: Timestamp = start.parse().expect("an instant");
    let end = start + jiff::SignedDuration::from_hours(24 * DAYS);
    let mut runs = Vec::new();
    let (mut last, mut now) = (start, start);
    while let Look::Later(Some(next)) = schedule.look(last, now, None) {
        if next > end {
            break;
        }
        now = next;
        let Look::Due { due, last: noted } = schedule.look(last, now, None) else {
            panic!("{what}: not due at {next}");
        };
        assert_eq!(due, next, "{what}");
        runs.push(due);
        last = noted;
    }
    let celerys = expected.as_array().expect("a list of runs").iter().map(|run| {
        let text = run.as_str().expect("an instant");
        text.parse::<Timestamp>().expect("an instant")
    });
    let celerys: Vec<_> = celerys.collect();
    let apart = runs.iter().zip(&celerys).find(|(ours, theirs)| ours != theirs);
    assert_eq!((apart, runs.len()), (None, celerys.len()), "{what}");
    runs.len()
}
