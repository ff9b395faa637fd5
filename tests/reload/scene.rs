//! A worker on the embedded broker whose plugins and configuration a test changes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually, expect_equal};
use umbel_harness::worker::{self, Umbel, Worker};
use umbel_protocol::record::{ResultRecord, State};
use umbel_system_tests::client::{Client, url};

use crate::component::{component, put};

/// For every worker here; a test's own lines come behind.
const CONFIG: &str = "plugin-sweep = \"1s\"\n[tasks]\ntrack-started = true\n";

/// What the worker is called.
const NODE: &str = "reload@lab";

pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) worker: Umbel,
    broker: String,
    _folder: TempDir,
}

impl Scene {
    /// A worker with these plugins, each by its marker.
    pub(crate) fn open(plugins: &[(&str, &str)], config: &str) -> Scene {
        let folder = TempDir::with_prefix("umbel-reload-").expect("a temporary folder");
        let broker = url(&folder.path().join("queue.db"));
        let mut worker = Worker::on(&broker).config(&format!("{CONFIG}{config}"));
        for (name, marker) in plugins {
            let file = folder.path().join(format!("{name}.wasm"));
            fs::write(&file, component(marker)).expect("a temporary folder is writable");
            worker = worker.plugin(name, file);
        }
        let worker = worker.args(&["--hostname", NODE]).start();
        let client = Client::open(&folder.path().join("queue.db"));
        Scene { client, worker, broker, _folder: folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.worker.home().join("plugins").join(format!("{name}.wasm"))
    }

    /// Puts another content in a plugin's place.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        put(&self.file(name), bytes);
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, config: &str) {
        put(&self.worker.home().join("umbel.toml"), format!("{CONFIG}{config}").as_bytes());
    }

    /// Waits until the log says so for the `times`th time.
    #[track_caller]
    pub(crate) fn await_told(&self, text: &str, times: usize) {
        eventually(&format!("the log tells {text:?}"), PATIENCE, || {
            let log = self.worker.process.log();
            let told = log.matches(text).count();
            if told >= times { Ok(()) } else { Err(format!("{told} times:\n{log}")) }
        });
    }

    #[track_caller]
    pub(crate) fn value(&self, task: &str) -> String {
        text(&self.client.call(task, "[]"))
    }

    #[track_caller]
    pub(crate) fn is_unknown(&self, task: &str) {
        let record = self.client.call(task, "[]");
        assert_eq!(record.state, State::Failure, "{record:?}");
        assert!(format!("{record:?}").contains("NotRegistered"), "{record:?}");
    }

    /// Waits until a task has begun.
    #[track_caller]
    pub(crate) fn await_started(&self, id: &str) {
        eventually("the task begins", PATIENCE, || {
            let state = self.client.get(id).map(|record| record.state.as_str().to_owned());
            expect_equal(state, Some("STARTED".to_owned()))
        });
    }

    /// What the worker says of one plugin, by the end of its file's name.
    #[track_caller]
    pub(crate) fn plugin(&self, file: &str) -> Json {
        let said = self.ask("tasks", &["--running", "--timeout", "30s"]);
        let node = said.as_object().and_then(|nodes| nodes.values().next()).expect("one node");
        let plugins = node["plugins"].as_array().expect("a list of plugins");
        let one =
            plugins.iter().find(|one| one["file"].as_str().is_some_and(|f| f.ends_with(file)));
        one.unwrap_or_else(|| panic!("no {file} in {said}")).clone()
    }

    /// Asks the worker by a command of the binary; gives what it prints as JSON.
    #[track_caller]
    pub(crate) fn ask(&self, command: &str, args: &[&str]) -> Json {
        let common = ["--broker", &self.broker, "--json", "--destination", NODE];
        let output = worker::run(command, &[&common, args].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {error}"))
    }
}

/// The text that a task returned.
#[track_caller]
pub(crate) fn text(record: &ResultRecord) -> String {
    assert_eq!(record.state, State::Success, "{record:?}");
    record.result.as_str().expect("a text").to_owned()
}

/// Long enough for a slow machine to be slow, short for a test.
pub(crate) const MOMENT: Duration = Duration::from_millis(40);
