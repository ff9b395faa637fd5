//! How soon a worker answers its operators while every slot computes.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::python::{CeleryWorker, Peer};
use umbel_harness::worker::Worker;

use crate::report::{Report, Target, quantile};
use crate::stage::{Broker, Stage};

const UMBEL: &str = "umbel@bench";
const CELERY: &str = "celery@bench";
const SLOTS: usize = 4;

/// Asks, and says how many milliseconds each answer took; those that never came are missing.
const ASK: &str = "
def ask(node):
    took = []
    for _ in range(100):
        begun = time.perf_counter()
        if app.control.ping(timeout=1, destination=[node]):
            took.append((time.perf_counter() - begun) * 1000)
    return took
";

pub(crate) fn run(report: &mut Report) {
    for broker in [Broker::Redis, Broker::RabbitMq] {
        report.section(&format!(
            "Remote control on {}: 100 pings by one client of Celery's, and its command line",
            broker.name()
        ));
        let stage = Stage::set(broker);
        let mut client = Peer::connect(&stage.broker_url(), &stage.results_url());
        client.exec(ASK);
        idle(&stage, &mut client, report);
        busy(&stage, &mut client, report);
    }
}

/// What is to be expected of the client, the broker and this machine.
fn idle(stage: &Stage, client: &mut Peer, report: &mut Report) {
    let args = ["-n", CELERY, "-c", "2"];
    let _celery = CeleryWorker::start(&stage.broker_url(), &stage.results_url(), &args);
    let took = pings(client, CELERY);
    report.figure("Celery, idle: answer, median", quantile(&took, 0.5), "ms", None);
}

/// Twice as many guests compute as there are slots.
fn busy(stage: &Stage, client: &mut Peer, report: &mut Report) {
    let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
    let args = ["-n", UMBEL, "-c", &SLOTS.to_string(), "--time-limit", "1h"];
    let _umbel = worker.plugin("loops", paths::guest("loops")).args(&args).start();
    let took = pings(client, UMBEL);
    report.figure("Umbel, idle: answer, median", quantile(&took, 0.5), "ms", None);
    client.exec(&format!("for _ in range({}): app.send_task('loops.forever')", SLOTS * 2));
    eventually("every slot computes", PATIENCE, || {
        let told = client.eval("app.control.inspect(timeout=5).active()");
        let active = told[UMBEL].as_array().map_or(0, Vec::len);
        if active == SLOTS { Ok(()) } else { Err(told.to_string()) }
    });
    let took = pings(client, UMBEL);
    let all = Some(Target::AtLeast(100.0));
    report.figure("every slot computes: within 1 s, of 100", took.len() as f64, "pings", all);
    report.figure("every slot computes: answer, median", quantile(&took, 0.5), "ms", None);
    let latest = quantile(&took, 1.0);
    report.figure("every slot computes: answer, latest", latest, "ms", Some(Target::Below(100.0)));
    for line in [&["status"][..], &["inspect", "ping"]] {
        program(stage, line, report);
    }
}

fn pings(client: &mut Peer, node: &str) -> Vec<f64> {
    let took = client.eval_within(&format!("ask({node:?})"), Duration::from_secs(300));
    took.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// Celery's program, its start left out: what it takes to do nothing is measured beside it.
fn program(stage: &Stage, line: &[&str], report: &mut Report) {
    let run = |words: &[&str]| {
        let mut command = Command::new(paths::python());
        command.args(["-m", "celery", "-b", &stage.broker_url()]).args(words);
        let begun = Instant::now();
        let done = command.output().expect("python can be started");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        begun.elapsed().as_secs_f64()
    };
    let asked = [line, &["-d", UMBEL]].concat();
    let took: Vec<f64> = (0..5).map(|_| run(&asked) - run(&["--version"])).collect();
    let name = format!(
        "every slot computes: `celery {}`, slowest of 5, its start left out",
        line.join(" ")
    );
    report.figure(&name, quantile(&took, 1.0), "s", Some(Target::Below(1.0)));
}
