//! Tries to read what an earlier run left behind: in globals, and in memory that a slot had before.

use core::arch::wasm32::{memory_grow, memory_size};
use std::sync::atomic::{AtomicU32, Ordering};

wit_bindgen::generate!({
    inline: "
        package guest:remembers;
        interface tasks {
            /// Fills this many pages beyond its own with the secret.
            hide: func(secret: u64, pages: u32) -> u32;
            /// How often the secret is found in as many fresh pages.
            seek: func(secret: u64, pages: u32) -> u32;
            /// How often this instance was called.
            count: func() -> u32;
        }
        world plugin { export tasks; }
    ",
});

const PAGE: usize = 65536;

static CALLS: AtomicU32 = AtomicU32::new(0);

struct Remembers;
export!(Remembers);

impl exports::guest::remembers::tasks::Guest for Remembers {
    fn hide(secret: u64, pages: u32) -> u32 {
        let words = fresh(pages);
        for word in words.clone() {
            // Inside the pages that were just added.
            unsafe { (word as *mut u64).write_volatile(secret) };
        }
        u32::try_from(words.count()).unwrap_or(u32::MAX)
    }

    fn seek(secret: u64, pages: u32) -> u32 {
        let seen = |word: &usize| unsafe { (*word as *const u64).read_volatile() == secret };
        u32::try_from(fresh(pages).filter(seen).count()).unwrap_or(u32::MAX)
    }

    fn count() -> u32 {
        CALLS.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Addresses of all words of pages that no allocator has seen.
fn fresh(pages: u32) -> std::iter::StepBy<std::ops::Range<usize>> {
    let start = memory_size::<0>() * PAGE;
    assert_ne!(memory_grow::<0>(pages as usize), usize::MAX, "more memory is allowed");
    (start..start + pages as usize * PAGE).step_by(8)
}
