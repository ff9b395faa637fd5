//! Tries to exhaust the host's stack.

use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package guest:recurses;
        interface tasks {
            deeper: func(level: u64) -> u64;
        }
        world plugin { export tasks; }
    ",
});

struct Recurses;
export!(Recurses);

impl exports::guest::recurses::tasks::Guest for Recurses {
    fn deeper(level: u64) -> u64 {
        descend_without_end(level)
    }
}

#[expect(unconditional_recursion, reason = "that is what it tries")]
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn descend_without_end(level: u64) -> u64 {
    // The addition after the call keeps it from becoming a loop.
    black_box(descend_without_end(black_box(level + 1))) + 1
}
