//! Components that load and components that do not.

use std::fs;
use std::path::PathBuf;

use umbel_harness::eventually::eventually;
use umbel_harness::paths;

use crate::embedded::worker;
use crate::{SOON, folder, put, umbel};

/// A component that imports the function `open` of an interface that nobody knows.
fn asks_for_something_unknown() -> Vec<u8> {
    let name = b"acme:vault/doors@1.0.0";
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // Types: an instance with a function type and an export `open` of it.
    let instance = b"\x01\x42\x02\x01\x40\x00\x01\x00\x04\x00\x04open\x01\x00";
    bytes.extend([7, instance.len() as u8]);
    bytes.extend(instance);
    // Imports: that instance.
    let mut import = vec![1, 0, name.len() as u8];
    import.extend(name);
    import.extend([5, 0]);
    bytes.extend([10, import.len() as u8]);
    bytes.extend(import);
    bytes
}

#[test]
fn what_a_killed_worker_kept_for_its_runs_is_swept_at_the_next_start() {
    let folder = folder("cache = 'cache'\n[plugins.tasks]\nallow = { scratch = '1MiB' }\n");
    let here = folder.path();
    put(here, "tasks", "tasks");
    let kept = || -> Vec<PathBuf> {
        let entries = fs::read_dir(here.join("cache")).expect("the cache is there").flatten();
        let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("scratch");
        entries.filter(named).map(|entry| entry.path()).collect()
    };
    let mut killed = worker(here, &[]);
    let left = kept().pop().expect("a folder for its runs");
    fs::create_dir(left.join("run-1")).expect("it is writable");
    umbel(here, &["check", "plugins/tasks.wasm"]).said(&["granted scratch"]);
    assert!(left.join("run-1").exists(), "others leave alone what a living worker has");
    killed.kill();
    let _worker = worker(here, &[]);
    let swept = || (!left.exists()).then_some(()).ok_or_else(|| format!("{:?}", kept()));
    eventually("it is gone", SOON, swept);
    assert_eq!(kept().len(), 1, "the new worker's own");
}

#[test]
fn a_file_that_is_no_component_is_refused() {
    let folder = folder("");
    fs::write(folder.path().join("plugins/broken.wasm"), "hello").expect("it is writable");
    let refused = ["broken.wasm"];
    umbel(folder.path(), &["worker", "--allow-root"]).refused(1, &refused);
    umbel(folder.path(), &["check", "plugins/broken.wasm"]).refused(1, &refused);
    umbel(folder.path(), &["invoke", "plugins/broken.wasm", "add", "1", "2"]).refused(1, &refused);
}

#[test]
fn an_unknown_import_is_refused_by_name() {
    let folder = folder("");
    let file = folder.path().join("plugins/thief.wasm");
    fs::write(file, asks_for_something_unknown()).expect("it is writable");
    let refused = ["thief.wasm", "acme:vault/doors@1.0.0"];
    umbel(folder.path(), &["worker", "--allow-root"]).refused(1, &refused);
    umbel(folder.path(), &["check", "plugins/thief.wasm"]).refused(1, &refused);
}

#[test]
fn two_plugins_with_one_task_name_are_refused_naming_both() {
    let folder = folder("[plugins.left]\nprefix = 'same'\n[plugins.right]\nprefix = 'same'\n");
    put(folder.path(), "tasks", "left");
    put(folder.path(), "tasks", "right");
    let refused = ["`same.", "`left`", "`right`", "help: "];
    umbel(folder.path(), &["worker", "--allow-root"]).refused(1, &refused);
    umbel(folder.path(), &["check", "plugins/left.wasm", "plugins/right.wasm"])
        .refused(1, &refused);
}

#[test]
fn a_missing_folder_and_a_missing_file_are_named() {
    let folder = folder("");
    umbel(folder.path(), &["worker", "--allow-root", "--plugins", "nowhere"])
        .refused(2, &["plugin folder nowhere", "--plugins"]);
    umbel(folder.path(), &["check", "nowhere.wasm"]).refused(1, &["nowhere.wasm"]);
    let folder = crate::folder("[plugins.taks]\nprefix = 'x'\n");
    put(folder.path(), "tasks", "tasks");
    umbel(folder.path(), &["worker", "--allow-root"])
        .refused(2, &["plugin `taks`", "did you mean [plugins.tasks]?"]);
}

