//! A real browser without a screen, driven over its DevTools protocol.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::net::{free_port, listens};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::python::Peer;

use crate::stage::Stage;

/// Debian's, without what a screen needs.
const PROGRAM: &str = "chromium-headless-shell";

/// A browser with one page open.
pub(crate) struct Browser {
    python: Peer,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; the stage lends its Python to speak to it.
    pub(crate) fn start(stage: &Stage) -> Browser {
        let profile = TempDir::with_prefix("umbel-browser-").expect("a folder can be made");
        let port = free_port();
        let mut program = Command::new(PROGRAM);
        program
            .arg(format!("--remote-debugging-port={port}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Root has no sandbox to offer, and it sees nothing but our own pages.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "about:blank"]);
        let mut process = Process::start(PROGRAM, program);
        eventually("the browser listens", PATIENCE, || match process.poll() {
            Some(status) => panic!("the browser ended ({status}):\n{}", process.log()),
            None => listens(port).then_some(()).ok_or_else(|| process.log()),
        });
        let mut python = stage.peer();
        python.exec(include_str!("browser.py"));
        python.exec(&format!("browser = Browser({port})"));
        Browser { python, _process: process, _profile: profile }
    }

    /// Goes to a page and waits until it is there.
    pub(crate) fn open(&mut self, url: &str) {
        self.python.exec(&format!("browser.open({url:?})"));
    }

    /// The value of an expression in the page.
    pub(crate) fn js(&mut self, expression: &str) -> Value {
        self.python.eval(&format!("browser.js({expression:?})"))
    }

    /// Waits until an expression in the page is true.
    pub(crate) fn until(&mut self, expression: &str) {
        self.python.exec(&format!("browser.until({expression:?})"));
    }

    /// Clicks with the mouse.
    pub(crate) fn click(&mut self, selector: &str) {
        self.python.exec(&format!("browser.click({selector:?})"));
    }

    /// Types into a field.
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.python.exec(&format!("browser.fill({selector:?}, {text:?})"));
    }

    /// What Flower says to a click.
    pub(crate) fn told(&mut self) -> String {
        let told = self.python.eval("browser.told()");
        told.as_str().expect("a message is text").to_owned()
    }

    /// The cells of a table.
    pub(crate) fn rows(&mut self, selector: &str) -> Vec<Vec<String>> {
        let rows = self.python.eval(&format!("browser.rows({selector:?})"));
        serde_json::from_value(rows).expect("rows are lists of texts")
    }

    /// What a part of the page says, as names and values.
    pub(crate) fn facts(&mut self, selector: &str) -> Vec<(String, String)> {
        let facts = self.python.eval(&format!("browser.facts({selector:?})"));
        serde_json::from_value(facts).expect("facts are pairs of texts")
    }

    /// Keeps a picture of the page, for people.
    pub(crate) fn picture(&mut self, name: &str) {
        let file = pictures().join(format!("{name}.png"));
        self.python.exec(&format!("browser.picture({file:?})"));
    }
}

/// Where pictures are kept.
fn pictures() -> PathBuf {
    let folder = paths::workspace().join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}
