//! Umbel: a Celery-compatible worker whose tasks are sandboxed WebAssembly components.

mod about;
mod beat;
mod cli;
mod compiling;
mod fault;
mod hardening;
mod http;
mod keyvalue;
mod loading;
mod memory;
mod metrics;
mod monitor;
mod observers;
mod out;
mod pidfile;
mod plugins;
mod privileges;
mod settings;
mod signals;
mod telemetry;
mod tokio_io;
mod traces;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_little();
    if let Some(code) = compiling::carry_out() {
        return code;
    }
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    match cli::run(invocation) {
        Ok(code) => code,
        Err(error) => fault::report(&error),
    }
}
