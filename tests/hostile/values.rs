//! Values that a guest gives which JSON or a client may choke on.

use tempfile::TempDir;
use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, failure, url};
use umbel_system_tests::guests::guest;
use umbel_value::Value;

#[test]
fn odd_results_arrive_as_they_are_or_not_at_all() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let worker = ["lies", "misfits", "oddities"]
        .into_iter()
        .fold(Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks")), |worker, name| {
            worker.plugin(name, guest(name))
        });
    let _umbel = worker.start();
    let client = Client::open(&file);
    let gives = |task: &str, args: &str| {
        let record = client.call(task, args);
        assert_eq!(record.state, State::Success, "{task}{args}: {record:?}");
        record.result
    };
    assert!(gives("oddities.nan", "[]").as_f64().is_some_and(f64::is_nan));
    assert_eq!(gives("oddities.infinity", "[]"), Value::Float(f64::INFINITY));
    assert_eq!(gives("oddities.minus_infinity", "[]"), Value::Float(f64::NEG_INFINITY));
    assert_eq!(gives("oddities.beyond_doubles", "[]"), Value::Int((1 << 53) + 1));
    assert_eq!(gives("oddities.controls", "[]").as_str().map(str::len), Some(22));
    for (text, value) in [
        ("9007199254740993", Value::Int((1 << 53) + 1)),
        ("1180591620717411303424", Value::Big("1180591620717411303424".to_owned())),
        (r#"{"a": 1, "a": 2}"#, Value::from([("a", Value::Int(2))])),
    ] {
        let args = Value::List(vec![Value::from(text)]).to_json();
        assert_eq!(gives("lies.answer", &args), value, "{text}");
    }
    // As the canonical ABI has it: unknown bits are no flags, and all but 0 is true.
    assert_eq!(gives("misfits.odd_truth", "[]"), Value::Bool(true));
    assert_eq!(gives("misfits.wide_byte", "[]"), Value::Int(0xff));
    let both = ["red", "green"].map(Value::from).to_vec();
    assert_eq!(gives("misfits.unknown_flags", "[]"), Value::List(both));

    let deep = format!("[\"{}\"]", "[".repeat(100_000));
    for args in [r#"["nul"]"#, r#"["[1,]"]"#, r#"["\"\\ud8\""]"#, r#"["01"]"#, &deep] {
        let raised = failure(&client.call("lies.answer", args));
        assert_eq!(raised.kind, "TaskError", "{raised}");
    }
}
