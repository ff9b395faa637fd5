//! When something is killed: at random, but as the printed seed says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For whole runs, with leases to run out in between, on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A sequence of numbers that looks random and can be had again: `UMBEL_SEED`.
pub(crate) struct Plan {
    state: u64,
}

impl Plan {
    /// Prints its seed.
    #[expect(clippy::print_stderr, reason = "the seed is needed to see a failure again")]
    pub(crate) fn draw() -> Plan {
        let given = std::env::var("UMBEL_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(1, |elapsed| u64::from(elapsed.subsec_nanos()) + elapsed.as_secs())
        });
        eprintln!("to see this run again: UMBEL_SEED={seed}");
        Plan { state: seed | 1 }
    }

    /// `count` messages, in their order, none of them among the last of `messages`.
    pub(crate) fn moments(&mut self, count: usize, messages: usize) -> Vec<usize> {
        let mut moments: Vec<usize> = (0..count).map(|_| self.below(messages * 17 / 20)).collect();
        moments.sort_unstable();
        moments
    }

    /// Waits up to 20 ms, so that no kill always meets the same step.
    pub(crate) fn pause(&mut self) {
        let micros = self.below(20_000);
        std::thread::sleep(Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap_or_default() % limit
    }
}
