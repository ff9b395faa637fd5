//! From an empty folder to a result in Celery, in every language, with a stopwatch: what `umbel new`
//! tells its reader to type is typed, then a caller in Python sends the task over Redis. Compilers are
//! real ones, so that this takes minutes: `make test-languages`.

mod stopwatch;

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use umbel_harness::process::Process;
use umbel_harness::python::Peer;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;
use umbel_harness::{eventually, paths, shell};

use self::stopwatch::{Row, table};

/// For one command, compilers and downloads included, on a busy machine.
const LONG: Duration = Duration::from_secs(1200);

const LANGUAGES: [&str; 6] = ["rust", "python", "javascript", "typescript", "c", "go"];

#[expect(clippy::print_stdout, reason = "the table of seconds is what it is run for")]
fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: they are timed.
    arguments.test_threads = Some(1);
    let wanted = paths::languages();
    let trials = LANGUAGES.map(|language| {
        let name = format!("a_task_in_{language}_runs_minutes_after_umbel_new");
        let left_out = !wanted.iter().any(|one| one == language);
        Trial::test(name, move || one(language)).with_ignored_flag(left_out)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    print!("{}", table());
    conclusion.exit();
}

fn one(language: &'static str) -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let mut row = Row::new(language);
    let new = format!("umbel new thumbs --lang {language}");
    let said = type_in(home.path(), &new, &mut row);
    let folder = home.path().join("thumbs");
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let (change, rest) = lines.split_first().ok_or("umbel new says what to type next")?;
    assert_eq!(*change, "cd thumbs");
    let mut printed = String::new();
    for line in rest {
        printed = type_in(&folder, line, &mut row);
    }
    assert!(printed.contains("\"mean\":2.0"), "invoke: {printed}");
    row.quick = size(&folder);
    let said = type_in(&folder, "umbel build --release", &mut row);
    assert!(!said.contains("its modules stay apart"), "{said}");
    row.small = size(&folder);
    if let Some(line) = own_tests(language) {
        // Not timed: nobody has to.
        type_in(&folder, line, &mut Row::new(language));
    }
    row.send = send(&folder.join("build/thumbs.wasm"), second(language));
    row.keep();
    Ok(())
}

/// How the template's tests are run, where no other suite does.
fn own_tests(language: &str) -> Option<&'static str> {
    match language {
        "rust" => Some("cargo test"),
        "c" => Some("make test"),
        "go" => Some("go test ./..."),
        _ => None,
    }
}

/// Types a command into a shell, and gives what it printed. Compilers find nothing that they have
/// compiled before: theirs are the libraries of C and Go.
fn type_in(folder: &Path, line: &str, row: &mut Row) -> String {
    let mut command = shell::typed(line, folder, &[]);
    for cache in ["GOCACHE", "ZIG_GLOBAL_CACHE_DIR"] {
        command.env(cache, row.caches.path().join(cache));
    }
    let since = Instant::now();
    let mut process = Process::start(line, command);
    let status = process.await_end(LONG);
    let said = process.log();
    assert!(status.success(), "`{line}` ended with {status}:\n{said}");
    row.took(line, since.elapsed());
    said
}

fn size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("build/thumbs.wasm")).expect("umbel build made it").len()
}

/// The template's task that reports and retries: a call in Python that ends well, its value, and one
/// that waits for its next try.
struct Second {
    well: &'static str,
    value: serde_json::Value,
    again: &'static str,
}

fn second(language: &str) -> Second {
    match language {
        "rust" | "c" | "go" => Second {
            well: "call('thumbs.add_up', '12.50\\n7.25')",
            value: serde_json::json!(19.75),
            again: "app.send_task('thumbs.add_up', [''])",
        },
        _ => Second {
            well: "call('thumbs.load', ['12.50', '7.25'])",
            value: serde_json::json!([12.5, 7.25]),
            again: "app.send_task('thumbs.load', [['pending']])",
        },
    }
}

/// A Celery client calls both tasks; gives the time of the first call.
fn send(component: &Path, second: Second) -> Duration {
    let redis = RedisServer::start();
    let url = redis.url(0);
    let worker = Worker::on(&url).results(&url);
    let _worker = worker.plugin("thumbs", component.to_owned()).start();
    let mut python = Peer::connect(&url, &url);
    let since = Instant::now();
    let mean = python.eval("call('thumbs.summarize', [3, 1, 2])['mean']");
    let took = since.elapsed();
    assert_eq!(mean, serde_json::json!(2.0));
    assert_eq!(python.eval(second.well), second.value);
    // What has not arrived is tried again; the caller sees so.
    python.exec(&format!("retried = {}", second.again));
    eventually::eventually("it waits for its retry", Duration::from_secs(60), || {
        let state = python.eval("retried.state");
        (state == "RETRY").then_some(()).ok_or_else(|| state.to_string())
    });
    took
}
