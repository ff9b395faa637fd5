//! What `#[umbel::tasks]` exports: every type of the Rust SDK goes in and comes out, as callers see it.

use serde_json::{Value, json};
use umbel_harness::paths;

use crate::{folder, umbel};

/// How a run of one task ended, as `umbel invoke --json` tells it.
#[track_caller]
fn ending(task: &str, args: &Value, kwargs: &Value) -> Value {
    let (folder, file) = (folder(""), paths::test_plugin("shapes").display().to_string());
    let (args, kwargs) = (args.to_string(), kwargs.to_string());
    let words = ["invoke", &file, task, &args, "--kwargs", &kwargs, "--json"];
    let ended = umbel(folder.path(), &words);
    let report = ended.text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let report = report.unwrap_or_else(|| panic!("no report of {task}: {}", ended.text));
    report["ending"].clone()
}

#[track_caller]
fn gives(task: &str, args: Value, result: Value) {
    assert_eq!(ending(task, &args, &json!({}))["result"], result, "{task}({args})");
}

#[track_caller]
fn ends(task: &str, args: Value, parts: &[&str]) {
    let ending = ending(task, &args, &json!({})).to_string();
    for part in parts {
        assert!(ending.contains(part), "no `{part}` in what became of {task}({args}): {ending}");
    }
}

#[test]
fn every_type_goes_in_and_comes_out() {
    let numbers = json!([255, -128, 65535, -32768, 4294967295u32, -1, -9007199254740993i64, 1.5]);
    gives("numbers", json!([numbers, true, "ß"]), json!([numbers, true, "ß"]));
    let order = json!({
        "id": 18446744073709551615u64,
        "lines": [["apple", 2], ["pear", 3]],
        "type": "free-sample",
        "notes": {"fragile": 1},
        "json": {"any": [null, 1.0, "x"]},
    });
    gives("order", json!([order]), order.clone());
    let shapes = json!([null, "empty", {"circle": 1.5}, {"rectangle": [2.0, 3.0]}, {"of": "gift"}]);
    gives("many", json!([shapes]), shapes.clone());
    gives("percent", json!([40]), json!(40));
    gives("percent", json!([40, 2]), json!(42));
    gives("checks", json!([[1, 11]]), json!([{"ok": "gift"}, {"err": "11 is too much"}]));
    gives("constant", json!([]), json!("always"));
    gives("nothing", json!([]), Value::Null);
}

#[test]
fn what_a_task_borrows_is_kept_for_it() {
    let order = json!({"id": 7, "lines": [], "notes": {}, "json": null});
    let bytes = json!({"__type__": "base64", "__value__": "/wA="});
    gives("borrowed", json!(["größe", bytes, [["a", 1]], order]), json!([7, bytes, 1, 7]));
}

#[test]
fn json_of_any_shape_passes() {
    gives("any", json!([{"a": [1, "2", null]}]), json!({"a": [1, "2", null]}));
    let all = ending("all", &json!([1, "two"]), &json!({"three": 3, "four": 4}));
    assert_eq!(all["result"], 9);
    let misfit = ending("all", &json!([]), &json!({"three": "3"})).to_string();
    assert!(misfit.contains("ValueError") && misfit.contains("kwargs: invalid type"), "{misfit}");
}

#[test]
fn errors_become_endings() {
    ends("parse", json!(["x"]), &["ParseIntError", "invalid digit found in string"]);
    ends("fail", json!(["abc"]), &["TaskError", "code", "3"]);
    ends("ending", json!(["fail"]), &["LabError", "as asked"]);
    ends("ending", json!(["text"]), &["TaskError", "only text"]);
    ends("ending", json!(["retry"]), &["RETRY", "later"]);
    ends("ending", json!(["reject"]), &["Reject"]);
    ends("ending", json!(["ignore"]), &["IGNORED"]);
}

#[test]
fn an_async_function_is_a_task() {
    gives("later", json!(["soon", "gift"]), json!(["soon", "gift"]));
}

#[test]
fn comments_are_shown_as_they_were_written() {
    let folder = folder("");
    let file = paths::test_plugin("shapes").display().to_string();
    umbel(folder.path(), &["check", &file]).said(&["\"Quoted\", \\ and"]);
}
