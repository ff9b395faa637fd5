//! What `umbel report` tells, and what it keeps to itself.

use std::fs;

use serde_json::Value;
use umbel_harness::paths;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;

use crate::{PASSWORD, command, folder, run, umbel};

fn json(folder: &std::path::Path, words: &[&str]) -> Value {
    let mut command = command(folder, &[&["report", "--json"], words].concat());
    // On standard error stands what took how long.
    let output = command.output().expect("the binary can be started");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    assert!(!text.contains(PASSWORD), "a password was printed:\n{text}");
    assert!(output.status.success(), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[test]
fn a_report_tells_of_program_machine_configuration_servers_plugins_and_cache() {
    let redis = RedisServer::start();
    let folder = folder(&format!(
        "broker = \"{}\"\nresult-backend = \"redis://:{PASSWORD}@127.0.0.1:1/0\"\n\
         [plugins.text.allow]\nenv = {{ TOKEN = \"{PASSWORD}\" }}\n",
        redis.url(0)
    ));
    let plugins = folder.path().join("plugins");
    for name in ["tasks", "text"] {
        let copy = plugins.join(format!("{name}.wasm"));
        fs::copy(paths::plugin(name), copy).expect("a component can be copied");
    }
    fs::write(plugins.join("broken.wasm"), "no component").expect("it is writable");
    let told = json(folder.path(), &[]);
    let text = |path: &str| told.pointer(path).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(text("/umbel/version"), env!("CARGO_PKG_VERSION"));
    assert!(text("/system/kernel").starts_with("Linux "), "{told:#}");
    assert!(told.pointer("/system/processors").and_then(Value::as_u64) > Some(0), "{told:#}");
    assert!(text("/limits/open files").contains(" of "), "{told:#}");
    assert!(text("/hardening").contains("seccomp"), "{told:#}");
    assert_eq!(text("/configuration/settings/broker/from"), "umbel.toml:1");
    assert!(text("/servers/broker/product").starts_with("Redis "), "{told:#}");
    assert!(text("/servers/results/state").contains("cannot reach"), "{told:#}");
    let files = told.pointer("/plugins/files").and_then(Value::as_array).expect("a list");
    let of = |name: &str| {
        let is = |file: &&Value| file["file"].as_str().is_some_and(|file| file.ends_with(name));
        files.iter().find(is).unwrap_or_else(|| panic!("{name} in {told:#}"))
    };
    assert_eq!(of("tasks.wasm")["digest"].as_str().map(str::len), Some(64));
    assert!(of("tasks.wasm")["imports"].is_array(), "{told:#}");
    assert!(of("broken.wasm")["problem"].as_str().is_some_and(|why| !why.is_empty()), "{told:#}");
    assert!(told.pointer("/cache/files").is_some_and(Value::is_u64), "{told:#}");

    let shown = run(command(folder.path(), &["report"]));
    shown.said(&["umbel:\n", "tasks.add", "broken.wasm", "open files: ", "env:TOKEN"]);
}

#[test]
fn rabbitmq_says_which_it_is_even_if_it_lets_nobody_in() {
    let node = RabbitMq::shared();
    let product = |url: &str| {
        let folder = folder("");
        let told = json(folder.path(), &["--broker", url]);
        let broker = told.pointer("/servers/broker").cloned().unwrap_or_default();
        let text = |key: &str| broker[key].as_str().unwrap_or_default().to_owned();
        (text("product"), text("state"))
    };
    let (version, state) = product(&node.url(&node.fresh_vhost()));
    assert!(version.starts_with("RabbitMQ ") && state == "answers", "{version}, {state}");
    let (version, state) = product(&node.url("nowhere"));
    assert!(version.starts_with("RabbitMQ ") && state.contains("error: "), "{version}, {state}");
}

#[test]
fn a_report_tells_what_is_wrong_with_the_configuration() {
    let folder = folder("brokers = 'x'");
    let told = json(folder.path(), &[]);
    let problem = told.pointer("/configuration/problem").and_then(Value::as_str);
    assert!(problem.is_some_and(|why| why.contains("unknown key `brokers`")), "{told:#}");
    assert!(told.pointer("/system/kernel").is_some(), "{told:#}");
}

#[test]
fn a_quick_report_asks_and_loads_nothing() {
    let folder = folder("");
    umbel(folder.path(), &["report", "--quick"]).said(&["umbel:", "system:", "configuration:"]);
    assert!(!folder.path().join("umbel.db").exists(), "a report makes no broker");
    umbel(folder.path(), &["report"]).said(&["No such file"]);
    assert!(!folder.path().join("umbel.db").exists(), "a report makes no broker");
}
