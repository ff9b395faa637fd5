//! Numbers that look like chance and are the same for the same seed.

/// A small generator of numbers (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// A number below `limit`, or zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Bytes with a few changes that do not care what they mean.
    pub(crate) fn spoil(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(9)).min(data.len());
            match self.below(8) {
                0 => data.truncate(at),
                1 => drop(data.drain(at..end)),
                2 => {
                    let repeated = data[at..end].repeat(self.below(300));
                    drop(data.splice(at..end, repeated));
                }
                3 => {
                    let from = self.below(other.len() + 1);
                    let until = (from + self.below(200)).min(other.len());
                    drop(data.splice(at..end, other[from..until].iter().copied()));
                }
                4 => drop(data.splice(at..end, [0xff, 0xff, 0xff, 0xff, 0x0f])),
                _ => {
                    let (bit, byte) = (1 << self.below(8), data.get_mut(at));
                    byte.into_iter().for_each(|byte| *byte ^= bit);
                }
            }
        }
        data.truncate(1 << 20);
    }
}
