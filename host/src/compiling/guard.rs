//! The guard: starts the helper, and another one whenever it dies. Takes no order itself, so that
//! nothing a component does comes near it.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::{HELPER, program};
use crate::hardening::{self, Role};

/// The pause before another helper: longer each time for one that dies at once.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(5)];

/// A helper that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Keeps a helper at the socket that is our standard input until the worker has gone.
pub(super) fn run() -> ExitCode {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // The helper, which needs the same, has it from us.
    hardening::confine(&hardening::of_helper(), Role::Helper);
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    loop {
        let began = Instant::now();
        // The socket is its standard input as well: orders wait there meanwhile.
        let ended = program(HELPER).spawn().and_then(|mut helper| helper.wait());
        if ended.is_ok_and(|status| status.success()) {
            return ExitCode::SUCCESS;
        }
        pause = if began.elapsed() > GOOD { shortest } else { (pause * 2).min(longest) };
        thread::sleep(pause);
    }
}
