//! How many tasks a second reach each state, over the last minute.

use std::collections::VecDeque;

use jiff::Timestamp;

/// What is told of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Received,
    Started,
    Succeeded,
    Failed,
    Retried,
    Revoked,
    Rejected,
}

impl Told {
    /// All, in the order in which a task reaches them.
    pub(crate) const ALL: [Told; 7] = [
        Told::Received,
        Told::Started,
        Told::Succeeded,
        Told::Failed,
        Told::Retried,
        Told::Revoked,
        Told::Rejected,
    ];

    /// What an event of this type tells; `None` for those that change nothing.
    pub(crate) fn of(kind: &str) -> Option<Told> {
        let state = kind.strip_prefix("task-")?;
        // Cut off by its worker's end: as good as given back.
        let state = if state == "cancelled" { "rejected" } else { state };
        Told::ALL.into_iter().find(|told| told.word() == state)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Told::Received => "received",
            Told::Started => "started",
            Told::Succeeded => "succeeded",
            Told::Failed => "failed",
            Told::Retried => "retried",
            Told::Revoked => "revoked",
            Told::Rejected => "rejected",
        }
    }
}

/// Seconds that are kept.
const SECONDS: usize = 60;

/// Whole seconds that a rate is the mean of.
const MEAN: usize = 5;

/// Counts of each second, the running one last.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    second: i64,
    /// Whole seconds since the start, as far as they are kept.
    counts: VecDeque<[u64; Told::ALL.len()]>,
    totals: [u64; Told::ALL.len()],
}

impl Rates {
    pub(crate) fn new(now: Timestamp) -> Rates {
        let counts = VecDeque::from([[0; Told::ALL.len()]]);
        Rates { second: now.as_second(), counts, totals: [0; Told::ALL.len()] }
    }

    pub(crate) fn count(&mut self, told: Told, now: Timestamp) {
        self.advance(now);
        if let Some(running) = self.counts.back_mut() {
            running[told as usize] += 1;
        }
        self.totals[told as usize] += 1;
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let passed = now.as_second().saturating_sub(self.second);
        // A clock that was put back counts on where it is.
        self.second = now.as_second();
        for _ in 0..passed.clamp(0, SECONDS as i64 + 1) {
            self.counts.push_back([0; Told::ALL.len()]);
        }
        while self.counts.len() > SECONDS + 1 {
            self.counts.pop_front();
        }
    }

    /// So many a second, over the last whole ones.
    pub(crate) fn rate(&self, told: Told) -> f64 {
        let whole = self.counts.len() - 1;
        let first = whole.saturating_sub(MEAN);
        let sum: u64 = self.counts.range(first..whole).map(|second| second[told as usize]).sum();
        if whole == 0 { 0.0 } else { sum as f64 / (whole - first) as f64 }
    }

    /// All since the start.
    pub(crate) fn total(&self, told: Told) -> u64 {
        self.totals[told as usize]
    }

    /// Tasks that ended in each of the last whole seconds, the oldest first.
    pub(crate) fn ended(&self) -> Vec<u64> {
        let whole = self.counts.len() - 1;
        let ended = [Told::Succeeded, Told::Failed];
        let sum =
            |second: &[u64; Told::ALL.len()]| ended.iter().map(|told| second[*told as usize]).sum();
        self.counts.range(..whole).map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a good time")
    }

    #[test]
    fn a_rate_is_the_mean_of_the_last_whole_seconds() {
        let mut rates = Rates::new(at(0));
        assert_eq!(rates.rate(Told::Succeeded), 0.0);
        for second in 0..10 {
            for _ in 0..second {
                rates.count(Told::Succeeded, at(second));
            }
        }
        // Seconds 4 to 8; the ninth is not over.
        assert_eq!(rates.rate(Told::Succeeded), 6.0);
        assert_eq!(rates.total(Told::Succeeded), 45);
        assert_eq!(rates.ended(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        rates.advance(at(1000));
        assert_eq!(rates.rate(Told::Succeeded), 0.0);
        assert_eq!(rates.ended(), [0; SECONDS]);
    }

    #[test]
    fn a_clock_that_is_put_back_does_no_harm() {
        let mut rates = Rates::new(at(100));
        rates.count(Told::Failed, at(100));
        rates.count(Told::Failed, at(50));
        rates.advance(at(51));
        assert_eq!((rates.total(Told::Failed), rates.rate(Told::Failed)), (2, 2.0));
    }

    #[test]
    fn types_of_events_are_states_of_tasks() {
        for told in Told::ALL {
            assert_eq!(Told::of(&format!("task-{}", told.word())), Some(told));
        }
        assert_eq!(Told::of("task-cancelled"), Some(Told::Rejected));
        for other in ["task-sent", "task-of-mine", "worker-online", ""] {
            assert_eq!(Told::of(other), None);
        }
    }
}
