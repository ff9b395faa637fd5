//! Very many plugins: how long they take to load, what they keep, that they give it back.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::eventually::eventually;
use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_system_tests::client::{Client, url};

use crate::component::component;
use crate::scene::text;

#[test]
#[expect(clippy::print_stderr, reason = "what was measured is of interest beside what is asserted")]
fn very_many_plugins_start_soon_and_leave_nothing_behind() {
    let many = paths::amount("UMBEL_MANY_PLUGINS", 60);
    let folder = TempDir::with_prefix("umbel-many-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let mut worker = Worker::on(&url(&file));
    for number in 0..=many {
        let plugin = folder.path().join(format!("p{number}.wasm"));
        fs::write(&plugin, component(&format!("plugin {number}"))).expect("it is writable");
        worker = worker.plugin(&format!("p{number}"), plugin);
    }
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("it is writable");
    let mut worker = worker.args(&["--cache", &cache.display().to_string()]).spawn();
    worker.process.await_log("ready.", Duration::from_secs(600));
    worker.stop();
    worker.start_again();
    let warm = worker.await_ready();
    let client = Client::open(&file);
    let last = client.call(&format!("p{}.version", many - 1), "[]");
    assert_eq!(text(&last), format!("plugin {}", many - 1));
    let look = |worker: &umbel_harness::worker::Umbel| {
        let pid = worker.process.pid();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let maps = maps.lines().filter(|line| line.contains(".cwasm")).count();
        (worker.process.usage().resident >> 10, files, maps)
    };
    let full = look(&worker);
    for number in 1..=many {
        let plugin = worker.home().join(format!("plugins/p{number}.wasm"));
        fs::remove_file(plugin).expect("it was laid out");
    }
    eventually("they are taken out", Duration::from_secs(120), || {
        let gone = worker.process.log().matches("is gone: its tasks").count() as u64;
        if gone == many { Ok(()) } else { Err(format!("{gone} of {many}")) }
    });
    let empty = eventually("they are unmapped", Duration::from_secs(20), || {
        let seen = look(&worker);
        // The pool keeps the images that its slots had last.
        if seen.2 < 60 { Ok(seen) } else { Err(format!("{seen:?}")) }
    });
    eprintln!(
        "{many} plugins: ready in {warm:?} with compiled code in the cache; KiB resident, files, \
         mappings of code: {full:?}, and {empty:?} once they are gone"
    );
    assert!(warm < Duration::from_secs(30), "{warm:?}");
    assert!(empty.0 <= full.0 + 4096 && empty.1 <= full.1, "{full:?} became {empty:?}");
    assert_eq!(text(&client.call("p0.version", "[]")), "plugin 0");
}
