//! One worker on the embedded broker that serves every guest, shared by the tests.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::process::ShownOnFailure;
use umbel_harness::worker::{Umbel, Worker};
use umbel_harness::{eventually, paths};
use umbel_protocol::record::ResultRecord;
use umbel_system_tests::client::{Client, url};

/// Small, so that they are reached soon. The time is long where it is not what is tested: the
/// machine may be busy.
const LIMITS: &str = "
[limits]
time = \"60s\"
memory = \"64MiB\"
output = \"1MiB\"
log = \"16KiB\"
[plugins.loops]
limits = { time = \"1s\" }
[plugins.sleeps]
limits = { time = \"1s\" }
[plugins.spams]
allow = { submit = [\"tasks.add\", \"tasks.echo\"], submit-queues = [\"nowhere\"], submit-count = 100 }
tasks.insist = { limits = { time = \"1s\" } }
[plugins.stalls]
limits = { time = \"1s\" }
[plugins.patient]
limits = { time = \"15s\" }
";

/// Everything that loads; `dials` does not. `patient` loops as `loops` does, but for longer.
const SERVED: &[(&str, &str)] = &[
    ("boasts", "boasts"),
    ("chatters", "chatters"),
    ("floods", "floods"),
    ("hoards", "hoards"),
    ("lies", "lies"),
    ("loops", "loops"),
    ("patient", "loops"),
    ("poses", "poses"),
    ("recurses", "recurses"),
    ("remembers", "remembers"),
    ("sleeps", "sleeps"),
    ("snoops", "snoops"),
    ("spams", "spams"),
    ("stalls", "stalls"),
    ("traps", "traps"),
];

pub(crate) struct Scene {
    pub(crate) client: Client,
    worker: Mutex<Umbel>,
    _folder: TempDir,
}

/// The worker that all tests share which leave it as it is.
pub(crate) fn shared() -> (&'static Scene, ShownOnFailure) {
    static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::open(&[]));
    let shown = SCENE.worker().process.shown_on_failure();
    (&SCENE, shown)
}

impl Scene {
    /// A worker of one's own; every guest and the example `tasks`.
    pub(crate) fn open(args: &[&str]) -> Scene {
        let folder = TempDir::with_prefix("umbel-sandbox-").expect("a temporary folder");
        let file = folder.path().join("queue.db");
        let mut worker = Worker::on(&url(&file)).config(LIMITS).args(args);
        for (name, guest) in SERVED {
            worker = worker.plugin(name, paths::guest(guest));
        }
        worker = worker.plugin("tasks", paths::plugin("tasks"));
        let worker = worker.start();
        Scene { client: Client::open(&file), worker: Mutex::new(worker), _folder: folder }
    }

    pub(crate) fn worker(&self) -> MutexGuard<'_, Umbel> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> String {
        self.worker().process.log()
    }

    /// Sends a task and waits for its record; the machine may be busy.
    #[track_caller]
    pub(crate) fn call(&self, task: &str, args: &str) -> ResultRecord {
        self.client.call(task, args)
    }

    /// Bytes that the log has about this task; others write to it as well.
    pub(crate) fn logged(&self, id: &str) -> usize {
        self.log().lines().filter(|line| line.contains(id)).map(str::len).sum()
    }

    /// Waits until the log says `end` of this task.
    #[track_caller]
    pub(crate) fn await_logged(&self, id: &str, end: &str) -> String {
        eventually::eventually("the log tells", Duration::from_secs(30), || {
            let wanted = format!("[{id}] {end}");
            let log = self.log();
            let line = log.lines().find(|line| line.contains(&wanted));
            line.map(str::to_owned).ok_or_else(|| format!("no line with `{wanted}`"))
        })
    }
}
