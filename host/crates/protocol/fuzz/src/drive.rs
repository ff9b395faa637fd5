//! Runs the targets on stable Rust: seeded mutations of the recordings, for a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use umbel_protocol_fuzz::mutate::{Chance, input};
use umbel_protocol_fuzz::seeds::Seeds;
use umbel_protocol_fuzz::targets::{ALL, Target};

const USAGE: &str = "drive <message|envelope|signature|all> [--seconds N] [--seed N] [--at N]";

/// An input that takes longer is a failure.
const SLOW: Duration = Duration::from_secs(5);

struct Run {
    seconds: u64,
    seed: u64,
    /// The number of the first input.
    at: u64,
}

fn main() -> ExitCode {
    let mut run = Run { seconds: 60, seed: 1, at: 0 };
    let mut name = None;
    let mut arguments = env::args().skip(1);
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
    let chosen: Vec<_> = match name.as_deref() {
        Some("all") => ALL.to_vec(),
        Some(name) => ALL.into_iter().filter(|(one, _)| *one == name).collect(),
        None => Vec::new(),
    };
    if chosen.is_empty() {
        return usage();
    }
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../tests/golden");
    let seeds = match Seeds::read(&recordings) {
        Ok(seeds) => seeds,
        Err(error) => {
            eprintln!("cannot read {}: {error}", recordings.display());
            return ExitCode::FAILURE;
        }
    };
    let all = move || {
        let passed = chosen.into_iter().map(|target| drive(target, seeds.of(target.0), &run));
        passed.fold(true, |all, one| all & one)
    };
    // The stack that a worker's threads have.
    let passed =
        thread::Builder::new().stack_size(2 << 20).spawn(all).map(thread::JoinHandle::join);
    match passed {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: {USAGE}");
    ExitCode::from(2)
}

/// True when no input did harm. An input that ends the process is found again with `--at` the last
/// number that was told.
fn drive((name, target): Target, seeds: &[Vec<u8>], run: &Run) -> bool {
    eprintln!("{name}: {} seeds, seed {}, {} s", seeds.len(), run.seed, run.seconds);
    for (at, seed) in seeds.iter().enumerate() {
        if let Err(what) = survives(target, seed) {
            return tell(name, seed, &format!("recording {at} {what}"));
        }
    }
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut number = run.at;
    while started.elapsed() < Duration::from_secs(run.seconds) {
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{name}: at {number}");
        }
        let data = input(seeds, &mut Chance(run.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)));
        if let Err(what) = survives(target, &data) {
            return tell(name, &data, &format!("input {number} of seed {} {what}", run.seed));
        }
        number += 1;
    }
    eprintln!("{name}: {} inputs, no harm", number - run.at);
    true
}

fn survives(target: fn(&[u8]), data: &[u8]) -> Result<(), String> {
    let started = Instant::now();
    catch_unwind(AssertUnwindSafe(|| target(data))).map_err(|_| "panics".to_owned())?;
    let took = started.elapsed();
    if took > SLOW { Err(format!("takes {took:?}")) } else { Ok(()) }
}

/// Keeps the input and says where.
fn tell(name: &str, data: &[u8], what: &str) -> bool {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    let file = folder.join(name);
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, data));
    match kept {
        Ok(()) => eprintln!("{name}: {what}; kept in {}", file.display()),
        Err(error) => eprintln!("{name}: {what}; cannot keep it: {error}"),
    }
    false
}
