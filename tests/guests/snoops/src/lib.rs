//! Tries to see the worker's surroundings: environment, arguments, standard input, files.

use std::io::Read;

wit_bindgen::generate!({
    inline: "
        package guest:snoops;
        interface tasks {
            environment: func() -> list<string>;
            arguments: func() -> list<string>;
            input: func() -> string;
            read: func(path: string) -> result<string, string>;
            list-folder: func(path: string) -> result<list<string>, string>;
            write: func(path: string) -> result<_, string>;
        }
        world plugin { export tasks; }
    ",
});

struct Snoops;
export!(Snoops);

impl exports::guest::snoops::tasks::Guest for Snoops {
    fn environment() -> Vec<String> {
        std::env::vars().map(|(key, value)| format!("{key}={value}")).collect()
    }

    fn arguments() -> Vec<String> {
        std::env::args().collect()
    }

    fn input() -> String {
        let mut seen = String::new();
        let _ = std::io::stdin().read_to_string(&mut seen);
        seen
    }

    fn read(path: String) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|why| why.to_string())
    }

    fn list_folder(path: String) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(path).map_err(|why| why.to_string())?;
        Ok(entries.flatten().map(|entry| entry.path().display().to_string()).collect())
    }

    fn write(path: String) -> Result<(), String> {
        std::fs::write(path, "was here").map_err(|why| why.to_string())
    }
}
