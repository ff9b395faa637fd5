//! A worker's life beside its work: how soon it is ready, what it uses when idle, what many
//! sleeping tasks cost.

use std::time::{Duration, Instant};

use umbel_harness::paths;
use umbel_harness::worker::{Umbel, Worker};
use umbel_system_tests::request::request;
use umbel_value::Value;

use crate::report::{Report, Target, median};
use crate::stage::{Broker, Stage};

const MEBIBYTE: f64 = 1_048_576.0;
const IDLE: Duration = Duration::from_secs(10);
const SLEEPERS: usize = 1000;

pub(crate) fn run(report: &mut Report) {
    let stage = Stage::set(Broker::Redis);
    report.section("A worker with all example plugins, compiled code in the cache, on Redis");
    // Fills the cache.
    drop(worker(&stage).start());
    ready(&stage, report);
    idle(&stage, report);
    report.section("1,000 tasks that sleep 5 s each, --concurrency 1000");
    crowd(&stage, report);
}

fn worker(stage: &Stage) -> Worker {
    Worker::on(&stage.broker_url()).results(&stage.results_url())
}

fn ready(stage: &Stage, report: &mut Report) {
    let starts: Vec<f64> = (0..5)
        .map(|_| {
            let started = Instant::now();
            let umbel = worker(stage).spawn();
            while !umbel.process.log().contains("ready.") {
                std::thread::sleep(Duration::from_millis(1));
            }
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    report.figure("start to `ready.`", median(&starts), "ms", Some(Target::Below(300.0)));
}

fn idle(stage: &Stage, report: &mut Report) {
    let umbel: Umbel = worker(stage).start();
    // What starting still has to do is no idling.
    std::thread::sleep(Duration::from_secs(2));
    let before = umbel.process.usage();
    std::thread::sleep(IDLE);
    let after = umbel.process.usage();
    let share = (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let resident = after.resident as f64 / MEBIBYTE;
    report.figure("resident memory, idle", resident, "MiB", Some(Target::Below(60.0)));
    report.figure("processor, idle", share, "% of a core", Some(Target::Below(1.0)));
}

fn crowd(stage: &Stage, report: &mut Report) {
    stage.clear();
    let worker = worker(stage).plugin("tasks", paths::plugin("tasks"));
    let umbel = worker.args(&["--concurrency", "1000", "--loglevel", "warning"]).spawn();
    // Its log does not tell when it is ready; a task that is answered does.
    let mut results = stage.results();
    let mut await_results = |count: usize| {
        loop {
            let seen: usize = redis::cmd("DBSIZE").query(&mut results).expect("Redis answers");
            if seen >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    stage.fill(1);
    await_results(1);
    let started = Instant::now();
    let sleep = || request("tasks.sleep", vec![Value::Float(5.0)]).encode();
    stage.send((0..SLEEPERS).map(|_| sleep()));
    await_results(1 + SLEEPERS);
    let took = started.elapsed().as_secs_f64();
    let peak = umbel.process.usage().resident_peak as f64 / MEBIBYTE;
    report.figure("first sent to last result", took, "s", Some(Target::Below(8.0)));
    report.figure("resident memory, highest", peak, "MiB", Some(Target::Below(300.0)));
}
