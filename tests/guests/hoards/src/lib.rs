//! Tries to take all memory: by allocating and touching, and by growing without touching.

use core::arch::wasm32::memory_grow;
use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package guest:hoards;
        interface tasks {
            /// Allocates and touches until something gives.
            allocate: func() -> u64;
            /// Asks for more pages until it is refused, and keeps asking.
            grow: func() -> u32;
            /// Takes this many MiB, touches them and gives them back: an honest big task.
            use-and-return: func(mebibytes: u32) -> u64;
        }
        world plugin { export tasks; }
    ",
});

struct Hoards;
export!(Hoards);

impl exports::guest::hoards::tasks::Guest for Hoards {
    fn allocate() -> u64 {
        let mut hoard = Vec::new();
        loop {
            hoard.push(black_box(vec![1u8; 1 << 20]));
        }
    }

    fn grow() -> u32 {
        let mut refused = 0;
        while refused < 1000 {
            if memory_grow::<0>(16) == usize::MAX {
                refused += 1;
            }
        }
        refused
    }

    fn use_and_return(mebibytes: u32) -> u64 {
        let hoard = black_box(vec![1u8; (mebibytes as usize) << 20]);
        hoard.iter().step_by(4096).map(|byte| u64::from(*byte)).sum()
    }
}
