//! Tries to drown the result store in progress updates and the log in lines.

wit_bindgen::generate!({
    inline: "
        package guest:chatters;
        interface tasks {
            progress: func(updates: u32) -> u32;
            log: func(lines: u32) -> u32;
        }
        world plugin {
            import umbel:task/progress@0.1.0;
            import umbel:task/log@0.1.0;
            export tasks;
        }
    ",
    path: "../../../wit",
    generate_all,
});

use umbel::task::{log, progress};

struct Chatters;
export!(Chatters);

impl exports::guest::chatters::tasks::Guest for Chatters {
    fn progress(updates: u32) -> u32 {
        for current in 0..updates {
            progress::update("PROGRESS", &format!("{{\"current\": {current}}}"));
        }
        updates
    }

    fn log(lines: u32) -> u32 {
        for line in 0..lines {
            log::write(log::Level::Error, &format!("chatter {line}"), "");
        }
        lines
    }
}
