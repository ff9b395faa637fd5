//! A broker, workers on it, and Celery's command line.

use std::path::PathBuf;
use std::process::Command as Program;

use serde_json::Value;
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::python::{CeleryWorker, Peer};
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_system_tests::client::Client as Sender;

use crate::commands::{Command, Same};
use crate::scrape::SERVE;

/// The names of the two workers.
pub(crate) const UMBEL: &str = "umbel@lab";
pub(crate) const PYTHON: &str = "python@lab";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Redis,
    RabbitMq,
}

/// A broker with nothing on it yet.
pub(crate) struct Stage {
    kind: Broker,
    broker: String,
    results: String,
    redis: RedisServer,
}

impl Stage {
    pub(crate) fn set(broker: Broker) -> Stage {
        let redis = RedisServer::start();
        let url = match broker {
            Broker::Redis => redis.url(0),
            Broker::RabbitMq => {
                let node = RabbitMq::shared();
                node.url(&node.fresh_vhost())
            }
        };
        Stage { kind: broker, broker: url, results: redis.url(1), redis }
    }

    pub(crate) fn broker(&self) -> &str {
        &self.broker
    }

    /// An Umbel worker that tells of its tasks.
    pub(crate) fn umbel(&self, node: &str) -> Umbel {
        let tasks = paths::plugin("tasks");
        self.worker().plugin("tasks", tasks).args(&["-n", node, "-E", "-c", "2"]).start()
    }

    /// One that serves its metrics, with a plugin whose tasks behave and one whose tasks do not.
    pub(crate) fn umbel_that_serves(&self, node: &str) -> Umbel {
        let (tasks, rogue) = (paths::plugin("tasks"), paths::plugin("rogue"));
        let worker = self.worker().plugin("tasks", tasks).plugin("rogue", rogue);
        worker.args(&["-n", node, "-c", "2"]).args(&SERVE).start()
    }

    /// A client without Python.
    pub(crate) fn sender(&self) -> Sender {
        Sender::of(&self.broker, &self.results)
    }

    /// One whose tasks compute until they are stopped.
    pub(crate) fn umbel_that_computes(&self, node: &str, slots: usize) -> Umbel {
        let slots = slots.to_string();
        let loops = paths::guest("loops");
        let args = ["-n", node, "-c", &slots, "--time-limit", "10m", "--drain-timeout", "1s"];
        self.worker().plugin("loops", loops).args(&args).start()
    }

    /// An Umbel worker, not started yet.
    pub(crate) fn worker(&self) -> Worker {
        Worker::on(&self.broker).results(&self.results)
    }

    /// A Python worker that tells of its tasks.
    pub(crate) fn python(&self, node: &str) -> CeleryWorker {
        self.python_with(node, &[])
    }

    /// One with further arguments.
    pub(crate) fn python_with(&self, node: &str, args: &[&str]) -> CeleryWorker {
        let args = [&["-n", node, "-E", "-c", "2"], args].concat();
        CeleryWorker::start(&self.broker, &self.results, &args)
    }

    /// `celery events --dump`.
    pub(crate) fn events(&self) -> Process {
        let mut program = self.celery();
        program.args(["events", "--dump"]);
        let mut dump = Process::start("celery events", program);
        dump.await_log("starting capture", umbel_harness::eventually::PATIENCE);
        dump
    }

    /// Celery's program with the tasks of the Python worker, to be told what it is to do.
    pub(crate) fn celery(&self) -> Program {
        let mut program = Program::new(paths::python());
        program
            .current_dir(folder())
            .env("PEER_BROKER", &self.broker)
            .env("PEER_RESULTS", &self.results)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            .args(["-m", "celery", "-A", "python_tasks"]);
        program
    }

