//! The same function in five languages: what building it costs, what it weighs, what a call takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use umbel_harness::process::Process;
use umbel_harness::worker::Worker;
use umbel_harness::{paths, shell};
use umbel_protocol::message::Message;
use umbel_system_tests::request::request;

use crate::report::{Report, Target, pretty, quantile, write};
use crate::stage::{Broker, Stage};

const LANGUAGES: [&str; 5] = ["rust", "c", "go", "javascript", "python"];
const CALLS: usize = 10_000;
/// For one command, compilers and downloads included.
const LONG: Duration = Duration::from_secs(1200);
/// How often a task is run for the time that its instance takes.
const REPEAT: usize = 1000;

/// What was measured of one language. Times in milliseconds, sizes in bytes.
struct Row {
    language: &'static str,
    build: f64,
    size: f64,
    compile: f64,
    memory: f64,
    instantiate: f64,
    p50: f64,
    p99: f64,
    rate: f64,
}

/// Builds a project of each language as `umbel new` writes it, and calls its `summarize`.
pub(crate) fn run(report: &mut Report) {
    let home = tempfile::tempdir().expect("there is room for temporary files");
    let components = LANGUAGES.map(|language| build(home.path(), language));
    let mut rows = Vec::new();
    for (language, (component, build)) in LANGUAGES.into_iter().zip(components) {
        report.section(&format!("{language}: summarize of three numbers, {CALLS} calls"));
        let row = measure(language, &component, build);
        tell(&row, report);
        rows.push(row);
    }
    let table = table(&rows);
    println!("\n{table}");
    write("languages.md", &table);
    write("languages.json", &pretty(&Value::Array(rows.iter().map(as_json).collect())));
}

/// The component, and how many seconds `umbel build --release` took in a folder where nothing was
/// built yet.
fn build(home: &Path, language: &str) -> (PathBuf, f64) {
    let folder = home.join(language);
    fs::create_dir(&folder).expect("temporary files can be written");
    let said = typed(&folder, &format!("umbel new thumbs --lang {language}"));
    let folder = folder.join("thumbs");
    let own = paths::workspace().join("tests/bench/languages").join(language);
    if own.is_dir() {
        typed(&folder, &format!("cp -r '{}'/. .", own.display()));
    }
    let lines = said.lines().filter_map(|line| line.strip_prefix("  "));
    for line in lines.filter(|line| !line.starts_with("cd ") && !line.starts_with("umbel ")) {
        typed(&folder, line);
    }
    let since = Instant::now();
    typed(&folder, "umbel build --release");
    (folder.join("build/thumbs.wasm"), since.elapsed().as_secs_f64())
}

fn measure(language: &'static str, component: &Path, build: f64) -> Row {
    let size = fs::metadata(component).expect("umbel build made it").len() as f64;
    let compile = compile(component);
    let invoke = format!(
        "umbel --json invoke '{}' summarize '[[3, 1, 2]]' --repeat {REPEAT}",
        component.display()
    );
    let said = typed(paths::workspace().as_path(), &invoke);
    let said: Value = serde_json::from_str(&said).expect("--json prints JSON");
    let number = |pointer: &str| said.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let (latencies, rate) = calls(component);
    Row {
        language,
        build,
        size,
        compile,
        memory: number("/bill/memory_bytes"),
        instantiate: number("/repeat/instantiate_ms/p50"),
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
        rate,
    }
}

/// Milliseconds that a check takes with nothing in its cache, less those that the next one takes.
fn compile(component: &Path) -> f64 {
    let cache = tempfile::tempdir().expect("there is room for temporary files");
    let line =
        format!("UMBEL_CACHE='{}' umbel check '{}'", cache.path().display(), component.display());
    let took = || {
        let since = Instant::now();
        typed(cache.path(), &line);
        since.elapsed().as_secs_f64() * 1000.0
    };
    let cold = took();
    cold - took()
}

/// Milliseconds from sending to the result, one call after the other; then calls a second from a
/// queue that was filled before.
fn calls(component: &Path) -> (Vec<f64>, f64) {
    let stage = Stage::set(Broker::Redis);
    let worker = || {
        let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
        worker.plugin("thumbs", component.to_owned()).args(&["--loglevel", "warning"])
    };
    let one_by_one = {
        let _umbel = worker().spawn();
        // Until it is ready.
        stage.round_trips(std::iter::once(summarize()));
        stage.round_trips((0..CALLS).map(|_| summarize()))
    };
    stage.clear();
    stage.send((0..CALLS).map(|_| summarize().encode()));
    let _umbel = worker().spawn();
    (one_by_one, stage.watch(CALLS))
}

fn summarize() -> Message {
    use umbel_value::Value as Argument;
    let numbers = [3.0, 1.0, 2.0].map(Argument::from);
    request("thumbs.summarize", vec![Argument::List(numbers.into())])
}

/// Types a command into a shell; gives what it printed.
fn typed(folder: &Path, line: &str) -> String {
    let mut process = Process::start(line, shell::typed(line, folder, &[]));
    let status = process.await_end(LONG);
    let said = process.log();
    assert!(status.success(), "`{line}` ended with {status}:\n{said}");
    said
}

fn tell(row: &Row, report: &mut Report) {
    let most = matches!(row.language, "python" | "go").then_some(Target::Below(1.0));
    for (name, value, unit, target) in [
        ("umbel build --release", row.build, "s", None),
        ("component", row.size / 1024.0, "KiB", None),
        ("compiled to native code in", row.compile, "ms", None),
        ("memory of the guest", row.memory / 1024.0, "KiB", None),
        ("instantiate, median", row.instantiate, "ms", most),
        ("sent to result, median", row.p50, "ms", None),
        ("sent to result, 99 of 100 within", row.p99, "ms", None),
        ("from a filled queue", row.rate, "tasks/s", None),
    ] {
        report.figure(&format!("{}: {name}", row.language), value, unit, target);
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "| language | build | component | to native code | guest's memory | instantiate | call, p50 | call, p99 | from a full queue |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let size = |bytes: f64| match bytes {
            large if large >= 1_048_576.0 => format!("{:.1} MiB", large / 1_048_576.0),
            small => format!("{:.0} KiB", small / 1024.0),
        };
        text += &format!(
            "| {} | {:.1} s | {} | {:.0} ms | {} | {:.0} µs | {:.2} ms | {:.2} ms | {:.0}/s |\n",
            row.language,
            row.build,
            size(row.size),
            row.compile,
            size(row.memory),
            row.instantiate * 1000.0,
            row.p50,
            row.p99,
            row.rate,
        );
    }
    text
}

fn as_json(row: &Row) -> Value {
    serde_json::json!({
        "language": row.language,
        "build_s": row.build,
        "component_bytes": row.size,
        "compile_ms": row.compile,
        "memory_bytes": row.memory,
        "instantiate_ms": row.instantiate,
        "call_ms": { "p50": row.p50, "p99": row.p99 },
        "tasks_per_second": row.rate,
    })
}
