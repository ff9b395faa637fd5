//! What operators of Celery have, unchanged, against Umbel beside a Python worker: the command line
//! and Flower; and what Umbel has besides: metrics, health, logs for programs.

mod browser;
mod buttons;
mod collector;
mod commands;
mod document;
mod flower;
mod health;
mod logs;
mod metrics;
mod monitoring;
mod own;
mod scrape;
mod stage;
mod traces;

use std::time::Duration;

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually};

use crate::buttons::flowers_buttons_do_what_they_say;
use crate::commands::{FAREWELL, TO_ALL, TO_ONE};
use crate::flower::flower_shows_umbel_as_it_shows_a_python_worker;
use crate::own::{
    events_are_printed_as_celery_prints_them,
    its_own_command_line_asks_workers_of_both_kinds_as_celerys_does,
    the_live_view_shows_and_stops_what_runs,
};
use crate::stage::{Broker, PYTHON, Stage, UMBEL};
use crate::traces::{
    a_retry_goes_on_the_trace_and_a_failure_is_one_in_it,
    a_trace_goes_from_the_client_through_every_task,
};

macro_rules! on_both {
    ($($test:ident)*) => {
        mod redis {
            $(#[test]
            fn $test() {
                crate::$test(crate::Broker::Redis);
            })*
        }

        mod rabbitmq {
            $(#[test]
            fn $test() {
                crate::$test(crate::Broker::RabbitMq);
            })*
        }
    };
}

on_both! {
    every_command_of_celerys_command_line_does_what_it_does_to_a_python_worker
    a_capture_of_events_shows_workers_and_tasks
    a_worker_tells_that_it_is_there_again_after_its_broker_was_away
    a_ping_is_answered_while_every_slot_computes
    what_is_revoked_is_known_to_workers_that_start_later
    its_own_command_line_asks_workers_of_both_kinds_as_celerys_does
    events_are_printed_as_celery_prints_them
    the_live_view_shows_and_stops_what_runs
    a_trace_goes_from_the_client_through_every_task
    a_retry_goes_on_the_trace_and_a_failure_is_one_in_it
    flower_shows_umbel_as_it_shows_a_python_worker
    flowers_buttons_do_what_they_say
}

fn every_command_of_celerys_command_line_does_what_it_does_to_a_python_worker(broker: Broker) {
    let stage = Stage::set(broker);
    let (mut umbel, mut python) = (stage.umbel(UMBEL), stage.python(PYTHON));
    let mut client = stage.client();
    let mut rows = Vec::new();
    for (line, wanted) in TO_ALL {
        // It waits for answers as long as Celery does, whatever the machine does.
        eventually(line, PATIENCE, || {
            let done = client.run(line);
            let shown = wanted.iter().all(|text| done.out.contains(text));
            if done.exit == 0 && shown { Ok(()) } else { Err(format!("{done:?}")) }
        });
    }
    for command in TO_ONE {
        rows.push(client.compare(*command));
    }
    let conf = client.run("inspect conf -d umbel@lab -t 60").out;
    assert!(conf.contains("broker_url") && !conf.contains(":guest@"), "{conf}");
    rows.push(client.compare(FAREWELL));
    umbel.process.await_end(PATIENCE);
    python.process.await_end(PATIENCE);
    let nobody = client.run("inspect ping -t 1");
    assert_eq!((nobody.exit, nobody.out.contains("No nodes replied")), (69, true));
    document::check(&rows);
}

fn a_capture_of_events_shows_workers_and_tasks(broker: Broker) {
    let stage = Stage::set(broker);
    let _umbel = stage.umbel(UMBEL);
    let mut dump = stage.events();
    dump.await_log("umbel@lab", PATIENCE);
    let mut client = stage.client();
    client.python.exec("app.send_task('tasks.add', (2, 3))");
    let told = ["received: tasks.add", "started: tasks.add", "succeeded: tasks.add"];
    for text in told {
        dump.await_log(&format!("task {text}"), PATIENCE);
    }
    dump.await_log("heartbeat: active", PATIENCE);
    let log = dump.log();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_default();
    let succeeded = line("task succeeded");
    for field in ["result=5", "runtime=", "cpu_ms=", "memory_bytes=", "plugin="] {
        assert!(succeeded.contains(field), "{field} in {succeeded}");
    }
    let received = line("task received");
    assert!(received.contains("args=(2, 3)"), "{received}");
    let beat = line("heartbeat: active");
    for field in ["freq=2.0", "loadavg=[", "processed=", "sw_ident=umbel"] {
        assert!(beat.contains(field), "{field} in {beat}");
    }
}

fn a_worker_tells_that_it_is_there_again_after_its_broker_was_away(broker: Broker) {
    let stage = Stage::set(broker);
    let _umbel = stage.umbel(UMBEL);
    let of_umbel = stage.connected();
    let mut dump = stage.events();
    dump.await_log("heartbeat", PATIENCE);
    let online = |log: &str| log.matches("started: active").count();
    let before = online(&dump.log());
    stage.cut(&of_umbel);
    eventually("the worker is told to be online again", PATIENCE, || {
        let log = dump.log();
        if online(&log) > before { Ok(()) } else { Err(log) }
    });
}

fn a_ping_is_answered_while_every_slot_computes(broker: Broker) {
    let stage = Stage::set(broker);
    let _umbel = stage.umbel_that_computes(UMBEL, 2);
    let mut client = stage.client();
    client.python.exec("for _ in range(4): app.send_task('loops.forever')");
    eventually("every slot computes", PATIENCE, || {
        let told = client.python.eval("app.control.inspect(timeout=5).active()");
        let active = told[UMBEL].as_array().map_or(0, Vec::len);
        if active == 2 { Ok(()) } else { Err(told.to_string()) }
    });
    let pong = json!([{ UMBEL: { "ok": "pong" } }]);
    for _ in 0..20 {
        let ping = format!("app.control.ping(timeout=30, destination=[{UMBEL:?}])");
        assert_eq!(client.python.eval_within(&ping, Duration::from_secs(60)), pong);
    }
}

fn what_is_revoked_is_known_to_workers_that_start_later(broker: Broker) {
    let stage = Stage::set(broker);
    let mut client = stage.client();
    let revoked = |client: &mut stage::Client, node: &str| {
        let ask = format!("app.control.inspect([{node:?}], timeout=30).revoked()");
        client.python.eval(&ask)[node].clone()
    };
    let python = stage.python(PYTHON);
    client.python.exec("app.control.revoke('of-python', reply=True, timeout=5)");
    let _umbel = stage.umbel(UMBEL);
    eventually("umbel has asked", PATIENCE, || {
        let told = revoked(&mut client, UMBEL);
        if told == json!(["of-python"]) { Ok(()) } else { Err(told.to_string()) }
    });
    drop(python);
    client.python.exec("app.control.revoke('of-umbel', reply=True, timeout=5)");
    let _later = stage.python("later@lab");
    eventually("python has asked", PATIENCE, || {
        let told = revoked(&mut client, "later@lab");
        let both = told.as_array().is_some_and(|ids| ids.len() == 2);
        if both { Ok(()) } else { Err(told.to_string()) }
    });
}
