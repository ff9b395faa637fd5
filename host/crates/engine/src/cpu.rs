//! CPU time of one run, which may go from thread to thread between its polls.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use umbel_task::outcome::Limit;

use crate::deadlines::TimeUp;

/// One run's CPU time. `begin` and `end` go round each poll, on the thread that polls.
pub(crate) struct CpuClock {
    most: Duration,
    /// Nanoseconds: while a poll is under way, what its thread's clock showed when the run's stood
    /// at nothing; between polls, what was used.
    mark: AtomicI64,
}

impl CpuClock {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, mark: AtomicI64::new(0) }
    }

    /// A poll begins on this thread.
    pub(crate) fn begin(&self) {
        let used = self.mark.load(Ordering::Relaxed);
        self.mark.store(thread_cpu() - used, Ordering::Relaxed);
    }

    /// The poll is over, on the same thread.
    pub(crate) fn end(&self) {
        let used = thread_cpu() - self.mark.load(Ordering::Relaxed);
        self.mark.store(used, Ordering::Relaxed);
    }

    /// What was used; between polls.
    pub(crate) fn used(&self) -> Duration {
        nanos(self.mark.load(Ordering::Relaxed))
    }

    /// Says whether the limit is reached; between polls.
    pub(crate) fn check(&self) -> Result<(), TimeUp> {
        self.compare(self.used())
    }

    /// What was used so far, during a poll.
    pub(crate) fn used_running(&self) -> Duration {
        nanos(thread_cpu() - self.mark.load(Ordering::Relaxed))
    }

    /// Says whether the limit is reached, during a poll.
    pub(crate) fn check_running(&self) -> Result<(), TimeUp> {
        self.compare(self.used_running())
    }

    fn compare(&self, used: Duration) -> Result<(), TimeUp> {
        if used < self.most { Ok(()) } else { Err(TimeUp(Limit::Cpu(self.most))) }
    }
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Nanoseconds; three hundred years fit.
fn thread_cpu() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn time_is_counted_across_threads_and_waiting_is_not() {
        let clock = CpuClock::new(Duration::from_millis(30));
        let burn = || {
            clock.begin();
            assert!(clock.check_running().is_ok());
            let start = thread_cpu();
            while thread_cpu() - start < 20_000_000 {}
            clock.end();
        };
        let began = Instant::now();
        std::thread::scope(|scope| scope.spawn(burn).join()).expect("it does not panic");
        assert!(clock.check().is_ok(), "{:?} of {:?}", clock.used(), began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
        burn();
        assert_eq!(clock.check().map_err(|up| up.0), Err(Limit::Cpu(Duration::from_millis(30))));
        assert!(clock.used() >= Duration::from_millis(40), "{:?}", clock.used());
    }
}
