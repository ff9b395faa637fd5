//! How hostile runs end.

use umbel_protocol::record::{Exception, State};
use umbel_system_tests::client::failure;
use umbel_value::Value;

use crate::scene::{Scene, shared};

#[test]
pub(crate) fn looping_for_ever_ends_at_the_time_limit() {
    let (scene, _shown) = shared();
    expect_time_limit(scene, "loops.forever", "[]");
    expect_time_limit(scene, "loops.asking_the_time", "[]");
}

#[test]
pub(crate) fn sleeping_for_ever_ends_at_the_time_limit() {
    let (scene, _shown) = shared();
    expect_time_limit(scene, "sleeps.forever", "[]");
}

#[test]
fn a_million_tiny_sleeps_end_one_way_or_the_other() {
    let (scene, _shown) = shared();
    let record = scene.call("sleeps.naps", "[1000000]");
    if record.state != State::Success {
        assert_eq!(failure(&record).kind, "TimeLimitExceeded");
    }
}

#[test]
pub(crate) fn an_endless_initialisation_ends_at_the_time_limit() {
    let (scene, _shown) = shared();
    expect_time_limit(scene, "stalls.reach", "[]");
}

/// Were it started, it would end at its time limit.
#[test]
fn a_guest_is_not_started_when_the_arguments_do_not_fit() {
    let (scene, _shown) = shared();
    let raised = failure(&scene.call("loops.forever", "[1]"));
    assert_eq!(names(&raised), ("builtins", "TypeError"), "{raised}");
    let raised = failure(&scene.call("recurses.deeper", "[\"text\"]"));
    assert_eq!(names(&raised), ("builtins", "TypeError"), "{raised}");
}

#[test]
pub(crate) fn endless_recursion_is_a_trap_that_says_so() {
    let (scene, _shown) = shared();
    let record = scene.call("recurses.deeper", "[0]");
    let raised = failure(&record);
    assert_eq!(names(&raised), ("umbel.exceptions", "TaskTrap"), "{raised}");
    assert!(raised.to_string().contains("stack"), "{raised}");
    let traceback = record.traceback.unwrap_or_default();
    assert!(traceback.contains("descend_without_end"), "{traceback}");
}

#[test]
pub(crate) fn a_trap_names_the_function_in_its_traceback() {
    let (scene, _shown) = shared();
    for (task, args, function) in [
        ("traps.misstep", "[]", "deliberate_misstep"),
        ("traps.panic", "[\"a guest's last words\"]", "panic"),
        ("traps.out_of_bounds", "[4294901760]", "out-of-bounds"),
    ] {
        let record = scene.call(task, args);
        let raised = failure(&record);
        assert_eq!(names(&raised), ("umbel.exceptions", "TaskTrap"), "{task}: {raised}");
        let traceback = record.traceback.unwrap_or_default();
        assert!(traceback.contains(function), "{task}: no `{function}` in\n{traceback}");
    }
    assert!(scene.log().contains("a guest's last words"), "what a guest prints is in the log");
}

#[test]
pub(crate) fn results_beyond_the_cap_are_not_stored() {
    let (scene, _shown) = shared();
    for (task, args) in [
        ("boasts.text", "[8000000]"),
        ("boasts.bytes", "[8000000]"),
        ("boasts.numbers", "[1000000]"),
        ("boasts.text", "[50000000]"),
    ] {
        let record = scene.call(task, args);
        let raised = failure(&record);
        assert_eq!(names(&raised), ("umbel.exceptions", "OutputTooLarge"), "{task}: {raised}");
        assert!(record.to_json().len() < 10_000, "{task}: the record is small");
    }
    let record = scene.call("boasts.text", "[100000]");
    assert_eq!(record.state, State::Success, "below the cap it may");
}

#[test]
fn json_a_million_levels_deep_is_a_failure() {
    let (scene, _shown) = shared();
    // 200,000 levels stay below the cap on size, a million do not.
    for args in ["[200000]", "[1000000]"] {
        let raised = failure(&scene.call("boasts.deep", args));
        assert_ne!(raised.kind, "", "{raised}");
    }
    assert_eq!(scene.call("boasts.deep", "[10]").state, State::Success);
}

#[test]
pub(crate) fn a_result_that_is_no_json_is_a_failure() {
    let (scene, _shown) = shared();
    for text in ["", "{not json", "[1] and more", "\\ud800", "'single'"] {
        let args = Value::List(vec![Value::Text(text.to_owned())]).to_json();
        let raised = failure(&scene.call("lies.answer", &args));
        assert_ne!(raised.module.as_deref(), None, "{text}: {raised}");
    }
    assert_eq!(scene.call("lies.answer", "[\"[1, 2]\"]").state, State::Success);
}

#[test]
pub(crate) fn a_guest_cannot_choose_the_class_that_a_client_makes() {
    let (scene, _shown) = shared();
    let as_class = |kind: &str| {
        let args = [kind, "whoami"].map(|text| Value::Text(text.to_owned()));
        failure(&scene.call("poses.fail_as", &Value::List(args.to_vec()).to_json()))
    };
    assert_eq!(names(&as_class("ValueError")), ("builtins", "ValueError"));
    assert_eq!(names(&as_class("OutOfPaper")), ("umbel.exceptions", "OutOfPaper"));
    let long = "x".repeat(101);
    for kind in
        ["os.system", "subprocess.Popen", "__import__('os')", "", "two words", "Umläut\u{0}", &long]
    {
        let raised = as_class(kind);
        assert_eq!(names(&raised), ("umbel.exceptions", "TaskError"), "{kind}");
    }
    // Not exceptions, or such as would end the client.
    for kind in ["print", "eval", "object", "SystemExit", "KeyboardInterrupt", "GeneratorExit"] {
        assert_ne!(names(&as_class(kind)).0, "builtins", "{kind}");
    }
}

#[track_caller]
fn expect_time_limit(scene: &Scene, task: &str, args: &str) {
    let raised = failure(&scene.call(task, args));
    assert_eq!(names(&raised), ("billiard.exceptions", "TimeLimitExceeded"), "{task}: {raised}");
    let seconds = raised.args.first().and_then(Value::as_f64);
    assert_eq!(seconds, Some(1.0), "{task}: its limit in seconds");
}

fn names(raised: &Exception) -> (&str, &str) {
    (raised.module.as_deref().unwrap_or_default(), raised.kind.as_str())
}
