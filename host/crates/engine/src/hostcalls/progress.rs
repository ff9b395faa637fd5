//! `umbel:task/progress`: states of the task's own.

use std::fmt;

use umbel_value::Value;

use crate::bindings::umbel::task::progress::Host;
use crate::state::State;

/// States that only the worker sets.
const RESERVED: [&str; 9] = [
    "PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "REJECTED", "RETRY",
    "IGNORED",
];

const LONGEST_STATE: usize = 100;

/// An update that cannot be taken; ends the run.
#[derive(Debug)]
pub(crate) struct BadProgress(pub(crate) String);

impl Host for State {
    fn update(&mut self, state: String, meta: String) -> wasmtime::Result<()> {
        if RESERVED.contains(&state.as_str()) {
            return Err(BadProgress(format!("`{state}` is not a state a task may set")).into());
        }
        if state.is_empty()
            || state.len() > LONGEST_STATE
            || !state.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
        {
            return Err(BadProgress(format!(
                "a state is at most {LONGEST_STATE} letters, digits and `_-. `"
            ))
            .into());
        }
        if !self.meter.progress() {
            return Ok(());
        }
        if meta.len() as u64 > self.output {
            return Err(BadProgress(format!(
                "the details of `{state}` are larger than the limit of {} bytes",
                self.output
            ))
            .into());
        }
        let meta = Value::from_json(meta.as_bytes()).map_err(|e| {
            BadProgress(format!(
                "the details of `{state}` are not JSON: {} at byte {}",
                e.what, e.at
            ))
        })?;
        self.outbox.progress(state, meta).map_err(|e| BadProgress(e.to_string()).into())
    }
}

impl fmt::Display for BadProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadProgress {}
