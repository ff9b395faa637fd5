//! When to try again after a connection was lost. Pure.

use std::time::Duration;

/// Celery's steps: one attempt at once, then 1 s, 2 s, 4 s … up to 30 s, with a little spread.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// How long to wait before the next attempt. `spread` in 0..1 is drawn by the caller.
    pub fn next(&mut self, spread: f64) -> Duration {
        let attempt = self.attempt;
        self.attempt = self.attempt.saturating_add(1);
        if attempt == 0 {
            return Duration::ZERO;
        }
        let base = f64::from(1u32 << attempt.saturating_sub(1).min(5)).min(30.0);
        Duration::from_secs_f64(base * (0.75 + 0.5 * spread))
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}
