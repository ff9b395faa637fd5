//! The child: compiles one component from its standard input to its standard output and says on
//! its standard error what it is, or why not. Nothing else is in its reach.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use umbel_engine::compile;

use super::{Limits, Order};
use crate::hardening::{self, Ground, Role};

/// Carries one order out.
pub(super) fn run(order: &str) -> ExitCode {
    let Ok(Order { target, limits }) = serde_json::from_str(order) else {
        return ExitCode::from(2);
    };
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // What runs already goes first.
    let _ = nice(5);
    if let Err(error) = limit(&limits) {
        say(format!("limits cannot be set: {error}").as_bytes());
        return ExitCode::from(2);
    }
    hardening::confine(&Ground::default(), Role::Compiler);
    let mut component = Vec::new();
    if let Err(error) = io::stdin().read_to_end(&mut component) {
        say(error.to_string().as_bytes());
        return ExitCode::from(2);
    }
    match compile(&component, &target, io::stdout()) {
        Ok(report) => {
            say(&report);
            ExitCode::SUCCESS
        }
        Err(rejected) => {
            say(&serde_json::to_vec(&rejected).unwrap_or_default());
            ExitCode::from(1)
        }
    }
}

fn say(words: &[u8]) {
    // Whoever reads it is the only one who could be told that it failed.
    let _ = io::stderr().write_all(words);
}

fn limit(limits: &Limits) -> rustix::io::Result<()> {
    let to = |soft: u64, hard: u64| Rlimit { current: Some(soft), maximum: Some(hard) };
    let seconds = limits.time.as_secs().max(1);
    setrlimit(Resource::Core, to(0, 0))?;
    // At the first of them it is told, at the second it is over.
    setrlimit(Resource::Cpu, to(seconds, seconds + 1))?;
    setrlimit(Resource::Fsize, to(limits.memory, limits.memory))?;
    setrlimit(Resource::Nofile, to(16, 16))?;
    setrlimit(Resource::As, to(limits.memory, limits.memory))
}
