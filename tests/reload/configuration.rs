//! Configuration that changes while the worker runs, and the ways to ask for it.

use rustix::process::Signal;

use crate::component::component;
use crate::scene::Scene;

#[test]
fn names_limits_and_grants_change_without_a_restart() {
    let scene = Scene::open(&[("life", "one")], "");
    scene.configure("[plugins.life]\nnames = { \"legacy.version\" = \"version\" }\n");
    scene.await_told("goes by other names, limits or grants now", 1);
    assert_eq!(scene.value("legacy.version"), "one");
    scene.is_unknown("life.version");
    scene.configure("[plugins.life]\nlimits = { time = \"100ms\" }\n");
    scene.await_told("goes by other names, limits or grants now", 2);
    let record = scene.client.call("life.spin", "[1000000]");
    assert!(format!("{record:?}").contains("TimeLimitExceeded"), "{record:?}");
}

#[test]
fn a_broken_configuration_leaves_the_former_one_in_force() {
    let scene = Scene::open(&[("life", "one")], "[plugins.life]\nprefix = \"first\"\n");
    scene.configure("[plugins.life]\nprefx = \"second\"\n");
    scene.await_told("the configuration is refused, the former one stays in force", 1);
    scene.await_told("did you mean `plugins.life.prefix`?", 1);
    assert_eq!(scene.value("first.version"), "one");
    scene.configure("[plugins.life]\nprefix = \"second\"\n");
    scene.await_told("goes by other names, limits or grants now", 1);
    assert_eq!(scene.value("second.version"), "one");
}

#[test]
fn what_needs_a_restart_is_named() {
    let scene = Scene::open(&[("life", "one")], "");
    let file = scene.worker.home().join("umbel.toml");
    std::fs::write(file, "concurrency = 3\nplugin-sweep = \"1s\"\n").unwrap();
    scene.await_told("`concurrency` is `3` in the configuration now; this worker keeps `", 1);
}

#[test]
fn a_hangup_and_a_command_read_everything_again() {
    let scene = Scene::open(&[("life", "one")], "");
    scene.worker.process.signal(Signal::HUP);
    scene.await_told("the configuration was read again", 1);
    let said = scene.ask("reload", &["--timeout", "30s"]);
    let said = said.as_object().and_then(|nodes| nodes.values().next()).unwrap();
    assert_eq!(said["ok"], "reload started", "{said}");
    scene.await_told("the configuration was read again", 2);
    scene.put("life", &component("two"));
    scene.worker.process.signal(Signal::HUP);
    scene.await_told("is served now in place of life@", 1);
    assert_eq!(scene.value("life.version"), "two", "and it goes on working");
}
