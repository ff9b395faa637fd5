//! How long many runs of one task took.

use std::time::Duration;

use serde_json::{Value, json};
use umbel_task::outcome::Cost;

use crate::settings::units::about_duration;

/// The times of each run, in the order of the runs.
#[derive(Debug, Default)]
pub(super) struct Times {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
    instantiate: Vec<Duration>,
}

/// Name and share of the runs that took no longer.
const RANKS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

impl Times {
    pub(super) fn add(&mut self, cost: &Cost) {
        self.wall.push(cost.wall);
        self.cpu.push(cost.cpu);
        self.instantiate.push(cost.instantiate);
    }

    pub(super) fn runs(&self) -> usize {
        self.wall.len()
    }

    /// A table for people.
    pub(super) fn text(&self) -> String {
        let runs = match self.runs() {
            1 => "1 run".to_owned(),
            several => format!("{several} runs"),
        };
        let mut text = format!("{runs:15}");
        for (name, _) in RANKS {
            text += &format!("{name:>12}");
        }
        for (name, ranked) in self.ranked() {
            text += &format!("\n{name:15}");
            for time in ranked {
                text += &format!("{:>12}", about_duration(time));
            }
        }
        text
    }

    /// For programs, in milliseconds.
    pub(super) fn json(&self) -> Value {
        let mut all = json!({ "runs": self.runs() });
        for (name, ranked) in self.ranked() {
            let pairs = RANKS.iter().zip(ranked);
            all[format!("{name}_ms")] =
                pairs.map(|((rank, _), time)| (*rank, time.as_secs_f64() * 1e3)).collect();
        }
        all
    }

    fn ranked(&self) -> [(&'static str, [Duration; 4]); 3] {
        let ranks = |times: &[Duration]| RANKS.map(|(_, share)| rank(times, share));
        [
            ("wall", ranks(&self.wall)),
            ("cpu", ranks(&self.cpu)),
            ("instantiate", ranks(&self.instantiate)),
        ]
    }
}

/// The time that this share of the runs did not exceed: the nearest rank.
fn rank(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_a_time_that_was_measured() {
        let check = |millis: &[u64], share: f64, expected: u64| {
            let times: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            assert_eq!(rank(&times, share), Duration::from_millis(expected), "{millis:?} {share}");
        };
        check(&[], 0.5, 0);
        check(&[7], 0.5, 7);
        check(&[7], 1.0, 7);
        check(&[4, 1, 3, 2], 0.5, 2);
        check(&[4, 1, 3, 2], 0.9, 4);
        check(&(1..=100).rev().collect::<Vec<_>>(), 0.99, 99);
        check(&(1..=100).collect::<Vec<_>>(), 1.0, 100);
    }
}
