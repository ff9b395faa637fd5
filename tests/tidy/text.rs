//! Rules about the text of the sources.

use crate::sources::{files, read, relative, root, without_comment, without_tests};

/// Lines of code a file may have, without inline tests, comments and blank lines.
const BUDGET: usize = 400;

/// Files over the budget, each with its reason.
const LARGE: &[(&str, &str)] = &[(
    "host/crates/transport/src/conformance/broker.rs",
    "a list of sentences, one function each; read one at a time",
)];

/// Spellings of Celery's and kombu's wire. They stand in the protocol crate; everybody else calls it.
const WIRE: &[&str] =
    &["celery-task-meta", "_kombu.binding", "celeryev", ".pidbox", "\"unacked", "'unacked"];

/// The files that may be unsafe: one loads compiled code that this program wrote itself, one sets
/// numbers of the system's allocator.
const UNSAFE: &[&str] = &["host/crates/engine/src/compile.rs", "host/src/memory.rs"];

#[test]
fn wire_words_stay_in_the_protocol_crate() {
    // The separator of kombu's priority lists, however it is written.
    let separators = ["\\x06\\x16", "\\6\\22", "\\u{6}\\u{16}", "\u{6}\u{16}"];
    let mut wrong = Vec::new();
    for path in files(&["host"], &["rs", "lua"]) {
        let place = relative(&path);
        if place.starts_with("host/crates/protocol/") || is_test(&place) {
            continue;
        }
        each_code_line(&place, |number, line| {
            for word in WIRE.iter().chain(&separators).filter(|word| line.contains(**word)) {
                wrong.push(format!("{place}:{number}: {}", word.escape_debug()));
            }
        });
    }
    assert!(wrong.is_empty(), "build these in umbel_protocol::names:\n{}", wrong.join("\n"));
}

#[test]
fn each_module_opens_with_what_it_owns() {
    let mut wrong = Vec::new();
    for path in files(&["host", "tests", "sdk", "plugins"], &["rs"]) {
        let place = relative(&path);
        let text = read(&place);
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
        if !first.is_some_and(|line| line.starts_with("//! ")) {
            wrong.push(place);
        }
    }
    assert!(wrong.is_empty(), "these open without a `//!` line:\n{}", wrong.join("\n"));
}

#[test]
fn files_keep_their_budget() {
    let mut wrong = Vec::new();
    for path in files(&["host", "tests", "sdk"], &["rs"]) {
        let place = relative(&path);
        let mut lines = 0;
        each_code_line(&place, |_, _| lines += 1);
        let excused = LARGE.iter().any(|(file, _)| *file == place);
        match (lines > BUDGET, excused) {
            (true, false) => wrong.push(format!(
                "{place} has {lines} lines of code; split it, or give its reason in LARGE"
            )),
            (false, true) => wrong.push(format!("{place} is small: delete its line in LARGE")),
            _ => {}
        }
    }
    for (file, _) in LARGE {
        if !root().join(file).is_file() {
            wrong.push(format!("{file} is gone: delete its line in LARGE"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_can_be_read_in_one_go() {
    for plugin in ["images", "text", "data", "visits", "archive", "mail"] {
        let folder = format!("plugins/{plugin}");
        let sources = files(&[&folder], &["rs", "js", "ts", "py", "c", "go"]);
        let places = sources.iter().map(|path| relative(path));
        // Their tests, and what comes with every project.
        let own = places.filter(|place| {
            !["/tests/", "/test/", "_test.", "/umbel/", "/wit/"]
                .iter()
                .any(|part| place.contains(part))
        });
        let lines: usize = own.map(|place| code_lines(&read(&place))).sum();
        assert!(lines < 150, "{folder} has {lines} lines of code");
    }
}

/// How many lines are neither blank nor comments, in any of the languages of plugins.
fn code_lines(text: &str) -> usize {
    let comment = |line: &str| ["//", "/*", "* "].iter().any(|opening| line.starts_with(opening));
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !comment(line)).count()
}

#[test]
fn only_two_files_are_unsafe() {
    let signs = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "[unsafe("];
    let mut wrong = Vec::new();
    // Hostile guests are unsafe by trade.
    for path in files(&["host", "tests/harness", "tests/src", "tests/bench", "sdk"], &["rs"]) {
        let place = relative(&path);
        if UNSAFE.contains(&place.as_str()) {
            continue;
        }
        each_code_line(&place, |number, line| {
            // A section for comments holds no code.
            let comments = line.contains(r#"link_section = "package-docs""#);
            if signs.iter().any(|sign| line.contains(sign)) && !comments {
                wrong.push(format!("{place}:{number}: {}", line.trim()));
            }
        });
    }
    assert!(wrong.is_empty(), "unsafe code outside {UNSAFE:?}:\n{}", wrong.join("\n"));
    for file in UNSAFE {
        assert!(read(file).contains("unsafe {"), "{file} needs no exception any more");
    }
}

#[test]
fn nothing_is_spawned_without_an_owner() {
    let mut wrong = Vec::new();
    for path in files(&["host"], &["rs"]) {
        let place = relative(&path);
        if is_test(&place) || !place.contains("/src/") {
            continue;
        }
        each_code_line(&place, |number, line| {
            if ["tokio::spawn(", "task::spawn("].iter().any(|call| line.contains(call)) {
                wrong.push(format!("{place}:{number}: {}", line.trim()));
            }
        });
    }
    let rule = "nothing may outlive the drain: spawn on the owner's TaskTracker";
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let here = root().to_string_lossy().into_owned();
    let mut places = vec!["/home/".to_owned(), "/Users/".to_owned(), "/root/".to_owned()];
    // A checkout right below `/` has a name that may well occur.
    if here.matches('/').count() > 1 {
        places.push(format!("{here}/"));
    }
    let mut wrong = Vec::new();
    for path in files(&["."], &[]) {
        let place = relative(&path);
        // This file has to spell them.
        if place == relative(&root().join("tests/tidy/text.rs")) {
            continue;
        }
        for (number, line) in read(&place).lines().enumerate() {
            if places.iter().any(|spot| line.contains(spot.as_str())) {
                wrong.push(format!("{place}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "paths of one machine:\n{}", wrong.join("\n"));
}

fn is_test(place: &str) -> bool {
    place.contains("/tests/") || place.ends_with("/tests.rs")
}

/// Calls `look` with each line of code and its number, inline tests left out.
fn each_code_line(place: &str, mut look: impl FnMut(usize, &str)) {
    let text = read(place);
    for (number, line) in without_tests(&text).lines().enumerate() {
        let code = without_comment(line);
        if !code.trim().is_empty() {
            look(number + 1, code);
        }
    }
}
