//! Tries to stay for ever without using the processor, or to keep the host's timers busy.

use std::time::Duration;

wit_bindgen::generate!({
    inline: "
        package guest:sleeps;
        interface tasks {
            forever: func();
            naps: func(count: u32) -> u32;
        }
        world plugin { export tasks; }
    ",
});

struct Sleeps;
export!(Sleeps);

impl exports::guest::sleeps::tasks::Guest for Sleeps {
    fn forever() {
        loop {
            std::thread::sleep(Duration::from_secs(1 << 30));
        }
    }

    fn naps(count: u32) -> u32 {
        for _ in 0..count {
            std::thread::sleep(Duration::from_nanos(1));
        }
        count
    }
}
