//! A Python worker and Umbel side by side.

use std::collections::HashSet;

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::python::CeleryWorker;

use crate::scene::{Pair, Scene, Stage};

const TASKS: usize = 200;

pub(crate) fn a_python_worker_and_umbel_share_a_queue(scene: &Scene) {
    let stage = Stage::set(scene.stage.pair);
    // Neither may take much more than it works on, or one could take all there is.
    let umbel = stage.worker().args(&["-c", "2", "--prefetch-multiplier", "1"]).start();
    let celery = CeleryWorker::start(
        &stage.broker,
        &stage.results,
        &["-c", "2", "--prefetch-multiplier", "1"],
    );
    let mut python = stage.peer();
    python.exec(&format!(
        "sent = [app.send_task('tasks.sleep', (0.05,)) for _ in range({TASKS})]\n\
         results = [r.get(timeout=60) for r in sent]",
    ));
    assert_eq!(python.eval(&format!("results == [None] * {TASKS}")), json!(true));

    let (by_umbel, by_python) = eventually("every end is logged", PATIENCE, || {
        let ends = (ends(&umbel.process.log()), ends(&celery.process.log()));
        let total = ends.0.len() + ends.1.len();
        if total >= TASKS { Ok(ends) } else { Err(format!("{total} of {TASKS} logged")) }
    });
    let twice: Vec<&String> = by_umbel.iter().filter(|id| by_python.contains(*id)).collect();
    assert!(twice.is_empty(), "done by both: {twice:?}");
    assert_eq!(by_umbel.len() + by_python.len(), TASKS);
    assert!(!by_umbel.is_empty() && !by_python.is_empty(), "one of them did nothing");
}

pub(crate) fn a_second_worker_of_a_name_works_without_remote_control(pair: Pair) {
    let stage = Stage::set(pair);
    let twin = || stage.worker().args(&["-n", "twin@lab"]).start();
    let mut first = twin();
    let mut second = twin();
    assert!(first.stop().success());
    let mut python = stage.peer();
    assert_eq!(python.eval("call('tasks.add', 2, 3)"), json!(5));
    let log = second.process.log();
    assert!(log.contains("a node named `twin@lab` is already"), "it says so:\n{log}");
    assert!(second.stop().success());
}

/// Ids of the tasks that a log says have succeeded; each must be there once.
fn ends(log: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    for line in log.lines().filter(|line| line.contains("] succeeded in ")) {
        let id = line.split("tasks.sleep[").nth(1).and_then(|rest| rest.split(']').next());
        let id = id.unwrap_or_else(|| panic!("no id in `{line}`"));
        assert!(ids.insert(id.to_owned()), "`{id}` was done twice by one worker");
    }
    ids
}
