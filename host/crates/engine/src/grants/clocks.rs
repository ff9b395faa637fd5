//! Clocks that tell the time in steps, so that a guest cannot measure what is shorter.

use std::time::Duration;

use wasmtime_wasi::clocks::{MonotonicClock, WallClock};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The system's time, rounded down.
pub(super) struct Coarse<C> {
    clock: C,
    step: Duration,
}

impl<C> Coarse<C> {
    pub(super) fn new(clock: C, step: Duration) -> Self {
        Self { clock, step: step.max(Duration::from_nanos(1)) }
    }
}

impl HostWallClock for Coarse<WallClock> {
    fn resolution(&self) -> Duration {
        self.step.max(self.clock.resolution())
    }

    fn now(&self) -> Duration {
        round_down(self.clock.now(), self.step)
    }
}

impl HostMonotonicClock for Coarse<MonotonicClock> {
    fn resolution(&self) -> u64 {
        nanos(self.step).max(self.clock.resolution())
    }

    fn now(&self) -> u64 {
        nanos(round_down(Duration::from_nanos(self.clock.now()), self.step))
    }
}

fn round_down(time: Duration, step: Duration) -> Duration {
    let over = time.as_nanos() % step.as_nanos();
    time.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX)))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_in_steps() {
        let check = |time: u64, step: u64, expected: u64| {
            let told = round_down(Duration::from_nanos(time), Duration::from_nanos(step));
            assert_eq!(told, Duration::from_nanos(expected));
        };
        check(1_999_999, 1_000_000, 1_000_000);
        check(2_000_000, 1_000_000, 2_000_000);
        check(999, 1_000, 0);
        check(17, 1, 17);
    }
}
