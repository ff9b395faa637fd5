//! Next runs as Celery recorded them: crontabs to the second, events of the sun as near as its
//! position is known.

#![expect(clippy::unwrap_used, reason = "a test that panics has told what it is for")]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use umbel_schedule::{Crontab, Event, Solar};

/// Where the sun crosses the horizon steeply, and where it grazes it.
const STEEP: f64 = 10.0;
const GRAZING: f64 = 90.0;

#[test]
fn crontabs_run_when_celery_runs_them() {
    for case in recording("pure-crontab") {
        let field = |name: &str| case["crontab"][name].as_str().unwrap_or("*").to_owned();
        let names = ["minute", "hour", "day_of_month", "month_of_year", "day_of_week"];
        let text = names.map(field).join(" ");
        let crontab = Crontab::parse(&text, TimeZone::UTC).unwrap();
        let next = crontab.next(instant(&case["last_run_at"]));
        assert_eq!(next, Some(instant(&case["next_run"])), "{text} after {}", case["last_run_at"]);
    }
}

#[test]
fn the_sun_does_what_celerys_does() {
    let mut worst: f64 = 0.0;
    for case in recording("pure-solar") {
        let event = Event::named(case["event"].as_str().unwrap()).unwrap();
        let (latitude, longitude) = (case["lat"].as_f64().unwrap(), case["lon"].as_f64().unwrap());
        let solar = Solar::new(event, latitude, longitude).unwrap();
        let next = solar.next(instant(&case["last_run_at"])).unwrap();
        let off = next.duration_since(instant(&case["next_run"])).as_secs_f64().abs();
        let allowed = if latitude.abs() < 60.0 { STEEP } else { GRAZING };
        assert!(off <= allowed, "{case}: {next}, {off} s off");
        worst = worst.max(off);
    }
    println!("at most {worst} s off");
}

fn recording(name: &str) -> Vec<Value> {
    let path = format!("{}/../../../tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = recorded["next_run"].as_array().unwrap().clone();
    assert!(cases.len() > 40, "{} cases in {name}", cases.len());
    cases
}

fn instant(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}
