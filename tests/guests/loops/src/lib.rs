//! Tries never to return.

use std::hint::black_box;
use std::time::Instant;

wit_bindgen::generate!({
    inline: "
        package guest:loops;
        interface tasks {
            forever: func();
            /// Most of its time is spent in the host.
            asking-the-time: func();
        }
        world plugin { export tasks; }
    ",
});

struct Loops;
export!(Loops);

impl exports::guest::loops::tasks::Guest for Loops {
    fn forever() {
        loop {
            black_box(());
        }
    }

    fn asking_the_time() {
        loop {
            black_box(Instant::now());
        }
    }
}
