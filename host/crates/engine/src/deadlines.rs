//! When a run has to end: at its hard time limit, and at its soft one unless it has taken that upon
//! itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use umbel_task::call::Call;
use umbel_task::outcome::Limit;
use umbel_task::policy::Sandbox;

/// One run's time limits; shared by the run and by whoever watches it.
pub(crate) struct Deadlines {
    hard: Deadline,
    soft: Option<Deadline>,
    /// The run has promised to end before the hard limit.
    soft_taken: AtomicBool,
}

/// A limit and the instant it is reached.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) limit: Duration,
    pub(crate) at: Instant,
}

/// A time limit was reached; ends the run.
#[derive(Debug)]
pub(crate) struct TimeUp(pub(crate) Limit);

impl Deadlines {
    /// The smaller of what the caller and the policy say. A soft limit that the hard one comes
    /// before is none.
    pub(crate) fn new(call: &Call, sandbox: &Sandbox, start: Instant) -> Self {
        let limit = call.time_limit.map_or(sandbox.time, |asked| asked.min(sandbox.time));
        let hard = Deadline { limit, at: start + limit };
        let soft = [call.soft_time_limit, sandbox.soft_time].into_iter().flatten().min();
        let soft = soft.filter(|soft| *soft < limit);
        let soft = soft.map(|limit| Deadline { limit, at: start + limit });
        Self { hard, soft, soft_taken: AtomicBool::new(false) }
    }

    pub(crate) fn hard(&self) -> Deadline {
        self.hard
    }

    pub(crate) fn soft(&self) -> Option<Deadline> {
        self.soft
    }

    /// From now on only the hard limit ends the run.
    pub(crate) fn take_soft(&self) {
        self.soft_taken.store(true, Ordering::Relaxed);
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Instant {
        self.soft_in_force().map_or(self.hard.at, |soft| soft.at)
    }

    /// Says whether a limit is reached, and which. A run that is noticed late, beyond both, gets the
    /// hard one.
    pub(crate) fn check(&self, now: Instant) -> Result<(), TimeUp> {
        if now >= self.hard.at {
            return Err(TimeUp(Limit::Time(self.hard.limit)));
        }
        match self.soft_in_force() {
            Some(soft) if now >= soft.at => Err(TimeUp(Limit::SoftTime(soft.limit))),
            _ => Ok(()),
        }
    }

    fn soft_in_force(&self) -> Option<Deadline> {
        self.soft.filter(|_| !self.soft_taken.load(Ordering::Relaxed))
    }
}

impl Deadline {
    /// None once it is reached.
    pub(crate) fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

impl fmt::Display for TimeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time limit was reached")
    }
}

impl std::error::Error for TimeUp {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of a run, in seconds: the caller's hard and soft ones, then the policy's.
    fn deadlines(call: [u64; 2], policy: [u64; 2]) -> (Deadlines, Instant) {
        let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
        let call = Call {
            time_limit: seconds(call[0]),
            soft_time_limit: seconds(call[1]),
            ..Call::default()
        };
        let sandbox = Sandbox {
            time: Duration::from_secs(policy[0]),
            soft_time: seconds(policy[1]),
            ..Sandbox::default()
        };
        let start = Instant::now();
        (Deadlines::new(&call, &sandbox, start), start)
    }

    #[test]
    fn the_smaller_limit_wins_and_a_soft_one_must_come_first() {
        let check = |call, policy, hard: u64, soft: Option<u64>| {
            let (deadlines, _) = deadlines(call, policy);
            assert_eq!(deadlines.hard().limit, Duration::from_secs(hard), "{call:?} {policy:?}");
            let given = deadlines.soft().map(|soft| soft.limit.as_secs());
            assert_eq!(given, soft, "{call:?} {policy:?}");
        };
        check([0, 0], [9, 0], 9, None);
        check([5, 0], [9, 0], 5, None);
        check([50, 0], [9, 0], 9, None);
        check([0, 4], [9, 0], 9, Some(4));
        check([0, 0], [9, 4], 9, Some(4));
        check([0, 3], [9, 4], 9, Some(3));
        check([0, 5], [9, 4], 9, Some(4));
        check([4, 4], [9, 8], 4, None);
        check([0, u64::MAX], [9, 0], 9, None);
    }

    #[test]
    fn the_soft_limit_ends_a_run_that_did_not_take_it() {
        let (deadlines, start) = deadlines([0, 4], [9, 0]);
        let at = |seconds| deadlines.check(start + Duration::from_secs(seconds)).map_err(|up| up.0);
        let soft = Limit::SoftTime(Duration::from_secs(4));
        let hard = Limit::Time(Duration::from_secs(9));
        assert_eq!((at(3), at(4), at(9)), (Ok(()), Err(soft), Err(hard.clone())));
        assert_eq!(deadlines.next(), start + Duration::from_secs(4));
        deadlines.take_soft();
        assert_eq!((at(4), at(8), at(9)), (Ok(()), Ok(()), Err(hard)));
        assert_eq!(deadlines.next(), start + Duration::from_secs(9));
    }
}
