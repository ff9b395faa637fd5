//! Drives the targets on stable Rust, for a time: every input comes from a seed and its number.

mod chance;
mod lab;
mod targets;
mod types;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::lab::Lab;
use crate::targets::{ALL, Target};

const USAGE: &str = "umbel-engine-fuzz <values|loader|wit|all> [--seconds N] [--seed N] [--at N]";

/// An input that takes longer is a failure.
const SLOW: Duration = Duration::from_secs(10);

struct Run {
    seconds: u64,
    seed: u64,
    /// The number of the first input.
    at: u64,
}

fn main() -> ExitCode {
    let mut run = Run { seconds: 60, seed: 1, at: 0 };
    let mut name = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--seconds" => &mut run.seconds,
            "--seed" => &mut run.seed,
            "--at" => &mut run.at,
            _ => {
                name = Some(argument);
                continue;
            }
        };
        match arguments.next().and_then(|number| number.parse().ok()) {
            Some(number) => *slot = number,
            None => return usage(),
        }
    }
    let wanted = |one: &&Target| name.as_deref().is_some_and(|name| name == "all" || name == one.0);
    let chosen: Vec<&Target> = ALL.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return usage();
    }
    match chosen.into_iter().map(|target| drive(target, &run)).fold(true, |all, one| all & one) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: {USAGE}");
    ExitCode::from(2)
}

/// True when no input did harm. One that ends the process is found again with `--at` the last number
/// that was told.
fn drive((name, target): &Target, run: &Run) -> bool {
    eprintln!("{name}: seed {}, {} s", run.seed, run.seconds);
    let mut lab = Lab::new();
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut number = run.at;
    while started.elapsed() < Duration::from_secs(run.seconds) {
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{name}: at {number}; {}", lab.tally());
        }
        let mut chance = Chance(run.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| target(&mut lab, &mut chance)));
        let harm = match ended {
            Err(_) => Some("panics".to_owned()),
            Ok(Err(what)) => Some(what),
            Ok(Ok(())) if began.elapsed() > SLOW => Some(format!("takes {:?}", began.elapsed())),
            Ok(Ok(())) => None,
        };
        if let Some(what) = harm {
            let kept = std::env::temp_dir().join(format!("umbel-fuzz-{name}.wasm"));
            let kept = std::fs::write(&kept, &lab.last).map(|()| kept);
            eprintln!("{name}: input {number} of seed {} {what}; kept: {kept:?}", run.seed);
            return false;
        }
        number += 1;
    }
    eprintln!("{name}: {} inputs, no harm; {}", number - run.at, lab.tally());
    true
}
