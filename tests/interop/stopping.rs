//! What becomes of messages when a worker is asked to stop.

use rustix::process::Signal;
use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually, expect_equal};

use crate::scene::{Pair, Scene, Stage};

pub(crate) fn sigterm_finishes_what_runs_and_gives_the_rest_back(scene: &Scene) {
    let stage = Stage::set(scene.stage.pair);
    let mut umbel = stage.worker().args(&["-c", "2"]).start();
    let mut python = stage.peer();
    python.exec("running = [app.send_task('tasks.sleep', (6,)) for _ in range(2)]");
    await_received(&umbel.process, 2);
    python.exec("behind = [app.send_task('tasks.add', (i, 1)) for i in range(20)]");

    umbel.terminate();
    eventually("what does not run is back in the queue", PATIENCE, || {
        expect_equal(python.eval("waiting()"), json!(20))
    });
    assert_eq!(umbel.process.poll(), None, "it waits for what runs");

    let status = umbel.process.await_end(PATIENCE);
    assert!(status.success(), "a drain that finished everything is a success: {status}");
    assert_eq!(python.eval("[r.get(timeout=10) for r in running]"), json!([null, null]));
    assert_eq!(python.eval("waiting()"), json!(20), "what ran was acknowledged");

    umbel.start_again();
    let sums = python.eval("[r.get(timeout=30) for r in behind] == list(range(1, 21))");
    assert_eq!(sums, json!(true));
}

pub(crate) fn a_second_sigterm_gives_back_what_runs(scene: &Scene) {
    let stage = Stage::set(scene.stage.pair);
    let mut umbel = stage.worker().args(&["-c", "2", "--drain-timeout", "10m"]).start();
    let mut python = stage.peer();
    python.exec("running = [app.send_task('tasks.sleep', (200,)) for _ in range(2)]");
    await_received(&umbel.process, 2);
    python.exec("behind = [app.send_task('tasks.add', (i, 1)) for i in range(5)]");

    umbel.terminate();
    eventually("what does not run is back in the queue", PATIENCE, || {
        expect_equal(python.eval("waiting()"), json!(5))
    });
    umbel.terminate();
    umbel.process.await_end(PATIENCE);
    eventually("what ran is back in the queue", PATIENCE, || {
        expect_equal(python.eval("waiting()"), json!(7))
    });
    if stage.keeps_results() {
        let states = python.eval("[r.state for r in running]");
        assert_eq!(states, json!(["PENDING", "PENDING"]), "interrupted is not failed");
    }
}

/// `pair` must keep results.
pub(crate) fn what_the_drain_timeout_cuts_off_uses_up_a_retry_if_it_is_to(pair: Pair) {
    let stage = Stage::set(pair);
    let settings = "[tasks]\ninterrupted = \"retry\"\ntrack-started = true";
    let mut umbel = stage.worker().config(settings).args(&["--drain-timeout", "1s"]).start();
    let mut python = stage.peer();
    python.exec("running = app.send_task('tasks.sleep', (200,))");
    eventually("it runs", PATIENCE, || {
        expect_equal(python.eval("running.state"), json!("STARTED"))
    });

    umbel.terminate();
    umbel.process.await_end(PATIENCE);
    assert_eq!(python.eval("running.state"), json!("RETRY"));
    eventually("it is in the queue once more", PATIENCE, || {
        expect_equal(python.eval("waiting()"), json!(1))
    });
}

/// A result store that answers nothing holds what has run; a third signal does not wait for it.
pub(crate) fn a_third_sigterm_waits_for_nothing(pair: Pair) {
    let stage = Stage::set(pair);
    let mut umbel = stage.worker().start();
    let mut python = stage.peer();
    python.exec("app.send_task('tasks.sleep', (200,))");
    await_received(&umbel.process, 1);
    stage.redis().process().signal(Signal::STOP);
    for said in ["Warm shutdown", "Cold shutdown"] {
        umbel.terminate();
        umbel.process.await_log(said, PATIENCE);
    }
    assert_eq!(umbel.process.poll(), None, "it waits for Redis");
    umbel.terminate();
    let status = umbel.process.await_end(PATIENCE);
    stage.redis().process().signal(Signal::CONT);
    assert_eq!(status.code(), Some(1));
    assert!(umbel.process.log().contains("Hard shutdown"));
}

fn await_received(process: &umbel_harness::process::Process, count: usize) {
    eventually("the tasks are received", PATIENCE, || {
        let log = process.log();
        let received = log.lines().filter(|line| line.ends_with("] received")).count();
        if received >= count { Ok(()) } else { Err(log) }
    });
}
