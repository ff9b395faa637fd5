//! What it costs that somebody watches: throughput with a monitor that hears of every task, beside
//! that with no events; memory when nobody can be told.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use umbel_harness::eventually::PATIENCE;
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::worker::{Umbel, Worker};

use crate::report::{Report, Target, median};
use crate::stage::{Broker, Stage};

const MEBIBYTE: f64 = 1_048_576.0;

/// From a prefilled queue, as fast as it goes.
const PREFILLED: usize = 20_000;

/// Tasks a second, and for how long.
const PACE: usize = 2_000;
const PACED: Duration = Duration::from_secs(30);

/// What one run of a worker came to.
struct Measured {
    /// Tasks a second.
    rate: f64,
    /// Of the processor, in microseconds for each task.
    cost: f64,
}

pub(crate) fn run(report: &mut Report) {
    let rounds = std::env::var("UMBEL_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    for broker in [Broker::Redis, Broker::RabbitMq] {
        report.section(&format!(
            "Events on {}: tasks.add, `celery events` listening on the same machine, beside none",
            broker.name()
        ));
        let stage = Stage::set(broker);
        // At its full speed a monitor takes a core from everybody else.
        pairs("full speed", None, rounds.unwrap_or(3), report, |on| prefilled(&stage, on));
        let most = Some(Target::Below(15.0));
        pairs("2,000/s for 30 s", most, rounds.unwrap_or(1), report, |on| paced(&stage, on));
        silence(&stage, report);
        congestion(&stage, report);
    }
}

/// Measures without events and with them, in turns.
fn pairs(
    what: &str,
    most: Option<Target>,
    rounds: usize,
    report: &mut Report,
    measure: impl Fn(bool) -> Measured,
) {
    let mut seen = [vec![], vec![]];
    for round in 1..=rounds {
        for (seen, word) in seen.iter_mut().zip(["off", "on"]) {
            let measured = measure(word == "on");
            let Measured { rate, cost } = measured;
            println!("  round {round}: events {word:<4} {rate:>8.0} tasks/s {cost:>6.0} µs each");
            seen.push(measured);
        }
    }
    let middle = |of: fn(&Measured) -> f64| {
        [0, 1].map(|side: usize| median(&seen[side].iter().map(of).collect::<Vec<f64>>()))
    };
    let [off, on] = middle(|measured| measured.rate);
    report.figure(&format!("{what}, events off"), off, "tasks/s", None);
    report.figure(&format!("{what}, events on"), on, "tasks/s", None);
    report.figure(&format!("{what}: throughput lost"), (1.0 - on / off) * 100.0, "%", most);
    let [off, on] = middle(|measured| measured.cost);
    report.figure(&format!("{what}: the worker's processor for events"), on - off, "µs/task", None);
}

fn prefilled(stage: &Stage, on: bool) -> Measured {
    stage.clear();
    let monitor = on.then(|| monitor(stage));
    stage.fill(PREFILLED);
    let umbel = worker(stage, on).spawn();
    let rate = stage.watch(PREFILLED);
    drop(monitor);
    measured(&umbel, rate, PREFILLED)
}

/// What was done by the time the last one was sent, by the second.
fn paced(stage: &Stage, on: bool) -> Measured {
    stage.clear();
    let monitor = on.then(|| monitor(stage));
    let umbel = worker(stage, on).spawn();
    // Its log does not tell when it is ready; a task that is answered does.
    stage.fill(1);
    stage.await_results(1);
    let started = Instant::now();
    let sent = stage.pace(PACE, PACED);
    let done = stage.count_results();
    let rate = done as f64 / started.elapsed().as_secs_f64();
    stage.await_results(sent + 1);
    drop(monitor);
    measured(&umbel, rate, sent)
}

/// A broker that stands still while tasks run, with nobody listening before.
fn silence(stage: &Stage, report: &mut Report) {
    stage.clear();
    let umbel = worker(stage, true).spawn();
    stage.fill(PREFILLED);
    stage.await_results(PREFILLED);
    let before = umbel.process.usage().resident;
    stage.fill(PREFILLED);
    stage.await_results(PREFILLED * 2);
    let after = umbel.process.usage().resident;
    let grown = (after as f64 - before as f64) / MEBIBYTE;
    report.figure("grown over 20,000 tasks unheard", grown, "MiB", Some(Target::Below(16.0)));
    stage.fill(PREFILLED);
    stage.await_results(PREFILLED * 2 + 1_000);
    stage.broker_process().signal(Signal::STOP);
    let mut highest = 0;
    for _ in 0..40 {
        sleep(Duration::from_millis(500));
        highest = highest.max(umbel.process.usage().resident);
    }
    stage.broker_process().signal(Signal::CONT);
    stage.await_results(PREFILLED * 3);
    let grown = (highest as f64 - after as f64) / MEBIBYTE;
    report.figure("grown while the broker stands still", grown, "MiB", Some(Target::Below(32.0)));
}

/// A broker that delivers and takes no events: tasks go on.
fn congestion(stage: &Stage, report: &mut Report) {
    stage.clear();
    stage.fill(PREFILLED);
    if !stage.starve(true) {
        return;
    }
    let umbel = worker(stage, true).spawn();
    let rate = stage.watch(PREFILLED);
    let peak = umbel.process.usage().resident_peak as f64 / MEBIBYTE;
    report.figure("while the broker takes no events", rate, "tasks/s", None);
    report.figure("highest memory meanwhile", peak, "MiB", Some(Target::Below(96.0)));
    stage.starve(false);
}

fn worker(stage: &Stage, on: bool) -> Worker {
    let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
    let worker = worker.plugin("tasks", paths::plugin("tasks"));
    let worker = worker.args(&["--loglevel", "warning", "-n", "umbel@bench"]);
    if on { worker.args(&["-E"]) } else { worker }
}

/// Celery's own; but for its first line, what it prints is thrown away.
fn monitor(stage: &Stage) -> Process {
    let (python, url) = (paths::python(), stage.broker_url());
    let mut command = Command::new("sh");
    command.env("PYTHONUNBUFFERED", "1").arg("-c").arg(format!(
        "{} -m celery -b {url} events --dump | {{ head -n 1; exec cat >/dev/null; }}",
        python.display()
    ));
    let mut monitor = Process::start("celery events", command);
    monitor.await_log("starting capture", PATIENCE);
    monitor
}

fn measured(umbel: &Umbel, rate: f64, tasks: usize) -> Measured {
    let cost = umbel.process.usage().cpu.as_secs_f64() * 1e6 / tasks as f64;
    Measured { rate, cost }
}
