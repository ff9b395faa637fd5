//! What the built binary says and how it ends: one clear message for each mistake, no password in
//! any, documented exit codes.

mod authors;
mod beat;
mod brokers;
mod calls;
mod compiling;
mod configuration;
mod dead_letters;
mod documents;
mod embedded;
mod hardening;
mod operating;
mod plugins;
mod projects;
mod queues;
mod report;
mod rust_sdk;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use umbel_harness::process::Process;
use umbel_harness::{paths, worker};

/// For whatever ends by itself.
const SOON: Duration = Duration::from_secs(30);

/// The password of every test; no output may hold it.
const PASSWORD: &str = "hunter2";

/// How a command ended and what it wrote, standard output and error together.
struct Ended {
    code: i32,
    text: String,
}

/// `umbel <words>` in `folder`, as it would be typed there.
fn command(folder: &Path, words: &[&str]) -> Command {
    let (name, rest) = words.split_first().expect("a command has a name");
    let mut command = worker::command(name);
    command.args(rest).current_dir(folder);
    command
}

/// Runs a command to its end.
#[track_caller]
fn run(command: Command) -> Ended {
    let mut process = Process::start("umbel", command);
    let status = process.await_end(SOON);
    let text = process.log();
    assert!(!text.contains(PASSWORD), "a password was printed:\n{text}");
    Ended { code: status.code().unwrap_or(-1), text }
}

#[track_caller]
fn umbel(folder: &Path, words: &[&str]) -> Ended {
    run(command(folder, words))
}

impl Ended {
    /// It said all this, once as an error, and ended with this code.
    #[track_caller]
    fn refused(&self, code: i32, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in:\n{}", self.text);
        }
        let messages = self.text.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(messages, 1, "one message:\n{}", self.text);
        assert_eq!(self.code, code, "exit code:\n{}", self.text);
    }

    /// It ended well and said all this.
    #[track_caller]
    fn said(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in:\n{}", self.text);
        }
        assert_eq!(self.code, 0, "exit code:\n{}", self.text);
    }
}

/// A folder to start commands in, with its configuration and `plugins/`.
fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::create_dir(folder.path().join("plugins")).expect("a fresh folder is empty");
    if !toml.is_empty() {
        std::fs::write(folder.path().join("umbel.toml"), toml).expect("it is writable");
    }
    folder
}

/// Puts an example plugin there, under a name.
fn put(folder: &Path, plugin: &str, name: &str) {
    let to = folder.join("plugins").join(format!("{name}.wasm"));
    std::fs::copy(paths::plugin(plugin), to).expect("a component can be copied");
}
