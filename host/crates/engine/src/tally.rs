//! How often a task of one version ran, for whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

use umbel_task::outcome::Outcome;

/// Counted while it runs; read at any time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    running: AtomicU64,
    runs: AtomicU64,
    failures: AtomicU64,
}

/// What one version of a task did since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Running now.
    pub running: u64,
    /// Ended, however.
    pub ended: u64,
    /// Of these: failed, over a limit, trapped or denied something.
    pub failed: u64,
}

impl Tally {
    /// A run that lasts until the guard is dropped.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    pub(crate) fn read(&self) -> Runs {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Runs { running: read(&self.running), ended: read(&self.runs), failed: read(&self.failures) }
    }
}

/// One run; dropped before its end it counts as none.
pub(crate) struct Running<'a>(&'a Tally);

impl Running<'_> {
    pub(crate) fn ended(self, outcome: &Outcome) {
        self.0.runs.fetch_add(1, Ordering::Relaxed);
        let failed = matches!(
            outcome,
            Outcome::Failed(_)
                | Outcome::OverLimit(..)
                | Outcome::Crashed { .. }
                | Outcome::Denied { .. }
        );
        if failed {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
