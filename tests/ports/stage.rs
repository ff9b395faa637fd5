//! A port on a worker, and a Celery client that has the task it replaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::process::Process;
use umbel_harness::python::Peer;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_harness::{eventually::PATIENCE, paths, shell};

use crate::readme::Readme;

/// For compilers on a busy machine.
const LONG: Duration = Duration::from_secs(1200);

/// What a README speaks of, before its worker is started.
pub(crate) struct Setting {
    pub(crate) redis: RedisServer,
    pub(crate) python: Peer,
    pub(crate) home: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Setting {
    pub(crate) fn new() -> Setting {
        let redis = RedisServer::start();
        let url = redis.url(0);
        let mut python = Peer::connect(&url, &url);
        python.exec(include_str!("comparing.py"));
        let home = TempDir::new().expect("a temporary folder can be made");
        Setting { redis, python, home, variables: Vec::new() }
    }

    /// A variable of the worker's environment, and of the task's that it replaces.
    pub(crate) fn variable(&mut self, name: &'static str, value: String) {
        self.python.exec(&format!("import os; os.environ[{name:?}] = {value:?}"));
        self.variables.push((name, value));
    }

    /// The port, once it has been tried as its README says.
    pub(crate) fn port(mut self, name: &str, component: &Path, readme: Readme) -> Port {
        let folder = self.home.path().join("build");
        fs::create_dir(&folder).expect("a temporary folder is writable");
        fs::copy(component, folder.join(format!("{name}.wasm"))).expect("it can be copied");
        let config = self.home.path().join("umbel.toml");
        fs::write(config, &readme.config).expect("a temporary folder is writable");
        for typed in &readme.invocations {
            let said = type_in(self.home.path(), &typed.line, &self.variables);
            assert!(said.contains(&typed.prints), "{} printed {said}", typed.line);
        }
        let url = self.redis.url(0);
        let worker = Worker::on(&url).results(&url).config(&readme.config);
        let worker = worker.plugin(name, component.to_owned());
        let variables = self.variables.iter();
        let worker = variables.fold(worker, |worker, (name, value)| worker.variable(name, value));
        let worker = worker.start();
        self.python.exec(&readme.task);
        Port {
            python: self.python,
            caller: readme.caller,
            worker,
            _redis: self.redis,
            _home: self.home,
        }
    }
}

/// A port on its worker.
pub(crate) struct Port {
    pub(crate) python: Peer,
    caller: String,
    worker: Umbel,
    _redis: RedisServer,
    _home: TempDir,
}

impl Port {
    /// The README's caller comes to the same with both; other code is run between them.
    #[track_caller]
    pub(crate) fn serves_its_caller(&mut self, between: &str) {
        let caller = self.caller.clone();
        self.agrees(&caller, between);
    }

    /// These calls come to the same, one after the other.
    #[track_caller]
    pub(crate) fn agrees_on(&mut self, task: &str, arguments: &[&str]) {
        for arguments in arguments {
            self.agrees(&format!("value = app.send_task({task:?}, {arguments}).get()"), "");
        }
    }

    #[track_caller]
    pub(crate) fn agrees(&mut self, code: &str, between: &str) {
        let _shown = self.worker.process.shown_on_failure();
        let code = serde_json::Value::from(code);
        let between = serde_json::Value::from(between);
        let different = self.python.eval_within(&format!("agree({code}, {between})"), 2 * PATIENCE);
        assert_eq!(different, "", "{code}");
    }
}

/// Builds a port that no script builds, as its README says.
pub(crate) fn build(name: &str, home: &Path) -> PathBuf {
    let folder = paths::workspace().join("plugins").join(name);
    let line = format!("umbel build --release --output {}/{name}.wasm", home.display());
    type_in(&folder, &line, &[]);
    home.join(format!("{name}.wasm"))
}

/// Types a line into a shell that finds the umbel which is tested, and compilers that scripts have
/// fetched; gives what it printed.
pub(crate) fn type_in(folder: &Path, line: &str, variables: &[(&'static str, String)]) -> String {
    let mut command = shell::typed(line, folder, &[]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let mut process = Process::start(line, command);
    let status = process.await_end(LONG);
    let said = process.log();
    assert!(status.success(), "`{line}` ended with {status}:\n{said}");
    said
}
