//! `umbel beat` from the outside: mistakes in the file, the list, a restart, a changed file.

use std::path::Path;

use rustix::process::Signal;
use umbel_harness::eventually::eventually;
use umbel_harness::process::Process;

use crate::{SOON, command, folder, umbel};

fn beat(folder: &Path) -> Process {
    Process::start("umbel beat", command(folder, &["beat"]))
}

#[track_caller]
fn check(toml: &str, parts: &[&str]) {
    let folder = folder(toml);
    umbel(folder.path(), &["beat", "--list"]).refused(2, parts);
}

#[test]
fn mistakes_in_the_schedule_are_named_with_their_line() {
    let entry = |rest: &str| format!("[beat.x]\ntask = 't'\n{rest}\n");
    check("", &["nothing is scheduled", "[beat.cleanup]"]);
    check("[beat.x]\nschedule = { every = '1s' }", &["umbel.toml:2", "`beat.x` has no `task`"]);
    check(&entry(""), &["`beat.x` has no `schedule`", "every = \"30s\""]);
    check(
        &entry("shedule = 1"),
        &["umbel.toml:3", "unknown key", "did you mean `beat.x.schedule`?"],
    );
    check("[beat]\ntimezon = 'UTC'", &["umbel.toml:2", "did you mean `beat.timezone`?"]);
    check("[beat]\ntimezone = 'Nowhere'", &["no time zone `Nowhere`", "Europe/Berlin"]);
    let schedule = |rest: &str| entry(&format!("schedule = {{ {rest} }}"));
    check(&schedule(""), &["must have one of `every`, `crontab`, `solar`"]);
    check(&schedule("every = '1s', crontab = '* * * * *'"), &["must have one of"]);
    check(&schedule("evry = '1s'"), &["did you mean `beat.x.schedule.every`?"]);
    check(&schedule("every = 5"), &["umbel.toml:3", "no unit", "5s"]);
    check(&schedule("every = '1ms'"), &["less than 100ms"]);
    check(&schedule("every = '1s', timezone = 'UTC'"), &["says nothing beside `every`"]);
    check(&schedule("crontab = '* * * *'"), &["umbel.toml:3", "has 4 fields"]);
    check(&schedule("crontab = '* * 30 2 *'"), &["day 30 never occurs in month 2"]);
    check(&schedule("solar = 'sunst', lat = 1, lon = 1"), &["did you mean `sunset`?"]);
    check(&schedule("solar = 'sunset', lat = 91, lon = 1"), &["latitude 91"]);
    check(&schedule("solar = 'sunset', lat = 9"), &["needs `lon`"]);
    check(&entry("args = 5\nschedule = { every = '1s' }"), &["`beat.x.args` must be an array"]);
    check(&entry("priority = 256\nschedule = { every = '1s' }"), &["from 0 to 255"]);
    check(&entry("args = [1979-05-27]\nschedule = { every = '1s' }"), &["write a date as text"]);
}

#[test]
fn rabbitmq_needs_another_place_for_the_notes() {
    let toml = "broker = 'amqp://h'\n[beat.x]\ntask = 't'\nschedule = { every = '1s' }\n";
    check(toml, &["no place to note what was sent", "--beat-store"]);
}

const DAILY: &str = "
[beat]
timezone = 'Europe/Berlin'
[beat.daily]
task = 'tasks.daily'
schedule = { crontab = '0 4 * * *' }
[beat.evening]
task = 'tasks.evening'
schedule = { solar = 'sunset', lat = 52.5, lon = 13.4 }
[beat.often]
task = 'tasks.often'
schedule = { every = '200ms' }
";

#[test]
fn the_list_tells_the_next_runs() {
    let folder = folder(DAILY);
    let listed = umbel(folder.path(), &["beat", "--list"]);
    listed.said(&["NEXT RUN", "0 4 * * * (Europe/Berlin)", "sunset at 52.5, 13.4", "every 200ms"]);
    let listed = umbel(folder.path(), &["beat", "--list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&listed.text).expect("JSON");
    assert_eq!(rows[0]["name"], "often", "the next one comes first");
    assert_eq!(rows[0]["runs"], 0);
    let daily = rows.as_array().expect("a list").iter().find(|row| row["name"] == "daily");
    let next = daily.and_then(|row| row["next_run"].as_str()).expect("an instant");
    assert!(next.ends_with("T02:00:00Z") || next.ends_with("T03:00:00Z"), "{next}");
}

/// How often the entry has run.
fn runs(folder: &Path, name: &str) -> u64 {
    let listed = umbel(folder, &["beat", "--list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&listed.text).expect("JSON");
    let row = rows.as_array().expect("a list").iter().find(|row| row["name"] == name);
    row.and_then(|row| row["runs"].as_u64()).unwrap_or(0)
}

#[track_caller]
fn await_runs(folder: &Path, name: &str, least: u64) -> u64 {
    eventually(&format!("{name} runs {least} times"), SOON, || match runs(folder, name) {
        runs if runs >= least => Ok(runs),
        runs => Err(format!("{runs} runs")),
    })
}

#[test]
fn a_restart_goes_on_where_it_stopped_and_makes_up_for_one_run() {
    let folder = folder(DAILY);
    let here = folder.path();
    let mut first = beat(here);
    let before = await_runs(here, "often", 3);
    first.signal(Signal::TERM);
    assert!(first.await_end(SOON).success(), "{}", first.log());
    assert!(before <= runs(here, "often"));
    let mut second = beat(here);
    await_runs(here, "often", before + 3);
    assert_eq!(runs(here, "daily"), 0);
    second.signal(Signal::INT);
    assert!(second.await_end(SOON).success(), "{}", second.log());
}

#[test]
fn a_changed_schedule_is_taken_up_and_a_broken_one_is_not() {
    let folder = folder(DAILY);
    let here = folder.path();
    let mut beat = beat(here);
    await_runs(here, "often", 1);
    let file = here.join("umbel.toml");
    std::fs::write(&file, "[beat.broken]\n").expect("it is writable");
    beat.await_log("is not taken up", SOON);
    let added = "[beat.new]\ntask = 'tasks.new'\nschedule = { every = '200ms' }\n";
    std::fs::write(&file, format!("{DAILY}{added}")).expect("it is writable");
    beat.await_log("new is new", SOON);
    await_runs(here, "new", 2);
    assert_eq!(beat.poll(), None);
}
