//! Tasks per second from a prefilled queue: Umbel, Celery and the bare loop take turns.

use std::any::Any;
use std::process::Command;

use serde_json::{Value, json};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::python::CeleryWorker;
use umbel_harness::worker::Worker;

use crate::chart::{Bar, Group, svg, thousands};
use crate::report::{Report, Target, median, pretty, write};
use crate::stage::{Broker, Stage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Umbel,
    Celery,
    Bare,
}

const CONTENDERS: [Contender; 3] = [Contender::Umbel, Contender::Celery, Contender::Bare];

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Umbel => "Umbel",
            Contender::Celery => "Celery, prefork 2",
            Contender::Bare => "bare Rust loop",
        }
    }

    /// Enough for some seconds.
    fn messages(self) -> usize {
        match self {
            Contender::Umbel | Contender::Bare => 20_000,
            Contender::Celery => 5_000,
        }
    }

    /// At work until what it gives is dropped.
    fn start(self, stage: &Stage) -> Box<dyn Any> {
        let (broker, results) = (stage.broker_url(), stage.results_url());
        match self {
            // Both without a log line for each task: that is Celery's default.
            Contender::Umbel => {
                let worker = Worker::on(&broker).results(&results);
                let worker = worker.plugin("tasks", paths::plugin("tasks"));
                Box::new(worker.args(&["--loglevel", "warning"]).spawn())
            }
            Contender::Celery => {
                let args = ["--loglevel", "WARNING", "--concurrency", "2"];
                Box::new(CeleryWorker::spawn(&broker, &results, &args))
            }
            Contender::Bare => {
                let own = std::env::current_exe().expect("a program knows its own file");
                let mut command = Command::new(own);
                command.args(["bare", &broker, &results]);
                Box::new(Process::start("bare loop", command))
            }
        }
    }
}

/// What was measured on one broker.
struct Drained {
    broker: Broker,
    rates: Vec<(Contender, Vec<f64>)>,
}

impl Drained {
    fn rate(&self, of: Contender) -> f64 {
        let rates = self.rates.iter().find(|(contender, _)| *contender == of);
        rates.map_or(f64::NAN, |(_, rates)| median(rates))
    }
}

/// Runs every contender several times on both brokers.
pub(crate) fn run(report: &mut Report) {
    let rounds = std::env::var("UMBEL_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(3);
    let drained = [Broker::Redis, Broker::RabbitMq].map(|broker| measure(broker, rounds, report));
    let file = write("drain.json", &pretty(&Value::Array(drained.iter().map(as_json).collect())));
    let chart = write("drain.svg", &chart(&drained));
    println!("  written: {}, {}", file.display(), chart.display());
}

fn measure(broker: Broker, rounds: usize, report: &mut Report) -> Drained {
    report.section(&format!(
        "{}: tasks.add from a prefilled queue, results stored in Redis, a fresh instance for each task\n\
         (Umbel acknowledges late and Celery early, as is their default; the bare loop late)",
        broker.name(),
    ));
    let stage = Stage::set(broker);
    let mut rates: Vec<(Contender, Vec<f64>)> = CONTENDERS.map(|one| (one, vec![])).into();
    for round in 1..=rounds {
        for (contender, rates) in &mut rates {
            stage.clear();
            stage.fill(contender.messages());
            let at_work = contender.start(&stage);
            let rate = stage.watch(contender.messages());
            drop(at_work);
            println!("  round {round}: {:<18} {:>8} tasks/s", contender.name(), thousands(rate));
            rates.push(rate);
        }
    }
    let drained = Drained { broker, rates };
    tell(&drained, report);
    drained
}

fn tell(drained: &Drained, report: &mut Report) {
    let on = drained.broker.name();
    for contender in CONTENDERS {
        let name = format!("{} on {on}", contender.name());
        report.figure(&name, drained.rate(contender), "tasks/s", None);
    }
    let (times_celery, of_bare) = ratios(drained);
    let least = match drained.broker {
        Broker::Redis => 15.0,
        Broker::RabbitMq => 7.0,
    };
    let name = format!("Umbel to Celery on {on}");
    report.figure(&name, times_celery, "times", Some(Target::AtLeast(least)));
    let name = format!("Umbel to the bare loop on {on}");
    report.figure(&name, of_bare, "times", Some(Target::AtLeast(0.6)));
}

fn ratios(drained: &Drained) -> (f64, f64) {
    let umbel = drained.rate(Contender::Umbel);
    (umbel / drained.rate(Contender::Celery), umbel / drained.rate(Contender::Bare))
}

fn as_json(drained: &Drained) -> Value {
    let (times_celery, of_bare) = ratios(drained);
    let contenders: Vec<Value> = drained
        .rates
        .iter()
        .map(|(contender, rates)| {
            json!({
                "name": contender.name(),
                "messages": contender.messages(),
                "tasks_per_second": median(rates),
                "rounds": rates,
            })
        })
        .collect();
    json!({
        "broker": drained.broker.name(),
        "results": "Redis",
        "contenders": contenders,
        "umbel_to_celery": times_celery,
        "umbel_to_bare": of_bare,
    })
}

fn chart(drained: &[Drained]) -> String {
    let bar = |drained: &Drained, contender: Contender| Bar {
        label: contender.name().to_owned(),
        value: drained.rate(contender),
        ours: contender == Contender::Umbel,
    };
    let groups: Vec<Group> = drained
        .iter()
        .map(|drained| Group {
            title: drained.broker.name().to_owned(),
            bars: CONTENDERS.map(|contender| bar(drained, contender)).into(),
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let note = format!(
        "tasks.add from a prefilled queue, results in Redis; all on one machine with {cores} cores. \
         Umbel: a fresh sandbox for each task.",
    );
    svg("Tasks per second", &note, &groups)
}
