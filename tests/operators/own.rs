//! Umbel's own command line, asked of an Umbel and a Python worker, beside Celery's.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::process::Process;
use umbel_harness::terminal::{Step, play};
use umbel_harness::worker;

use crate::stage::{Broker, Done, PYTHON, Stage, UMBEL};

/// What both are asked, and answer to both command lines alike.
const ALIKE: &[&str] = &[
    "inspect ping",
    "inspect active",
    "inspect reserved",
    "inspect scheduled",
    "inspect active_queues",
    "inspect registered",
    "inspect registered rate_limit acks_late",
    "inspect query_task no-such-id another",
    "inspect conf",
    "control revoke id-1",
    "control terminate SIGKILL id-2",
    "control revoke_by_stamped_headers tenant=acme",
    "inspect revoked",
    "control rate_limit tasks.add 5/s",
    "control rate_limit no.such.task 5/s",
    "control time_limit tasks.add 10 20",
    "control enable_events",
    "control heartbeat",
    "control pool_grow 1",
    "control pool_shrink 1",
    "control add_consumer extra",
    "control cancel_consumer extra",
];

impl Stage {
    /// A command of Umbel's own, with the stage's broker.
    fn own(&self, words: &[&str]) -> Command {
        let (name, rest) = words.split_first().expect("a command has a name");
        let mut command = worker::command(name);
        command.args(rest).env("UMBEL_BROKER", self.broker()).env("UMBEL_CONNECT_TIMEOUT", "30s");
        command
    }

    fn run_own(&self, words: &[&str]) -> Done {
        let output = self.own(words).output().expect("the binary can be started");
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Done { exit: output.status.code().unwrap_or(-1).into(), out: text.into_owned() }
    }
}

pub(crate) fn its_own_command_line_asks_workers_of_both_kinds_as_celerys_does(broker: Broker) {
    let stage = Stage::set(broker);
    let (mut umbel, mut python) = (stage.umbel(UMBEL), stage.python(PYTHON));
    eventually("both are there", PATIENCE, || {
        let done = stage.run_own(&["status", "-t", "5"]);
        let wanted = [UMBEL, PYTHON, "celery:5", "umbel:", "2 nodes online."];
        let shown = wanted.iter().all(|text| done.out.contains(text));
        if shown && done.exit == 0 { Ok(()) } else { Err(format!("{done:?}")) }
    });
    let mut client = stage.client();
    let both = format!("{UMBEL},{PYTHON}");
    for line in ALIKE {
        let words: Vec<&str> = line.split(' ').collect();
        let whom = ["-d", &both, "-t", "60", "--json"];
        let own = stage.run_own(&[&words[..], &whom].concat());
        let theirs = client.run(&format!("{line} {}", whom.join(" ")));
        assert_eq!(answers(&own), answers(&theirs), "{line}");
        let failed = own.out.contains("\"error\"");
        assert_eq!(own.exit, i64::from(failed), "{line}: {own:?}");
    }
    for (line, part) in [
        ("inspect stats", "SLOTS"),
        ("inspect report", "software -> "),
        ("inspect conf", "broker_url"),
        ("inspect clock", "ANSWER"),
        ("inspect memsample", "ANSWER"),
        ("inspect revoked", "  id-1\n"),
    ] {
        let line = format!("{line} -d {both} -t 60");
        let done = stage.run_own(&line.split(' ').collect::<Vec<_>>());
        let shown = [UMBEL, PYTHON, part, "2 nodes online."].iter().all(|it| done.out.contains(it));
        assert!(shown && done.exit == 0, "{line}: {done:?}");
    }
    let done = stage.run_own(&["control", "shutdown", "-d", &both, "-t", "60"]);
    assert_eq!(done.exit, 0, "{done:?}");
    umbel.process.await_end(PATIENCE);
    python.process.await_end(PATIENCE);
    let nobody = stage.run_own(&["inspect", "ping", "-t", "1"]);
    assert_eq!((nobody.exit, nobody.out.contains("no node replied within 1s")), (69, true));
}

/// What was printed as JSON; workers answer in any order.
fn answers(done: &Done) -> Value {
    let first = done.out.lines().next().unwrap_or_default();
    let mut told = serde_json::from_str(first).unwrap_or_else(|why| panic!("{why}: {done:?}"));
    if let Value::Array(answers) = &mut told {
        answers.sort_by_key(Value::to_string);
    }
    told
}

pub(crate) fn events_are_printed_as_celery_prints_them(broker: Broker) {
    let stage = Stage::set(broker);
    let (_umbel, _python) = (stage.umbel(UMBEL), stage.python(PYTHON));
    let mut dump = Process::start("umbel events", stage.own(&["events", "--dump", "--enable"]));
    let mut json = Process::start("umbel events --json", stage.own(&["events", "--json"]));
    for node in [UMBEL, PYTHON] {
        dump.await_log(&format!("{node} ["), PATIENCE);
        json.await_log(node, PATIENCE);
    }
    // As many as both get their share.
    let mut client = stage.client();
    client.python.exec("for _ in range(4): app.send_task('tasks.add', (2, 3))");
    for text in ["task received: tasks.add", "task started: tasks.add", "task succeeded: tasks.add"]
    {
        dump.await_log(text, PATIENCE);
    }
    dump.await_log("heartbeat: active=", PATIENCE);
    json.await_log("\"type\":\"task-succeeded\"", PATIENCE);
    let log = dump.log();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_default();
    let succeeded = line("task succeeded");
    for field in ["args=(2, 3) kwargs={} ", "result=5", "runtime=", "local_received="] {
        assert!(succeeded.contains(field), "{field} in {succeeded}");
    }
    assert!(line("heartbeat: active=").contains("loadavg=["), "{log}");
    // Before any event there is a line that says where they come from.
    for event in json.log().lines().skip(1) {
        let event: Value = serde_json::from_str(event).expect(event);
        assert!(event["type"].is_string() && event["hostname"].is_string(), "{event}");
    }
    for mut process in [dump, json] {
        process.signal(Signal::INT);
        assert!(process.await_end(PATIENCE).success(), "{}", process.log());
    }
    let mut shell = Command::new("bash");
    let umbel = stage.own(&["events"]);
    shell
        .args(["-c", "set -o pipefail; \"$0\" events --json | head -n 1"])
        .arg(umbel.get_program());
    shell.env("UMBEL_BROKER", stage.broker()).env("NO_COLOR", "1");
    let mut shell = Process::start("umbel events | head", shell);
    assert!(shell.await_end(PATIENCE).success(), "{}", shell.log());
    assert!(!shell.log().contains("error"), "{}", shell.log());
}

pub(crate) fn the_live_view_shows_and_stops_what_runs(broker: Broker) {
    let stage = Stage::set(broker);
    let (_umbel, _python) = (stage.umbel(UMBEL), stage.python(PYTHON));
    let played = play(
        &stage.own(&["events", "--enable"]),
        &[
            Step::see(&["2 online", UMBEL, PYTHON, "Running: 0"]).run(&stage.own(&[
                "call",
                "tasks.sleep",
                "600.0",
            ])),
            Step::see(&["Running: 1", "tasks.sleep"]).press("t"),
            Step::see(&["now? [y/N]"]).press("y"),
            Step::see(&["stopped", "Running: 0"]).run(&stage.own(&["call", "tasks.fail", "no"])),
            Step::see(&["Failed: 1"]).press("p"),
            Step::see(&["PAUSED"]).press("q"),
        ],
    );
    assert_eq!(played.exit, 0, "{played:?}");
}
