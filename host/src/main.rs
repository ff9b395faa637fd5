//! Umbel: a Celery-compatible worker whose tasks are sandboxed WebAssembly components.

mod cli;
mod fault;
mod loading;
mod out;
mod pidfile;
mod plugins;
mod privileges;
mod settings;
mod signals;
mod telemetry;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    match cli::run(invocation) {
        Ok(code) => code,
        Err(error) => fault::report(&error),
    }
}