    /// A Celery client.
    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(&self.broker, &self.results)
    }

    /// Who is connected to the broker, by their ports.
    pub(crate) fn connected(&self) -> Vec<u16> {
        match self.kind {
            Broker::Redis => {
                let list = self.redis.command_line(&["CLIENT", "LIST"]);
                let addresses =
                    list.split_whitespace().filter_map(|word| word.strip_prefix("addr="));
                addresses.filter_map(|address| address.rsplit(':').next()?.parse().ok()).collect()
            }
            Broker::RabbitMq => {
                let vhost = self.broker.rsplit('/').next().expect("a URL has a path");
                RabbitMq::shared().connected(vhost)
            }
        }
    }

    /// They lose the broker, and nobody else.
    pub(crate) fn cut(&self, ports: &[u16]) {
        match self.kind {
            Broker::Redis => {
                for port in ports {
                    let address = format!("127.0.0.1:{port}");
                    self.redis.command_line(&["CLIENT", "KILL", "ADDR", &address]);
                }
            }
            Broker::RabbitMq => RabbitMq::shared().cut(ports),
        }
    }

    /// Where the broker tells of its queues over HTTP, if it does.
    pub(crate) fn management(&self) -> Option<String> {
        match self.kind {
            Broker::Redis => None,
            Broker::RabbitMq => Some(RabbitMq::shared().management()),
        }
    }

    /// Celery's command line, in a process that lives on.
    pub(crate) fn client(&self) -> Client {
        let mut python = self.peer();
        let (broker, results, folder) = (&self.broker, &self.results, folder());
        python.exec(&format!(
            "import os\nos.environ.update(PEER_BROKER={broker:?}, PEER_RESULTS={results:?}, \
             PEER_FOLDER={folder:?})"
        ));
        python.exec(include_str!("cli.py"));
        Client { python }
    }
}

fn folder() -> PathBuf {
    paths::tests().join("interop")
}

/// A client of the stage.
pub(crate) struct Client {
    pub(crate) python: Peer,
}

/// What a command printed, and its exit status.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) exit: i64,
    pub(crate) out: String,
}

/// A command asked of both.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) command: Command,
    pub(crate) python: Done,
    pub(crate) umbel: Done,
}

impl Client {
    pub(crate) fn run(&mut self, line: &str) -> Done {
        let words: Vec<&str> = line.split(' ').collect();
        let words = serde_json::to_string(&words).expect("texts are JSON");
        let told = self.python.eval(&format!("cli(*{words})"));
        Done {
            exit: told["exit"].as_i64().expect("a number"),
            out: told["out"].as_str().expect("a text").to_owned(),
        }
    }

    /// Asks each of the two, and fails where they are not as alike as they must be.
    pub(crate) fn compare(&mut self, command: Command) -> Row {
        let json = if command.same == Same::Shape { " --json" } else { "" };
        // Who does not answer at all is waited for to the end.
        let patience = if command.line.ends_with("shutdown") { 3 } else { 60 };
        let mut ask = |node: &str| {
            let mut done = self.run(&format!("{} -d {node} -t {patience}{json}", command.line));
            done.out = done.out.replace(node, "NODE");
            done
        };
        let row = Row { command, python: ask(PYTHON), umbel: ask(UMBEL) };
        let Row { python, umbel, .. } = &row;
        let line = command.line;
        match command.same {
            Same::Differs(_) => {}
            _ => assert_eq!(umbel.exit, python.exit, "{line}:\n{}\n{}", umbel.out, python.out),
        }
        match command.same {
            Same::Text => assert_eq!(umbel.out, python.out, "{line}"),
            Same::Shape => assert_eq!(shape(&umbel.out), shape(&python.out), "{line}"),
            Same::Status | Same::Differs(_) => {}
        }
        row
    }
}

/// Which keys an answer has, and of which types their values are. What Umbel tells besides, and
/// what belongs to one worker alone, is left out.
fn shape(out: &str) -> Value {
    let first = out.lines().next().unwrap_or_default();
    let mut answer: Value =
        serde_json::from_str(first).unwrap_or_else(|why| panic!("{why}: {out}"));
    let told = &mut answer["NODE"];
    if let Some(told) = told.as_object_mut() {
        told.remove("events_dropped");
        told.remove("total");
    }
    kinds(told)
}

fn kinds(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), kinds(value))).collect(),
        Value::Array(_) => "list".into(),
        // Some are not known to both.
        Value::Null | Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "truth".into(),
    }
}
