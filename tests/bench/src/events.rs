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

/// How much throughput a monitor may cost.
const MOST: Target = Target::Below(15.0);

pub(crate) fn run(report: &mut Report) {
    let rounds = std::env::var("UMBEL_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    for broker in [Broker::Redis, Broker::RabbitMq] {
        report.section(&format!(
            "Events on {}: tasks.add, `celery events` listening, beside none",
            broker.name()
        ));
        let stage = Stage::set(broker);
        pairs("from a prefilled queue", rounds.unwrap_or(3), report, |on| prefilled(&stage, on));
        pairs("at 2,000 tasks/s for 30 s", rounds.unwrap_or(1), report, |on| paced(&stage, on));
        silence(&stage, report);
    }
}

/// Measures without events and with them, in turns.
fn pairs(what: &str, rounds: usize, report: &mut Report, measure: impl Fn(bool) -> f64) {
    let mut rates = [vec![], vec![]];
    for round in 1..=rounds {
        for (rates, on) in rates.iter_mut().zip([false, true]) {
            let rate = measure(on);
            let word = if on { "on" } else { "off" };
            println!("  round {round}: events {word:<4} {rate:>8.0} tasks/s");
            rates.push(rate);
        }
    }
    let [off, on] = rates.map(|rates| median(&rates));
    report.figure(&format!("{what}, events off"), off, "tasks/s", None);
    report.figure(&format!("{what}, events on"), on, "tasks/s", None);
    report.figure(&format!("{what}, events cost"), (1.0 - on / off) * 100.0, "%", Some(MOST));
}

fn prefilled(stage: &Stage, on: bool) -> f64 {
    stage.clear();
    let monitor = on.then(|| monitor(stage));
    stage.fill(PREFILLED);
    let umbel = worker(stage, on).spawn();
    let rate = stage.watch(PREFILLED);
    tell(&umbel);
    drop(monitor);
    rate
}

/// What was done by the time the last one was sent, by the second.
fn paced(stage: &Stage, on: bool) -> f64 {
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
    tell(&umbel);
    drop(monitor);
    rate
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
    tell(&umbel);
}

fn worker(stage: &Stage, on: bool) -> Worker {
    let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
    let worker = worker.plugin("tasks", paths::plugin("tasks"));
    let worker = worker.args(&["--loglevel", "warning", "-n", "umbel@bench"]);
    if on { worker.args(&["-E"]) } else { worker }
}

/// Celery's own, with what it prints thrown away.
fn monitor(stage: &Stage) -> Process {
    let mut command = Command::new("sh");
    let python = paths::python();
    let url = stage.broker_url();
    command
        .arg("-c")
        .arg(format!("exec {} -m celery -b {url} events --dump >/dev/null", python.display()));
    let mut monitor = Process::start("celery events", command);
    monitor.await_log("starting capture", PATIENCE);
    monitor
}

fn tell(umbel: &Umbel) {
    let usage = umbel.process.usage();
    let peak = usage.resident_peak as f64 / MEBIBYTE;
    println!("    processor {:.1} s, memory at most {peak:.0} MiB", usage.cpu.as_secs_f64());
    for line in umbel.process.log().lines().filter(|line| line.contains("event")) {
        println!("    {line}");
    }
}
