//! How soon a worker answers its operators while every slot computes.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::python::Peer;
use umbel_harness::worker::Worker;

use crate::report::{Report, Target, quantile};
use crate::stage::{Broker, Stage};

const NODE: &str = "umbel@bench";
const PINGS: usize = 100;
const SLOTS: usize = 4;

/// Asks, and says how many milliseconds each answer took; those that never came are missing.
const ASK: &str = "
def ask(count):
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        if app.control.ping(timeout=1, destination=['umbel@bench']):
            took.append((time.perf_counter() - begun) * 1000)
    return took
";

pub(crate) fn run(report: &mut Report) {
    for broker in [Broker::Redis, Broker::RabbitMq] {
        report.section(&format!(
            "Remote control on {}, while twice as many guests compute as there are slots",
            broker.name()
        ));
        let stage = Stage::set(broker);
        let loops = paths::guest("loops");
        let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
        let args = ["-n", NODE, "-c", &SLOTS.to_string(), "--time-limit", "1h"];
        let _umbel = worker.plugin("loops", loops).args(&args).start();
        let mut client = Peer::connect(&stage.broker_url(), &stage.results_url());
        client.exec(&format!("for _ in range({}): app.send_task('loops.forever')", SLOTS * 2));
        eventually("every slot computes", PATIENCE, || {
            let told = client.eval("app.control.inspect(timeout=5).active()");
            let active = told[NODE].as_array().map_or(0, Vec::len);
            if active == SLOTS { Ok(()) } else { Err(told.to_string()) }
        });
        client.exec(ASK);
        let asked = format!("ask({PINGS})");
        let took = client.eval_within(&asked, Duration::from_secs(300));
        let took: Vec<f64> =
            took.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let all = Some(Target::AtLeast(PINGS as f64));
        report.figure("answered within 1 s, of 100", took.len() as f64, "pings", all);
        report.figure("answer, median", quantile(&took, 0.5), "ms", None);
        report.figure("answer, latest", quantile(&took, 1.0), "ms", Some(Target::Below(100.0)));
        for line in [&["status"][..], &["inspect", "ping"]] {
            program(&stage, line, report);
        }
    }
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
    let asked = [line, &["-d", NODE]].concat();
    let took: Vec<f64> = (0..5).map(|_| run(&asked) - run(&["--version"])).collect();
    let name = format!("`celery {}`, slowest of 5, its start left out", line.join(" "));
    report.figure(&name, quantile(&took, 1.0), "s", Some(Target::Below(1.0)));
}
