//! What guests can reach: files, environment, network, the log, the terminal behind it.

use umbel_harness::{paths, worker};
use umbel_protocol::record::State;
use umbel_system_tests::client::failure;
use umbel_value::Value;

use crate::scene::{Scene, shared};

/// Twice the cap of one run, and what the lines' prefixes add.
const FEW: usize = 200_000;

#[test]
pub(crate) fn nothing_of_the_worker_is_visible() {
    let (scene, _shown) = shared();
    let nothing = |task: &str, empty: Value| {
        let record = scene.call(task, "[]");
        assert_eq!((&record.state, &record.result), (&State::Success, &empty), "{task}");
    };
    nothing("snoops.environment", Value::List(vec![]));
    nothing("snoops.arguments", Value::List(vec![]));
    nothing("snoops.input", Value::Text(String::new()));

    let refused = |task: &str, path: &str| {
        let raised = failure(&scene.call(task, &format!("[\"{path}\"]")));
        assert_eq!(raised.kind, "TaskError", "{task}({path}): {raised}");
    };
    for path in ["/etc/passwd", "/proc/self/environ", "../../etc/passwd", "queue.db", "umbel.toml"]
    {
        refused("snoops.read", path);
    }
    for path in ["/", ".", "..", "/proc", "/tmp"] {
        refused("snoops.list_folder", path);
    }
    let trace = std::env::temp_dir().join("umbel-guest-was-here");
    refused("snoops.write", &trace.display().to_string());
    assert!(!trace.exists(), "a guest wrote a file");
}

#[test]
pub(crate) fn asking_for_the_network_is_refused_at_load() {
    let file = paths::guest("dials");
    let checked = worker::run("check", &[&file.display().to_string()]);
    let text = [checked.stdout, checked.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!checked.status.success(), "{text}");
    assert!(text.contains("wasi:http/types"), "the interface is named: {text}");
}

#[test]
pub(crate) fn a_flood_of_output_is_capped() {
    let (scene, _shown) = shared();
    for (task, args) in [("floods.flood", "[60000]"), ("floods.endless_line", "[10000000]")] {
        let record = scene.call(task, args);
        assert_eq!(record.state, State::Success, "{task}: {record:?}");
        scene.await_logged(&record.id, "succeeded");
        let grown = scene.logged(&record.id);
        assert!((1000..FEW).contains(&grown), "{task}: the log grew by {grown} bytes");
    }
}

#[test]
fn output_can_neither_forge_log_lines_nor_command_the_terminal() {
    let (scene, _shown) = shared();
    for task in ["floods.forge", "floods.rubbish"] {
        let record = scene.call(task, "[]");
        assert_eq!(record.state, State::Success, "{task}: {record:?}");
        scene.await_logged(&record.id, "succeeded");
    }
    let log = scene.log();
    assert!(log.contains("forged with a newline"), "what a guest prints is in the log");
    for line in log.lines() {
        assert!(!line.starts_with("[2030-01-01"), "forged: {line}");
    }
    for (what, character) in [
        ("escape", '\x1b'),
        ("bell", '\x07'),
        ("return", '\r'),
        ("C1 control", '\u{9b}'),
        ("right-to-left override", '\u{202e}'),
        ("line separator", '\u{2028}'),
    ] {
        assert!(!log.contains(character), "a raw {what} is in the log");
    }
}

#[test]
pub(crate) fn chatter_is_coalesced_and_capped() {
    let (scene, _shown): (&Scene, _) = shared();
    for task in ["chatters.progress", "chatters.log"] {
        let record = scene.call(task, "[1000000]");
        assert_eq!(record.state, State::Success, "{task}: {record:?}");
        scene.await_logged(&record.id, "succeeded");
        let grown = scene.logged(&record.id);
        assert!(grown < FEW, "{task}: the log grew by {grown} bytes");
    }
}
