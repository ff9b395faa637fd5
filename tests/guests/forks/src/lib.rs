//! Tries a fork bomb: each run sends two of itself.

wit_bindgen::generate!({
    inline: "
        package guest:forks;
        interface tasks {
            /// How many of the two were taken.
            bomb: func() -> u32;
        }
        world plugin {
            import umbel:task/tasks@0.1.0;
            export tasks;
        }
    ",
    path: "../../../wit",
    generate_all,
});

use umbel::task::tasks::{Options, submit};

struct Forks;
export!(Forks);

impl exports::guest::forks::tasks::Guest for Forks {
    fn bomb() -> u32 {
        let options = Options {
            queue: None,
            countdown_ms: None,
            expires_ms: None,
            priority: None,
            time_limit_ms: None,
            soft_time_limit_ms: None,
            ignore_result: None,
            headers: None,
        };
        let sent = (0..2).filter(|_| submit("forks.bomb", "[]", "", &options).is_ok());
        u32::try_from(sent.count()).unwrap_or(u32::MAX)
    }
}
