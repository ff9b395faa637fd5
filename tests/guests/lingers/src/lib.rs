//! Tries to be in a host call, one kind after the other, whenever somebody wants it gone.

use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime};

wit_bindgen::generate!({
    inline: "
        package guest:lingers;
        interface tasks {
            /// Makes host calls of this kind for ever.
            in-call: func(kind: string);
        }
        world plugin {
            import umbel:task/context@0.1.0;
            import umbel:task/log@0.1.0;
            import umbel:task/progress@0.1.0;
            import umbel:task/tasks@0.1.0;
            export tasks;
        }
    ",
    path: "../../../wit",
    generate_all,
});

use umbel::task::{context, log, progress, tasks};

struct Lingers;
export!(Lingers);

impl exports::guest::lingers::tasks::Guest for Lingers {
    fn in_call(kind: String) {
        let call: fn() = match kind.as_str() {
            "sleep" => || std::thread::sleep(Duration::from_secs(1 << 20)),
            "nap" => || std::thread::sleep(Duration::from_nanos(1)),
            "clock" => || {
                let _ = (Instant::now(), SystemTime::now());
            },
            "random" => || {
                std::collections::HashMap::<u8, u8>::new();
            },
            "output" => || println!("{}", "x".repeat(4096)),
            "errors" => || {
                let _ = std::io::stderr().write_all(&[b'x'; 4096]);
            },
            "input" => || {
                let _ = std::io::stdin().read(&mut [0; 64]);
            },
            "environment" => || {
                let _ = std::env::vars().count();
            },
            "files" => || {
                let _ = std::fs::read("/etc/passwd");
            },
            "network" => || {
                let _ = std::net::TcpStream::connect("127.0.0.1:80");
            },
            "log" => || log::write(log::Level::Info, "still here", ""),
            "progress" => || progress::update("LINGERING", "{}"),
            "context" => || {
                context::current();
            },
            "remaining" => || {
                context::remaining_ms();
            },
            "submit" => || {
                let _ = tasks::apply("{\"task\": \"lingers.nothing\"}", "");
            },
            other => panic!("no kind `{other}`"),
        };
        loop {
            call();
        }
    }
}
