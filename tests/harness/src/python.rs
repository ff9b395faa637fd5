//! Python peers: a Celery client to talk through, and real Celery workers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::eventually::PATIENCE;
use crate::paths;
use crate::process::Process;
use crate::reaper;

/// A Python process with an unmodified Celery client, called `app`, in default configuration.
/// What it evaluates is Python, so that tests show what a user writes.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// An exception that Python raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The class's module.
    pub module: String,
    /// The class's name.
    pub kind: String,
    /// `str(exception)`.
    pub message: String,
    /// The traceback that Python printed.
    pub traceback: String,
}

impl Peer {
    /// A client of this broker and result backend.
    pub fn connect(broker: &str, results: &str) -> Peer {
        let mut command = python(&paths::tests().join("interop/peer.py"));
        command.env("PEER_BROKER", broker).env("PEER_RESULTS", results);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("python can be started");
        reaper::watch(number(&child));
        let input = child.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (send, answers) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Peer { child, input, answers }
    }

    /// The value of a Python expression, as JSON.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        self.eval_within(expression, PATIENCE)
    }

    /// As [`Peer::eval`], with a deadline of its own.
    #[track_caller]
    pub fn eval_within(&mut self, expression: &str, within: Duration) -> Value {
        match self.ask("eval", expression, within) {
            Ok(value) => value,
            Err(raised) => panic!("{expression}\nraised {}", raised.traceback),
        }
    }

    /// Runs Python statements.
    #[track_caller]
    pub fn exec(&mut self, statements: &str) {
        self.exec_within(statements, PATIENCE);
    }

    /// As [`Peer::exec`], with a deadline of its own.
    #[track_caller]
    pub fn exec_within(&mut self, statements: &str, within: Duration) {
        if let Err(raised) = self.ask("exec", statements, within) {
            panic!("{statements}\nraised {}", raised.traceback);
        }
    }

    /// The exception that a Python expression raises.
    #[track_caller]
    pub fn raises(&mut self, expression: &str) -> Raised {
        match self.ask("eval", expression, PATIENCE) {
            Ok(value) => panic!("{expression}\nraised nothing but gave {value}"),
            Err(raised) => raised,
        }
    }

    #[track_caller]
    fn ask(&mut self, verb: &str, code: &str, within: Duration) -> Result<Value, Raised> {
        let request = json!({ "verb": verb, "code": code });
        if let Err(why) = writeln!(self.input, "{request}") {
            panic!("the Python peer is gone: {why}");
        }
        let answer = self.answers.recv_timeout(within).unwrap_or_else(|why| {
            panic!("no answer from Python ({why}) within {within:?} to\n{code}")
        });
        let answer: Value = serde_json::from_str(&answer).expect("the peer writes JSON lines");
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        match answer.get("value") {
            Some(value) => Ok(value.clone()),
            None => Err(Raised {
                module: text("module"),
                kind: text("kind"),
                message: text("message"),
                traceback: text("traceback"),
            }),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let group = number(&self.child);
        if let Some(pid) = Pid::from_raw(group) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        reaper::forget(group);
    }
}

/// Runs a script to its end; its standard output must be one JSON value.
#[track_caller]
pub fn run(script: &Path, args: &[&str]) -> Value {
    let output = python(script).args(args).output().expect("python can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{errors}", script.display(), output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{}: {why}\n{errors}", script.display()))
}

/// A real `celery worker` with the tasks of `tests/interop/python_tasks.py`.
#[derive(Debug)]
pub struct CeleryWorker {
    /// The process.
    pub process: Process,
}

impl CeleryWorker {
    /// Starts it with these further arguments and waits until it is ready.
    #[track_caller]
    pub fn start(broker: &str, results: &str, args: &[&str]) -> CeleryWorker {
        let args = [&["--loglevel", "INFO"], args].concat();
        let mut worker = CeleryWorker::spawn(broker, results, &args);
        worker.process.await_log("ready.", PATIENCE);
        worker
    }

    /// Starts it without waiting.
    pub fn spawn(broker: &str, results: &str, args: &[&str]) -> CeleryWorker {
        let mut command = Command::new(paths::python());
        command
            .current_dir(paths::tests().join("interop"))
            .env("PEER_BROKER", broker)
            .env("PEER_RESULTS", results)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["-m", "celery", "-A", "python_tasks", "worker"])
            .args(args);
        CeleryWorker { process: Process::start("celery worker", command) }
    }

    /// Asks it to end, and waits for that.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.await_end(PATIENCE)
    }
}

/// A script, not started yet.
pub fn python(script: &Path) -> Command {
    let mut command = Command::new(paths::python());
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg("-u").arg(script);
    command
}

fn number(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process ids fit")
}
