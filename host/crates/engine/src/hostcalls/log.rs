//! `umbel:task/log`: lines for the worker's log.

use umbel_task::runner;

use crate::bindings::umbel::task::log::{Host, Level};
use crate::state::State;

impl Host for State {
    fn write(&mut self, level: Level, message: String, fields: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => runner::Level::Debug,
            Level::Info => runner::Level::Info,
            Level::Warning => runner::Level::Warning,
            Level::Error => runner::Level::Error,
        };
        self.journal.write(level, &message, &fields);
        Ok(())
    }
}
