//! What `umbel beat` sends, taken by Umbel and by a Python worker.

use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::process::Process;
use umbel_harness::python::CeleryWorker;
use umbel_harness::worker;

use crate::scene::{Pair, Results, Stage};

const SCHEDULE: &str = "
[beat.for-umbel]
task = 'tasks.add'
args = [2, 3]
schedule = { every = '500ms' }
expires = '5m'
priority = 3

[beat.for-python]
task = 'tasks.add'
kwargs = { x = 20, y = 22 }
schedule = { every = '500ms' }
queue = 'python'
";

pub(crate) fn what_is_scheduled_runs_on_either_worker(pair: Pair) {
    let stage = Stage::set(pair);
    let umbel = stage.worker().start();
    let celery = CeleryWorker::start(&stage.broker, &stage.results, &["-c", "1", "-Q", "python"]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("umbel.toml"), SCHEDULE).expect("it is writable");
    let mut command = worker::command("beat");
    command.current_dir(folder.path()).args(["--broker", &stage.broker]);
    command.env("UMBEL_RESULT_BACKEND", &stage.results);
    if stage.pair.results == Results::Rpc {
        // What RabbitMQ cannot note, another server must.
        command.args(["--beat-store", &stage.redis().url(1)]);
    }
    let mut beat = Process::start("umbel beat", command);
    eventually("both take what is scheduled", PATIENCE, || {
        let done = |log: String, sum: &str| {
            log.lines().filter(|line| line.contains("succeeded in") && line.contains(sum)).count()
        };
        match (done(umbel.process.log(), ": 5"), done(celery.process.log(), ": 42")) {
            (umbel, python) if umbel >= 3 && python >= 3 => Ok(()),
            (umbel, python) => {
                Err(format!("{umbel} by Umbel, {python} by Python; beat:\n{}", beat.log()))
            }
        }
    });
    beat.signal(rustix::process::Signal::TERM);
    assert!(beat.await_end(PATIENCE).success(), "{}", beat.log());
}
