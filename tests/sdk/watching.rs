//! `umbel build --watch` beside a running worker.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use umbel_harness::eventually::eventually;
use umbel_harness::process::Process;
use umbel_harness::python::Peer;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{self, Worker};

use crate::{LONG, node_modules, project};

#[test]
fn what_is_saved_is_built_and_a_running_worker_takes_it_up() {
    let (_home, folder) = project("javascript");
    install(&folder);
    let source = folder.join("src/my_thumbs.js");
    let begun = fs::read_to_string(&source).expect("umbel new wrote it");
    let mut watch = worker::command("build");
    watch.arg("--watch").arg(&folder);
    let mut watch = Process::start("umbel build --watch", watch);
    watch.await_log("waiting for changes", LONG);
    let redis = RedisServer::start();
    let url = redis.url(0);
    let _worker = Worker::on(&url).results(&url).folder(&folder.join("build")).start();
    let mut python = Peer::connect(&url, &url);
    let mean = "call('my_thumbs.summarize', [3, 1, 2])['mean']";
    assert_eq!(python.eval(mean), json!(2.0));
    // What cannot be built is said, and the worker keeps what it has.
    fs::write(&source, begun.replace("function load", "function lode")).expect("it is writable");
    watch.await_log("no function `load(rows)` is exported", LONG);
    assert_eq!(python.eval(mean), json!(2.0));
    let sum = begun.replace("mean: sum / numbers.length", "mean: sum");
    assert_ne!(sum, begun);
    fs::write(&source, sum).expect("it is writable");
    eventually("the worker runs what was saved", LONG, || {
        let mean = python.eval(mean);
        (mean == json!(6.0)).then_some(()).ok_or_else(|| mean.to_string())
    });
}

/// As `npm install` would, without fetching anything.
fn install(folder: &Path) {
    let entries = fs::read_dir(node_modules()).expect("it was installed for another plugin");
    for entry in entries.flatten() {
        let here = folder.join("node_modules").join(entry.file_name());
        if !here.exists() {
            symlink(entry.path(), here).expect("a link can be made");
        }
    }
}
