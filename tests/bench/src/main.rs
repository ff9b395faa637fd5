//! `make bench`: what the worker does in a second, beside Celery and beside a bare loop, and what
//! it costs when it does nothing. Prints a table; writes JSON and a chart to `target/bench`.
#![expect(clippy::print_stdout, reason = "a table on the terminal is what it is for")]

mod bare;
mod chart;
mod drain;
mod events;
mod hostile;
mod languages;
mod life;
mod limits;
mod pings;
mod report;
mod stage;

use std::process::ExitCode;

use crate::report::Report;

const HELP: &str = "\
usage: umbel-bench [drain] [life] [limits] [pings] [events] [languages] [hostile]
  drain    tasks per second from a prefilled queue: Umbel, Celery, a bare loop
  life     start to ready, memory and processor when idle, a thousand sleepers
  limits   how exactly time limits hold, and what neighbours notice
  pings    how soon remote control answers while every slot computes
  events   what a monitor that hears of every task costs, and what it costs if it does not hear
  languages  one function in five languages: building it, its size, its calls
  hostile  every hostile task and message: its ending, its lateness, what neighbours notice
Nothing named: all but the last two. UMBEL_BENCH_ROUNDS (3) says how often each contender runs.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bare", broker, results] => bare::run(broker, results),
        ["--help" | "-h"] => println!("{HELP}"),
        sections => {
            let known = ["drain", "life", "limits", "pings", "events", "languages", "hostile"];
            if let Some(unknown) = sections.iter().find(|word| !known.contains(word)) {
                println!("error: no section `{unknown}`\n\n{HELP}");
                return ExitCode::from(2);
            }
            if sections == ["hostile"] {
                return match hostile::run() {
                    true => ExitCode::SUCCESS,
                    false => ExitCode::FAILURE,
                };
            }
            let rest = sections.is_empty();
            measure(|section| (rest && section != "languages") || sections.contains(&section));
        }
    }
    ExitCode::SUCCESS
}

fn measure(wanted: impl Fn(&str) -> bool) {
    let mut report = Report::default();
    if wanted("drain") {
        drain::run(&mut report);
    }
    if wanted("life") {
        life::run(&mut report);
    }
    if wanted("limits") {
        limits::run(&mut report);
    }
    if wanted("pings") {
        pings::run(&mut report);
    }
    if wanted("events") {
        events::run(&mut report);
    }
    if wanted("languages") {
        languages::run(&mut report);
    }
    report.finish();
}