#[test]
fn check_and_tasks_show_what_there_is() {
    let folder = folder("[plugins.tasks]\nlimits = { time = '7s' }\n");
    put(folder.path(), "tasks", "tasks");
    umbel(folder.path(), &["check", "plugins/tasks.wasm"]).said(&[
        "tasks.add(x: int, y: int) -> int   7s 256MiB",
        "      add: func(x: s64, y: s64) -> s64",
        // One line for what a package offers under the same conditions.
        "imports umbel:task@0.1.0 ",
        "imports wasi:cli@0.2.6 environment   nothing there without `env`",
    ]);
    umbel(folder.path(), &["tasks"]).said(&["tasks.add(x: int, y: int) -> int", "tasks.whoami()"]);
    let ended = umbel(folder.path(), &["tasks", "--json"]);
    let tasks: serde_json::Value = serde_json::from_str(&ended.text).expect("JSON");
    assert!(tasks[0]["name"].is_string() && tasks[0]["limits"]["time"] == "7s", "{}", ended.text);
}

#[test]
fn what_a_task_sends_is_shown_where_nothing_can_be_sent() {
    let file = paths::guest("spams").display().to_string();
    let run = |folder: &tempfile::TempDir| {
        umbel(folder.path(), &["invoke", &file, "flood", "tasks.add", "2"])
    };
    run(&folder("")).refused(1, &["umbel:task/tasks", "[plugins.spams] allow = { submit"]);
    let granted = folder("[plugins.spams]\nallow = { submit = ['tasks.*'] }\n");
    let ended = run(&granted);
    ended.said(&["[submit] tasks.add [1,2] {}"]);
    assert_eq!(ended.text.matches("[submit]").count(), 2, "{}", ended.text);
}

#[test]
fn invoke_prints_result_and_bill() {
    let folder = folder("");
    let file = paths::plugin("tasks").display().to_string();
    let invoke = |rest: &[&str]| {
        let words: Vec<&str> = ["invoke", file.as_str()].iter().chain(rest).copied().collect();
        umbel(folder.path(), &words)
    };
    invoke(&["add", "[2, 3]"]).said(&["5\n", "wall", "cpu", "memory", "limit", "256MiB"]);
    invoke(&["add", "2", "-3"]).said(&["-1\n"]);
    invoke(&["tasks.add", "x=2", "y=40"]).said(&["42\n"]);
    invoke(&["add", "--kwargs", "{\"x\": 1, \"y\": 1}"]).said(&["2\n"]);
    invoke(&["echo", "grüße"]).said(&["grüße\n"]);
    let failed = invoke(&["fail", "no luck"]);
    assert!(failed.text.contains("TaskError: no luck"), "{}", failed.text);
    assert_eq!(failed.code, 1);
    let misfit = invoke(&["add", "1"]);
    let words = "TypeError: add() missing 1 required positional argument: 'y'";
    assert!(misfit.text.contains(words), "{}", misfit.text);
    assert_eq!(misfit.code, 1);
    let endless = invoke(&["sleep", "60", "--time-limit", "200ms"]);
    assert!(endless.text.contains("TimeLimitExceeded: 200ms"), "{}", endless.text);
    invoke(&["ad", "1"]).refused(2, &["has no task `ad`", "did you mean `add`?"]);
    let ended = invoke(&["add", "[2, 3]", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.text).expect("JSON");
    assert_eq!(report["ending"]["result"], 5);
    assert!(report["bill"]["wall_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{}", ended.text);
    assert_eq!(report["limits"]["memory_bytes"], 256 << 20, "{}", ended.text);
    for amount in ["host_calls", "random_bytes", "progress", "requests", "request_bytes", "sockets"]
    {
        assert!(report["bill"][amount].is_u64() && report["limits"][amount].is_u64(), "{amount}");
    }
}

#[test]
fn cpu_time_and_fuel_have_limits_and_a_place_on_the_bill() {
    let folder = folder("");
    let file = paths::guest("loops").display().to_string();
    let invoke =
        |limit: &str, most: &str| umbel(folder.path(), &["invoke", &file, "forever", limit, most]);
    let burnt = invoke("--cpu-limit", "150ms");
    assert!(burnt.text.contains("TimeLimitExceeded: 150ms of CPU time"), "{}", burnt.text);
    let emptied = invoke("--fuel-limit", "1000000");
    assert!(emptied.text.contains("FuelExhausted: more than 1000000"), "{}", emptied.text);
}
