//! Tries to fill the log, to forge its lines and to command the operator's terminal.

use std::io::Write;

wit_bindgen::generate!({
    inline: "
        package guest:floods;
        interface tasks {
            flood: func(lines: u32) -> u32;
            endless-line: func(bytes: u32) -> u32;
            forge: func();
            rubbish: func();
        }
        world plugin { export tasks; }
    ",
});

struct Floods;
export!(Floods);

impl exports::guest::floods::tasks::Guest for Floods {
    fn flood(lines: u32) -> u32 {
        for line in 0..lines {
            println!("flood {line} {}", "~".repeat(80));
            eprintln!("spill {line} {}", "~".repeat(80));
        }
        lines
    }

    fn endless_line(bytes: u32) -> u32 {
        let block = [b'#'; 4096];
        for _ in 0..bytes / 4096 {
            let _ = std::io::stdout().write_all(&block);
        }
        let _ = std::io::stdout().flush();
        bytes
    }

    fn forge() {
        // Clear the screen, set the window's title, hide the cursor; then a line as the worker writes them.
        println!("\x1b[2J\x1b]0;owned\x07\x1b[?25l before");
        println!("\r[2030-01-01 00:00:00,000: ERROR/MainProcess] forged with a return");
        print!("harmless\n[2030-01-01 00:00:00,000: ERROR/MainProcess] forged with a newline\n");
        println!("\u{9b}31m \u{202e}reversed\u{2028}separated");
    }

    fn rubbish() {
        let _ = std::io::stdout().write_all(b"\xff\xfe\xc3\x28 rubbish\n");
    }
}
