//! Tries never to end its initialisation, before any of its functions is called.

use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package guest:stalls;
        interface tasks {
            reach: func() -> u32;
        }
        world plugin { export tasks; }
    ",
});

#[used]
#[unsafe(link_section = ".init_array")]
static INITIALISER: extern "C" fn() = stall;

extern "C" fn stall() {
    loop {
        black_box(());
    }
}

struct Stalls;
export!(Stalls);

impl exports::guest::stalls::tasks::Guest for Stalls {
    fn reach() -> u32 {
        1
    }
}
