//! What `umbel check` and `umbel invoke` tell the author of a plugin.

use std::fs;

use umbel_harness::paths;

use crate::{folder, put, umbel};

/// Writes a component or module given as text.
fn write(folder: &std::path::Path, name: &str, text: &str) {
    let binary = wat::parse_str(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    fs::write(folder.join("plugins").join(name), binary).expect("it is writable");
}

#[test]
fn what_all_tasks_share_is_said_once() {
    let same = folder("");
    put(same.path(), "tasks", "tasks");
    let said = umbel(same.path(), &["check", "plugins/tasks.wasm"]).text;
    for part in ["limits wall=", "starts with memory "] {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
    let own = folder("[plugins.tasks]\ntasks.add = { limits = { time = '7s' } }\n");
    put(own.path(), "tasks", "tasks");
    let said = umbel(own.path(), &["check", "plugins/tasks.wasm"]).text;
    assert_eq!(said.matches("limits wall=7s").count(), 1, "{said}");
    assert!(said.matches("limits wall=5m").count() > 1, "{said}");
}

#[test]
fn an_import_is_shown_with_the_grant_it_needs_or_has() {
    let granted = folder("[plugins.tasks]\nallow = { env = { REGION = 'eu' } }\n");
    put(granted.path(), "tasks", "tasks");
    umbel(granted.path(), &["check", "plugins/tasks.wasm"])
        .said(&["imports wasi:cli@0.2.6 environment   granted by `env`"]);
    let ended = umbel(granted.path(), &["check", "plugins/tasks.wasm", "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&ended.text).expect("JSON");
    let plugin = &checked["plugins"][0];
    assert!(plugin["size"].as_u64().is_some_and(|size| size > 1000), "{}", ended.text);
    let needs = plugin["needs"].as_array().expect("a list");
    let variables = needs.iter().find(|need| need["import"] == "wasi:cli/environment@0.2.6");
    let variables = variables.expect("the standard library imports it");
    assert_eq!(variables["grants"], serde_json::json!(["env"]));
    assert_eq!(variables["granted"], "env");
}

#[test]
fn an_import_that_is_nearly_right_is_told_what_was_meant() {
    let folder = folder("");
    for (import, help) in [
        ("wasi:filesystem/type@0.2.6", "did you mean `wasi:filesystem/types@0.2.12`"),
        ("wasi:filesytem/preopens@0.2.0", "did you mean `wasi:filesystem/preopens@0.2.12`"),
        ("wasi:http/types@1.2.0", "this worker has `wasi:http/types@0.2.12`"),
        ("wasi:io/poll", "names no version"),
        ("wasi:clocks/monotonic-clock@0.3.0-rc-1", "`wasi:clocks/monotonic-clock@0.3.0`"),
    ] {
        write(folder.path(), "near.wasm", &format!("(component (import \"{import}\" (instance)))"));
        umbel(folder.path(), &["check", "plugins/near.wasm"]).refused(1, &[import, "help: ", help]);
    }
}

#[test]
fn a_core_module_is_told_what_it_is_and_what_makes_a_component_of_it() {
    let folder = folder("");
    let preview1 = "(import \"wasi_snapshot_preview1\" \"fd_write\" (func))";
    for (text, what, help) in [
        ("(module)", "does not say what types", "`umbel build`"),
        (
            format!("(module {preview1} (func (export \"_start\")))").as_str(),
            "a program with a `main`",
            "exports its tasks",
        ),
        (
            format!("(module {preview1} (func (export \"_initialize\")))").as_str(),
            "a library for WASI preview 1",
            "the adapter for preview 1",
        ),
        (
            format!("(module {preview1} (@custom \"component-type:plugin\" \"\"))").as_str(),
            "the last step, which makes the component, is missing",
            "`umbel build`",
        ),
    ] {
        write(folder.path(), "core.wasm", text);
        umbel(folder.path(), &["check", "plugins/core.wasm"])
            .refused(1, &["core.wasm", what, help]);
    }
}

#[test]
fn many_runs_are_told_by_their_ranks() {
    let folder = folder("");
    let file = paths::plugin("tasks").display().to_string();
    umbel(folder.path(), &["invoke", &file, "add", "2", "3", "--repeat", "20"]).said(&[
        "5\n",
        "20 runs",
        "p50",
        "p90",
        "p99",
        "max",
        "wall",
        "cpu",
        "instantiate",
    ]);
    let ended =
        umbel(folder.path(), &["invoke", &file, "add", "2", "3", "--repeat", "5", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.text).expect("JSON");
    let repeat = &report["repeat"];
    assert_eq!(repeat["runs"], 5, "{}", ended.text);
    let time = |name: &str, rank: &str| repeat[name][rank].as_f64().expect("a number");
    for name in ["wall_ms", "cpu_ms", "instantiate_ms"] {
        assert!(time(name, "p50") <= time(name, "p99"), "{}", ended.text);
        assert!(
            time(name, "p99") <= time(name, "max") && time(name, "max") > 0.0,
            "{}",
            ended.text
        );
    }
    assert!(time("instantiate_ms", "p50") <= time("wall_ms", "p50"), "{}", ended.text);
    // The first that fails is the last.
    let failed = umbel(folder.path(), &["invoke", &file, "fail", "no luck", "--repeat", "5"]);
    assert!(failed.text.contains("TaskError: no luck") && failed.text.contains("1 run "));
    assert_eq!(failed.code, 1);
    umbel(folder.path(), &["invoke", &file, "add", "1", "1", "--repeat", "0"])
        .refused(2, &["--repeat"]);
}

#[test]
fn a_limit_on_the_command_line_beats_every_table() {
    let folder = folder(
        "[limits]\nmemory = '1GiB'\n[plugins.tasks]\nlimits = { time = '60s' }\n\
         tasks.sleep = { limits = { time = '50s' } }\n",
    );
    put(folder.path(), "tasks", "tasks");
    let invoke = |rest: &[&str]| {
        let words = [&["invoke", "plugins/tasks.wasm"], rest].concat();
        umbel(folder.path(), &words)
    };
    let ended = invoke(&["sleep", "60", "--limit", "time=200ms", "--limit", "memory=32MiB"]);
    assert!(ended.text.contains("TimeLimitExceeded: 200ms"), "{}", ended.text);
    assert!(ended.text.contains("32MiB"), "{}", ended.text);
    invoke(&["add", "1", "1", "--limit", "memry=1MiB"])
        .refused(2, &["no limit `memry`", "did you mean `memory`?"]);
    invoke(&["add", "1", "1", "--limit", "colour=red"]).refused(2, &["there are: time, "]);
    invoke(&["add", "1", "1", "--limit", "memory"]).refused(2, &["NAME=VALUE"]);
    invoke(&["add", "1", "1", "--limit", "memory=red"]).refused(2, &["--limit memory: `red`"]);
}

#[test]
fn a_profile_names_the_functions_of_the_guest() {
    let folder = folder("");
    let file = paths::guest("loops").display().to_string();
    let words =
        ["invoke", &file, "forever", "--limit", "time=400ms", "--profile", "run.cpuprofile"];
    let ended = umbel(folder.path(), &words);
    assert!(ended.text.contains("profile: run.cpuprofile; open https://profiler.firefox.com"));
    let text = fs::read(folder.path().join("run.cpuprofile")).expect("it was written");
    let profile: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let samples = profile["samples"].as_array().expect("a list");
    let deltas = profile["timeDeltas"].as_array().expect("a list");
    assert!(!samples.is_empty() && samples.len() == deltas.len(), "{profile}");
    let mut nodes = profile["nodes"].as_array().expect("a list").iter();
    let forever = |node: &serde_json::Value| {
        node["callFrame"]["functionName"].as_str().is_some_and(|name| name.contains("forever"))
    };
    assert!(nodes.any(forever), "no function by its name in {profile}");
    umbel(folder.path(), &["invoke", &file, "--help"]).said(&["https://profiler.firefox.com"]);
}
