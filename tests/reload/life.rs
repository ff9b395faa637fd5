//! Files that come, change, break and go.

use std::fs::{self, File};
use std::io::Write;

use umbel_harness::eventually::PATIENCE;
use umbel_harness::worker;

use crate::component::component;
use crate::scene::{MOMENT, Scene, text};

#[test]
fn a_new_version_serves_at_once_and_a_running_task_ends_on_its_own() {
    let scene = Scene::open(&[("life", "one")], "");
    assert_eq!(scene.value("life.version"), "one");
    let running = scene.client.send("life.spin", "[3000]");
    scene.await_started(&running);
    scene.put("life", &component("two"));
    scene.await_told("is served now in place of life@", 1);
    assert_eq!(scene.value("life.version"), "two");
    let ended = scene.client.wait(&running, PATIENCE);
    assert_eq!(text(&ended), "one", "it began on the old version");
    // And back: what is older is no worse.
    scene.put("life", &component("one"));
    scene.await_told("is served now in place of life@", 2);
    assert_eq!(scene.value("life.version"), "one");
}

#[test]
fn a_broken_file_leaves_the_old_version_serving_and_is_told_of() {
    let scene = Scene::open(&[("life", "one")], "");
    scene.put("life", b"\0asm\x0d\0\x01\0 nonsense");
    scene.await_told("goes on serving, for what should replace it is refused", 1);
    assert_eq!(scene.value("life.version"), "one");
    let told = scene.plugin("life.wasm");
    assert!(told["refused"]["why"].as_str().unwrap().contains("life.wasm"), "{told}");
    let digest = told["refused"]["version"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 64, "{told}");
    scene.await_told(&format!("is refused (SHA-256 {digest}): "), 1);
    assert!(told["since"].is_string() && told["version"].is_string(), "{told}");
    let task = told["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "life.version");
    assert_eq!(task.unwrap()["runs"], 1, "{told}");
    let file = scene.file("life").display().to_string();
    assert_eq!(worker::run("check", &[&file]).status.code(), Some(1));
    scene.put("life", &component("two"));
    scene.await_told("is served now in place of life@", 1);
    assert_eq!(scene.value("life.version"), "two");
    assert!(scene.plugin("life.wasm")["refused"].is_null());
}

#[test]
fn a_half_written_file_is_waited_out() {
    let scene = Scene::open(&[("life", "one")], "");
    let bytes = component("two");
    let mut file = File::create(scene.file("life")).unwrap();
    for piece in bytes.chunks(bytes.len() / 12) {
        file.write_all(piece).unwrap();
        file.sync_data().unwrap();
        std::thread::sleep(3 * MOMENT);
    }
    drop(file);
    scene.await_told("is served now in place of life@", 1);
    assert_eq!(scene.value("life.version"), "two");
    assert!(!scene.worker.process.log().contains("refused"), "{}", scene.worker.process.log());
}

#[test]
fn files_come_are_renamed_and_go() {
    let scene = Scene::open(&[("life", "one")], "");
    scene.is_unknown("second.version");
    // The same content under another name is another plugin.
    scene.put("second", &component("one"));
    scene.await_told("is served now: 2 tasks", 1);
    assert_eq!(scene.value("second.version"), "one");
    fs::rename(scene.file("second"), scene.file("third")).unwrap();
    scene.await_told("plugin second@", 2);
    assert_eq!(scene.value("third.version"), "one");
    scene.is_unknown("second.version");
    let running = scene.client.send("life.spin", "[3000]");
    scene.await_started(&running);
    fs::remove_file(scene.file("life")).unwrap();
    scene.await_told("is gone: its tasks are not known any more", 2);
    scene.is_unknown("life.version");
    assert_eq!(text(&scene.client.wait(&running, PATIENCE)), "one");
}

#[test]
fn a_folder_may_vanish_and_come_back() {
    let scene = Scene::open(&[("life", "one")], "");
    let folder = scene.worker.home().join("plugins");
    let away = scene.worker.home().join("away");
    fs::rename(&folder, &away).unwrap();
    scene.await_told("what was loaded goes on serving", 1);
    assert_eq!(scene.value("life.version"), "one");
    fs::create_dir(&folder).unwrap();
    scene.await_told("the plugin folder can be read again", 1);
    scene.put("life", &component("two"));
    scene.await_told("is served now in place of life@", 1);
    assert_eq!(scene.value("life.version"), "two");
    assert_eq!(scene.worker.process.log().matches("cannot read the plugin folder").count(), 1);
}

#[test]
fn a_name_that_is_taken_stays_with_who_has_it() {
    let config = "[plugins.other]\nsource = \"other.wasm\"\nprefix = \"life\"\n";
    let scene = Scene::open(&[("life", "one")], "");
    fs::write(scene.worker.home().join("other.wasm"), component("two")).unwrap();
    scene.configure(config);
    scene.await_told("is in plugin `life` and in plugin `other`", 1);
    assert_eq!(scene.value("life.version"), "one");
    fs::remove_file(scene.file("life")).unwrap();
    scene.await_told("plugin other@", 1);
    assert_eq!(scene.value("life.version"), "two", "the name was free then");
}

#[test]
fn what_is_unloaded_gives_its_memory_and_files_back() {
    let scene = Scene::open(&[("life", "one")], "");
    let maps = || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", scene.worker.process.pid()));
        maps.unwrap().lines().filter(|line| line.contains(".cwasm")).count()
    };
    let files = || {
        let files = fs::read_dir(format!("/proc/{}/fd", scene.worker.process.pid()));
        files.unwrap().count()
    };
    assert_eq!(scene.value("life.version"), "one");
    let before = (maps(), files());
    for round in 1..=8 {
        scene.put("life", &component(&format!("round {round}")));
        scene.await_told("is served now in place of life@", round);
        assert_eq!(scene.value("life.version"), format!("round {round}"));
    }
    let after = (maps(), files());
    // A slot of the pool may keep the image it had last.
    assert!(after.0 <= 3 * before.0 && after.1 <= before.1 + 4, "{before:?} became {after:?}");
}
