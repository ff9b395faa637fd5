//! A program on a terminal of its own, and somebody before it who reads and types.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::eventually::PATIENCE;
use crate::paths;
use crate::process::Process;

/// What is waited for, and what is done then.
#[derive(Clone, Debug, Default)]
pub struct Step {
    see: Vec<String>,
    run: Vec<String>,
    press: String,
}

/// How a dialogue went.
#[derive(Clone, Debug)]
pub struct Played {
    /// The program's exit status.
    pub exit: i64,
    /// The screen at each step, and at the end.
    pub screens: Vec<String>,
}

impl Step {
    /// Once all these texts are on the screen.
    pub fn see(texts: &[&str]) -> Step {
        let see = texts.iter().map(|text| (*text).to_owned()).collect();
        Step { see, ..Step::default() }
    }

    /// Types this.
    pub fn press(mut self, keys: &str) -> Step {
        self.press = keys.to_owned();
        self
    }

    /// Runs this, elsewhere, to its end.
    pub fn run(mut self, command: &Command) -> Step {
        self.run = words(command);
        self
    }
}

/// Starts the program on a new terminal and plays the steps; it has to end by itself then. The
/// programs of the steps share its environment.
#[track_caller]
pub fn play(program: &Command, steps: &[Step]) -> Played {
    let steps: Vec<Value> = steps
        .iter()
        .map(|Step { see, run, press }| json!({ "see": see, "run": run, "press": press }))
        .collect();
    // Before the patience of this side ends.
    let within = (PATIENCE - Duration::from_secs(20)).as_secs();
    let script = json!({ "command": words(program), "steps": steps, "within": within });
    let mut python = Command::new(paths::python());
    python.arg("-c").arg(include_str!("terminal.py")).arg(script.to_string());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(folder) = program.get_current_dir() {
        python.current_dir(folder);
    }
    let mut process = Process::start("a terminal", python);
    let status = process.await_end(PATIENCE * 3);
    let log = process.log();
    assert!(status.success(), "{log}");
    let played: Value = serde_json::from_str(log.trim()).expect("the script prints JSON");
    let texts = played["screens"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Played {
        exit: played["exit"].as_i64().expect("an exit status"),
        screens: texts.map(str::to_owned).collect(),
    }
}

fn words(command: &Command) -> Vec<String> {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(|word| word.to_string_lossy().into_owned()).collect()
}
