//! `/healthz` and `/readyz`: what they say at each point of a worker's life, and that nobody is kept
//! waiting by whoever asks.

use std::fs;
use std::net::{TcpListener, TcpStream};

use umbel_harness::eventually::PATIENCE;
use umbel_harness::paths;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_system_tests::client::Client;

use crate::scrape::{SERVE, address, ask, await_answer, get, samples};

fn on(redis: &RedisServer) -> Worker {
    let worker = Worker::on(&redis.url(0)).results(&redis.url(1)).args(&SERVE);
    worker.plugin("tasks", paths::plugin("tasks")).args(&["-c", "2", "--plugin-sweep", "500ms"])
}

fn is_alive(address: &str) {
    let answer = get(address, "/healthz");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
}

#[test]
fn a_worker_that_waits_for_its_broker_lives_but_is_not_ready() {
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
    let port = silent.local_addr().expect("it is bound").port();
    let worker = Worker::on(&format!("amqp://127.0.0.1:{port}")).args(&SERVE);
    let mut umbel = worker.plugin("tasks", paths::plugin("tasks")).spawn();
    let address = address(&mut umbel);
    await_answer(&address, "/readyz", 503, "starting");
    await_answer(&address, "/healthz", 200, "ok");
}

#[test]
fn a_worker_is_ready_while_it_has_a_broker_and_a_plugin_and_does_not_drain() {
    let mut redis = RedisServer::durable();
    let mut umbel = on(&redis).start();
    let address = address(&mut umbel);
    await_answer(&address, "/readyz", 200, "ready");

    redis.kill();
    await_answer(&address, "/readyz", 503, "disconnected from the broker");
    is_alive(&address);
    assert_eq!(samples(&address)["umbel_broker_connected"], 0.0);
    redis.restart();
    await_answer(&address, "/readyz", 200, "ready");
    let after = samples(&address);
    assert_eq!(after["umbel_broker_connected"], 1.0);
    assert!(after["umbel_broker_reconnects_total"] >= 1.0, "{after:?}");

    let file = umbel.home().join("plugins/tasks.wasm");
    fs::remove_file(&file).expect("it was put there");
    await_answer(&address, "/readyz", 503, "no plugin is loaded");
    fs::write(&file, "no component").expect("the folder is ours");
    umbel.process.await_log("left out", PATIENCE);
    assert_eq!(samples(&address)["umbel_plugins_refused"], 1.0);
    fs::copy(paths::plugin("tasks"), &file).expect("it can be copied");
    await_answer(&address, "/readyz", 200, "ready");
    let after = samples(&address);
    for outcome in ["gone", "refused", "swapped"] {
        let name = format!("umbel_plugin_reloads_total{{plugin=\"tasks\",outcome=\"{outcome}\"}}");
        assert!(after[&name] >= 1.0, "{outcome}: {after:?}");
    }
    assert_eq!(after["umbel_plugins_refused"], 0.0);

    let client = Client::of(&redis.url(0), &redis.url(1));
    client.send("tasks.sleep", "[600.0]");
    await_slots(&address, 1.0);
    umbel.terminate();
    await_answer(&address, "/readyz", 503, "draining");
    is_alive(&address);
}

fn await_slots(address: &str, wanted: f64) {
    umbel_harness::eventually::eventually("a slot is in use", PATIENCE, || {
        let seen = samples(address)["umbel_slots_in_use"];
        umbel_harness::eventually::expect_equal(seen, wanted)
    });
}

#[test]
fn only_three_pages_are_there_and_they_are_only_read() {
    let redis = RedisServer::start();
    let mut umbel = on(&redis).start();
    let address = address(&mut umbel);
    let status =
        |method: &str, path: &str| ask(&address, method, path, "").expect("it answers").status;
    for (method, path, expected) in [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics?x=1", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../metrics", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/healthz", 405),
        ("POST", "/nothing", 404),
    ] {
        assert_eq!(status(method, path), expected, "{method} {path}");
    }
    let huge = format!("x: {}\r\n", "y".repeat(100_000));
    // Refused, or cut off in the middle of it.
    let refused = ask(&address, "GET", "/metrics", &huge);
    assert!(refused.as_ref().map_or(true, |answer| answer.status == 431), "{refused:?}");
    is_alive(&address);
}

#[test]
fn who_asks_slowly_keeps_neither_tasks_nor_others_waiting() {
    let redis = RedisServer::start();
    let mut umbel = on(&redis).start();
    let address = address(&mut umbel);
    let connect = |_| TcpStream::connect(&address).expect("it is taken, or waits");
    let silent: Vec<TcpStream> = (0..100).map(connect).collect();
    let client = Client::of(&redis.url(0), &redis.url(1));
    client.call("tasks.add", "[2, 3]");
    // Those before it are given up after a while.
    is_alive(&address);
    drop(silent);
}

#[test]
fn an_address_that_cannot_be_had_is_told_at_the_start() {
    let redis = RedisServer::start();
    let mut first: Umbel = on(&redis).start();
    let taken = address(&mut first);
    let check = |http: &str, code: i32, texts: &[&str]| {
        let worker = Worker::on(&redis.url(0)).args(&["--http", http]);
        let mut umbel = worker.plugin("tasks", paths::plugin("tasks")).spawn();
        let status = umbel.process.await_end(PATIENCE);
        let log = umbel.process.log();
        assert_eq!(status.code(), Some(code), "{log}");
        for text in texts {
            assert!(log.contains(text), "{text} in {log}");
        }
    };
    check(&taken, 1, &["error: cannot listen on", "in use", "help: another process has this port"]);
    check("192.0.2.1:9808", 1, &["error: cannot listen on 192.0.2.1", "help: name an address"]);
    check("nonsense", 2, &["`nonsense` is no address to listen on; write 127.0.0.1:9808"]);
}
