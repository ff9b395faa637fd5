//! What a client sees of tasks that do not succeed.

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::python::{Peer, Raised};

use crate::scene::{Pair, Scene, Stage};

pub(crate) fn a_failing_task_raises_its_message_in_the_client(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let raised = python.raises("app.send_task('tasks.fail', ('no luck: ü',)).get(timeout=10)");
    // Celery makes classes that the client has not imported, in a module of its own.
    expect(&raised, "celery.exceptions", "TaskError", &["no luck: ü"]);
}

pub(crate) fn arguments_that_do_not_fit_raise_in_pythons_words(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let mut check = |arguments: &str, words: &[&str]| {
        let raised = python.raises(&format!("call('tasks.add', {arguments})"));
        expect(&raised, "builtins", "TypeError", words);
    };
    check("'2', 3", &["x", "int", "str"]);
    check("2.0, 3", &["x", "int", "float"]);
    check("True, 3", &["x", "int", "bool"]);
    check("None, 3", &["x", "int", "None"]);
    check("", &["add() missing 2 required positional arguments: 'x' and 'y'"]);
    check("1", &["add() missing 1 required positional argument: 'y'"]);
    check("1, 2, 3", &["add() takes 2 positional arguments but 3 were given"]);
    check("1, z=2", &["add() got an unexpected keyword argument 'z'"]);
    check("1, 2, y=3", &["add() got multiple values for argument 'y'"]);
}

pub(crate) fn an_integer_too_large_raises(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let raised = python.raises("call('tasks.add', 2**70, 1)");
    expect(&raised, "builtins", "OverflowError", &["x"]);
    assert_eq!(python.eval("call('tasks.add', 2**62, 1) == 2**62 + 1"), json!(true));
}

pub(crate) fn an_unknown_name_raises_not_registered(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let raised = python.raises("call('tasks.nope')");
    expect(&raised, "celery.exceptions", "NotRegistered", &["tasks.nope"]);
}

/// RabbitMQ itself drops what has expired, so this shows on Redis alone.
pub(crate) fn an_expired_task_is_revoked(pair: Pair) {
    let stage = Stage::set(pair);
    let mut python: Peer = stage.peer();
    python.exec(
        "late = app.send_task('tasks.add', (1, 2),\n\
         expires=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5))",
    );
    let _umbel = stage.worker().start();
    let raised = python.raises("late.get(timeout=30)");
    expect(&raised, "celery.exceptions", "TaskRevokedError", &["expired"]);
}

/// Results, failures, retries, progress, and a wait that is called off; and no run sees another one.
pub(crate) fn an_async_task_ends_as_others_do(pair: Pair) {
    let stage = Stage::set(pair);
    let umbel = stage.worker().plugin("later", paths::test_plugin("later")).start();
    let _shown = umbel.process.shown_on_failure();
    let mut python: Peer = stage.peer();
    assert_eq!(python.eval("call('later.ending', 'well')"), json!("after 0 retries"));
    assert_eq!(python.eval("call('later.ending', how='retry')"), json!("after 2 retries"));
    let raised = python.raises("call('later.ending', 'fail')");
    expect(&raised, "celery.exceptions", "LabError", &["as asked"]);
    let raised = python.raises("call('later.ending', 'text')");
    expect(&raised, "celery.exceptions", "TaskError", &["only text"]);
    let raised = python.raises("call('later.ending', 'panic')");
    expect(&raised, "celery.exceptions", "TaskTrap", &["unreachable"]);
    let raised = python.raises("call('later.ending')");
    expect(&raised, "builtins", "TypeError", &["missing 1 required positional argument: 'how'"]);
    python.exec("waiting = app.send_task('later.wait')");
    eventually("it tells how far it is", PATIENCE, || {
        match python.eval("[waiting.state, waiting.info]") {
            seen if seen[0] == "PROGRESS" && seen[1]["current"] == 1 => Ok(()),
            seen => Err(seen.to_string()),
        }
    });
    python.exec("waiting.revoke(terminate=True)");
    let raised = python.raises("waiting.get(timeout=60)");
    expect(&raised, "celery.exceptions", "TaskRevokedError", &["terminated"]);
    let alone = "from celery import group\n\
                 runs = group(app.signature('later.runs') for _ in range(40)).delay()";
    python.exec(alone);
    assert_eq!(python.eval("set(runs.get(timeout=60)) == {1}"), json!(true));
}

#[track_caller]
fn expect(raised: &Raised, module: &str, kind: &str, words: &[&str]) {
    let seen = (raised.module.as_str(), raised.kind.as_str());
    assert_eq!(seen, (module, kind), "{}", raised.traceback);
    for word in words {
        assert!(raised.message.contains(word), "no `{word}` in `{}`", raised.message);
    }
}
