//! `umbel worker` and the other commands of the binary, as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::eventually::{PATIENCE, eventually};
use crate::paths;
use crate::process::Process;
use crate::reaper;

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Worker {
    broker: String,
    results: Option<String>,
    plugins: Vec<(String, PathBuf)>,
    folder: Option<PathBuf>,
    config: String,
    args: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Worker {
    /// A worker on this broker with all example plugins.
    pub fn on(broker: &str) -> Worker {
        Worker {
            broker: broker.to_owned(),
            results: None,
            plugins: vec![],
            folder: None,
            config: String::new(),
            args: vec![],
            variables: vec![],
        }
    }

    /// Where results go.
    pub fn results(mut self, url: &str) -> Worker {
        self.results = Some(url.to_owned());
        self
    }

    /// Serves this component under this name, and only those named this way.
    pub fn plugin(mut self, name: &str, file: PathBuf) -> Worker {
        self.plugins.push((name.to_owned(), file));
        self
    }

    /// Serves what somebody else puts into this folder.
    pub fn folder(mut self, folder: &Path) -> Worker {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Lines for its `umbel.toml`.
    pub fn config(mut self, toml: &str) -> Worker {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Further arguments.
    pub fn args(mut self, args: &[&str]) -> Worker {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// An environment variable of its own.
    pub fn variable(mut self, name: &str, value: &str) -> Worker {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Umbel {
        let mut umbel = self.spawn();
        umbel.await_ready();
        umbel
    }

    /// Starts it without waiting.
    pub fn spawn(self) -> Umbel {
        let home = TempDir::with_prefix("umbel-home-").expect("a temporary folder can be made");
        reaper::remove(home.path());
        let plugins = self.lay_out(home.path());
        let config = home.path().join("umbel.toml");
        std::fs::write(&config, &self.config).expect("a temporary folder is writable");
        let started = Instant::now();
        let process = Process::start("umbel worker", self.command(&plugins, &config));
        Umbel { process, options: self, plugins, config, started, home }
    }

    /// Components that were named are copied into a folder of their own.
    fn lay_out(&self, home: &Path) -> PathBuf {
        if let Some(folder) = &self.folder {
            return folder.clone();
        }
        if self.plugins.is_empty() {
            return paths::plugins();
        }
        let folder = home.join("plugins");
        std::fs::create_dir(&folder).expect("a fresh folder is empty");
        for (name, file) in &self.plugins {
            let copy = folder.join(format!("{name}.wasm"));
            std::fs::copy(file, copy).expect("a component can be copied");
        }
        folder
    }

    fn command(&self, plugins: &Path, config: &Path) -> Command {
        let mut command = command("worker");
        command.args(["--broker", &self.broker]);
        if self.broker.starts_with("amqp") {
            // A machine of many tests may stand still for longer than the usual four seconds.
            command.args(["--connect-timeout", "30s"]);
        }
        if let Some(results) = &self.results {
            command.args(["--result-backend", results]);
        }
        command.arg("--plugins").arg(plugins).arg("--config").arg(config);
        if geteuid().is_root() {
            command.arg("--allow-root");
        }
        command.args(&self.args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running `umbel worker`.
#[derive(Debug)]
pub struct Umbel {
    /// The process.
    pub process: Process,
    options: Worker,
    plugins: PathBuf,
    config: PathBuf,
    started: Instant,
    home: TempDir,
}

impl Umbel {
    /// Waits for its `ready.`; gives how long it took since the start.
    #[track_caller]
    pub fn await_ready(&mut self) -> Duration {
        self.process.await_log("ready.", PATIENCE);
        self.started.elapsed()
    }

    /// Kills it without notice.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same options; the old process must have ended.
    pub fn start_again(&mut self) {
        let command = self.options.command(&self.plugins, &self.config);
        self.started = Instant::now();
        self.process = Process::start("umbel worker", command);
    }

    /// Asks it to drain and end.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Asks it to drain, and waits for its end. One that was just started is given the time to
    /// learn what it is asked.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        eventually("it listens to SIGTERM", PATIENCE, || {
            let heard = self.process.catches(Signal::TERM) || self.process.poll().is_some();
            heard.then_some(()).ok_or_else(|| self.process.log())
        });
        self.terminate();
        self.process.await_end(PATIENCE)
    }

    /// A folder that lives as long as this worker.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

/// A command of the binary, with nothing of the environment that would configure it.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(paths::umbel());
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("UMBEL_") {
            command.env_remove(key);
        }
    }
    command.env("XDG_CACHE_HOME", paths::cache()).env("NO_COLOR", "1").arg(name);
    command
}

/// Runs a command of the binary to its end.
pub fn run(name: &str, args: &[&str]) -> Output {
    command(name).args(args).output().expect("the binary can be started")
}
