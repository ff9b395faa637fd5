//! Tasks that misbehave, to see that the worker does not mind.

use std::hint::black_box;

wit_bindgen::generate!({ path: "wit" });

struct Rogue;
export!(Rogue);

impl exports::example::rogue::tasks::Guest for Rogue {
    fn spin() {
        let mut turns = 0u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    fn hoard() -> u64 {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            // Written to, so that the pages are really taken.
            hoard.push(black_box(vec![1; 1 << 20]));
            if hoard.len() == usize::MAX {
                return 0;
            }
        }
    }

    fn recurse() -> u64 {
        deeper(black_box(1))
    }
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let below = if depth == u64::MAX { 0 } else { deeper(black_box(depth + 1)) };
    below + black_box(depth)
}
