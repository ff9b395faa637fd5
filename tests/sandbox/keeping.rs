//! A key-value store as an operator grants it: on the very Redis that holds the results.

use std::collections::BTreeMap;

use rustix::process::Signal;
use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};
use umbel_harness::{paths, worker};
use umbel_protocol::names;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, failure, url};

/// A worker whose plugins, all of them the same component, keep things in one Redis.
struct Scene {
    redis: RedisServer,
    client: Client,
    worker: Umbel,
    _folder: TempDir,
}

impl Scene {
    /// Each plugin by its name, its grant beside the address, and the rest of its table.
    fn open(plugins: &[(&str, &str, &str)]) -> Scene {
        let redis = RedisServer::start();
        let folder = TempDir::with_prefix("umbel-keeping-").expect("a temporary folder");
        let queue = url(&folder.path().join("queue.db"));
        let store = redis.url(0);
        let mut config = "[limits]\ntime = \"60s\"\n".to_owned();
        let mut worker = Worker::on(&queue).results(&store);
        for (name, grant, rest) in plugins {
            config += &format!(
                "[plugins.{name}]\nallow = {{ keyvalue = {{ url = \"{store}\", {grant} }} }}\n{rest}\n"
            );
            worker = worker.plugin(name, paths::guest("pries"));
        }
        let worker = worker.plugin("tasks", paths::plugin("tasks")).config(&config).start();
        let client = Client::of(&queue, &store);
        Scene { redis, client, worker, _folder: folder }
    }

    #[track_caller]
    fn gives(&self, task: &str, args: &str, expected: &str) {
        let record = self.client.call(task, args);
        assert_eq!(record.state, State::Success, "{task}{args}: {record:?}");
        assert_eq!(record.result.to_json(), expected, "{task}{args}");
    }

    #[track_caller]
    fn refuses(&self, task: &str, args: &str, reason: &str) {
        let exception = failure(&self.client.call(task, args));
        let told = format!("{exception:?}");
        assert!(exception.kind == "TaskError" && told.contains(reason), "{task}{args}: {told}");
    }

    fn plant(&self, key: &str, value: &str) {
        assert_eq!(self.redis.command_line(&["SET", key, value]), "OK", "{key}");
    }

    fn stored(&self, key: &str) -> String {
        self.redis.command_line(&["GET", key])
    }

    /// Every text in the database but the results, by its key.
    fn everything(&self) -> BTreeMap<String, String> {
        let keys = self.redis.command_line(&["EVAL", ALL_KEYS, "0"]);
        let keys = keys.split('\u{1f}').filter(|key| !key.is_empty());
        let texts = keys.filter(|key| !key.starts_with(&names::result_key("")));
        texts.map(|key| (key.to_owned(), self.stored(key))).collect()
    }
}

/// Between them what is in no key here: some hold line ends.
const ALL_KEYS: &str = "return table.concat(redis.call('KEYS', '*'), '\\31')";

/// One call without a worker.
fn invoke(config: &str, task: &str, args: &str) -> (bool, String) {
    let folder = TempDir::with_prefix("umbel-keeping-").expect("a temporary folder");
    let file = folder.path().join("umbel.toml");
    std::fs::write(&file, config).expect("a temporary folder is writable");
    let mut command = worker::command("invoke");
    command.arg("--config").arg(file).arg(paths::guest("pries")).args([task, args]);
    let output = command.output().expect("the binary can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
pub(crate) fn a_store_that_is_not_granted_names_the_line_that_would_allow_it() {
    let (done, text) =
        invoke("[plugins.pries]\nallow = { env = [] }", "get", "[\"default\", \"a\"]");
    assert!(!done, "{text}");
    for interface in ["store", "atomics", "batch"] {
        assert!(text.contains(&format!("`wasi:keyvalue/{interface}@0.2.0-draft`")), "{text}");
    }
    let line =
        "[plugins.pries] allow = { keyvalue = { url = \"redis://HOST\", prefix = \"NAME\" } }";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_is_kept_is_there_in_the_next_run() {
    let scene =
        Scene::open(&[("pries", "prefix = \"shop\", buckets = [\"default\", \"seen\"]", "")]);
    scene.gives("pries.get", r#"["default", "a"]"#, "null");
    scene.gives("pries.put", r#"["default", "a", "ä and more"]"#, "null");
    scene.gives("pries.get", r#"["default", "a"]"#, "\"ä and more\"");
    scene.gives("pries.put", r#"["default", "a", ""]"#, "null");
    scene.gives("pries.get", r#"["default", "a"]"#, "\"\"");
    scene.gives("pries.has", r#"["default", "a"]"#, "true");
    scene.gives("pries.has", r#"["seen", "a"]"#, "false");
    scene.gives("pries.remove", r#"["default", "a"]"#, "null");
    scene.gives("pries.has", r#"["default", "a"]"#, "false");
    scene.gives("pries.remove", r#"["default", "a"]"#, "null");
    scene.gives("pries.add", r#"["seen", "n", 5]"#, "5");
    scene.gives("pries.add", r#"["seen", "n", 9007199254740993]"#, "9007199254740998");
    scene.gives("pries.put_many", r#"["default", 1000, "v"]"#, "null");
    scene.gives(
        "pries.get_many",
        r#"["default", ["many-999", "none", "many-0"]]"#,
        r#"["v",null,"v"]"#,
    );
    scene.gives("pries.get_many", r#"["default", []]"#, "[]");
    let mut keys: Vec<String> = (0..1000).map(|number| format!("\"many-{number}\"")).collect();
    keys.sort();
    scene.gives("pries.keys", r#"["default"]"#, &format!("[{}]", keys.join(",")));
    scene.gives("pries.remove_many", r#"["default", 1000]"#, "null");
    scene.gives("pries.keys", r#"["default"]"#, "[]");
    scene.gives("pries.keys", r#"["seen"]"#, r#"["n"]"#);
    // For whoever else reads it: text under the name that the documentation tells.
    assert_eq!(scene.everything(), [("shop/seen/n".into(), "9007199254740998".into())].into());
}

#[test]
fn no_key_leads_out_of_the_prefix() {
    let scene = Scene::open(&[("pries", "prefix = \"shop\"", "")]);
    let victim = scene.client.call("tasks.add", "[1, 2]");
    let result = names::result_key(&victim.id);
    let outside = [
        "secret",
        "sho",
        "shop",
        "shop/",
        "shop/default",
        "shop/other/secret",
        "shopper/default/x",
    ];
    for key in outside {
        scene.plant(key, "theirs");
    }
    let before = scene.everything();
    let forged = scene.stored(&result);
    let up = format!("../../{result}");
    let keys = [
        "secret",
        "/secret",
        "../secret",
        "..",
        "/",
        "*",
        "?",
        "[a-z]*",
        "\\*",
        "a\0b",
        "a\nb\r\n",
        "\r\nSET secret mine\r\n",
        "{secret}",
        "shop/other/secret",
        &result,
        &up,
    ];
    for key in keys {
        let key = umbel_value::Value::from(key).to_json();
        scene.gives("pries.get", &format!("[\"default\", {key}]"), "null");
        scene.gives("pries.put", &format!("[\"default\", {key}, \"mine\"]"), "null");
        scene.gives("pries.get_many", &format!("[\"default\", [{key}]]"), "[\"mine\"]");
    }
    let mut seen = keys.map(|key| umbel_value::Value::from(key).to_json());
    let listed = scene.client.call("pries.keys", r#"["default"]"#).result;
    let mut listed: Vec<String> =
        listed.as_list().into_iter().flatten().map(umbel_value::Value::to_json).collect();
    seen.sort();
    listed.sort();
    assert_eq!(listed, seen, "its own keys, and no others");
    for key in keys {
        let key = umbel_value::Value::from(key).to_json();
        scene.gives("pries.remove", &format!("[\"default\", {key}]"), "null");
    }
    assert_eq!(scene.everything(), before, "nothing outside has changed");
    assert_eq!(scene.stored(&result), forged, "nor has a result");
    let none = r#"["default", "", "mine"]"#;
    scene.refuses("pries.put", none, "the key is empty");
    let long = format!("[\"default\", \"{}\", \"mine\"]", "k".repeat(1025));
    scene.refuses("pries.put", &long, "the key has more than 1024 bytes");
    for bucket in ["", "other", "default/", "default/..", "*", "../secret", "shop"] {
        scene.refuses("pries.put", &format!("[\"{bucket}\", \"a\", \"b\"]"), "no such store");
    }
    assert_eq!(scene.everything(), before);
}

#[test]
fn plugins_of_different_prefixes_do_not_see_each_other() {
    let scene = Scene::open(&[
        ("one", "prefix = \"a\", buckets = [\"b\"]", ""),
        ("two", "prefix = \"ab\", buckets = [\"b\"]", ""),
        ("three", "prefix = \"a:b\", buckets = [\"b\"]", ""),
    ]);
    let plugins = ["one", "two", "three"];
    for plugin in plugins {
        scene.gives(&format!("{plugin}.put"), &format!("[\"b\", \"{plugin}\", \"x\"]"), "null");
        scene.gives(&format!("{plugin}.put"), &format!("[\"b\", \"b/k\", \"{plugin}\"]"), "null");
    }
    for plugin in plugins {
        scene.gives(&format!("{plugin}.keys"), "[\"b\"]", &format!("[\"b/k\",\"{plugin}\"]"));
        scene.gives(&format!("{plugin}.get"), "[\"b\", \"b/k\"]", &format!("\"{plugin}\""));
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let mut scene = Scene::open(&[
        ("pries", "prefix = \"p\", max-value = \"64KiB\"", ""),
        ("few", "prefix = \"f\"", "limits = { requests = 5, request-bytes = \"100KiB\" }"),
    ]);
    scene.gives("pries.swell", r#"["default", "big", 65536]"#, "null");
    let reason = "the value has 65537 bytes, and may have 65536";
    scene.refuses("pries.swell", r#"["default", "big", 65537]"#, reason);
    // Put there by somebody else.
    scene.plant("p/default/planted", &"x".repeat(70_000));
    let reason = "larger than what may be read at once";
    scene.refuses("pries.get", r#"["default", "planted"]"#, reason);
    scene.refuses("pries.get_many", r#"["default", ["big", "planted"]]"#, reason);
    scene.refuses("pries.put_many", r#"["default", 1001, "v"]"#, "1001 keys at once");
    scene.refuses("pries.remove_many", r#"["default", 1001]"#, "1001 keys at once");
    scene.gives("few.insist", r#"["default", 100]"#, "5");
    scene.refuses("few.swell", r#"["default", "big", 200000]"#, "bytes over the network");
    scene.gives("pries.put", r#"["default", "word", "many"]"#, "null");
    scene.refuses("pries.add", r#"["default", "word", 1]"#, "no number");
    scene.gives("pries.put", r#"["default", "debt", "-5"]"#, "null");
    scene.refuses("pries.add", r#"["default", "debt", 1]"#, "no number");
    scene.gives("pries.get", r#"["default", "debt"]"#, "\"-5\"");
    scene.gives("pries.add", r#"["default", "n", 9223372036854775807]"#, "9223372036854775807");
    scene.refuses("pries.add", r#"["default", "n", 1]"#, "too large");
    scene.refuses("pries.add", r#"["default", "n", 18446744073709551615]"#, "too large");
    // A cursor of no page, and a key that holds no text.
    let page = scene.client.call("pries.page", r#"["default", 18446744073709551615]"#);
    assert_eq!(page.state, State::Success, "{page:?}");
    scene.redis.command_line(&["HSET", "p/default/hash", "a", "b"]);
    scene.refuses("pries.get", r#"["default", "hash"]"#, "the store refused it");
    scene.worker.process.await_log("the key-value store refused a call: ", PATIENCE);
    // Handles end where they do for everything else.
    let held = scene.client.call("pries.hold", r#"["default", 1000000]"#);
    assert_eq!(held.state, State::Failure, "{held:?}");
    scene.gives("tasks.add", "[1, 2]", "3");
}

#[test]
fn a_store_that_is_away_is_an_error_and_the_worker_goes_on() {
    let mut store = RedisServer::durable();
    let address = store.url(0);
    let folder = TempDir::with_prefix("umbel-keeping-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let grant = format!("allow = {{ keyvalue = {{ url = \"{address}\", prefix = \"p\" }} }}");
    let config = format!(
        "[limits]\ntime = \"60s\"\n[plugins.pries]\n{grant}\n[plugins.hasty]\n{grant}\n\
         limits = {{ time = \"1s\" }}"
    );
    let worker = Worker::on(&url(&file)).config(&config);
    let worker = worker.plugin("pries", paths::guest("pries"));
    let worker = worker.plugin("hasty", paths::guest("pries"));
    let worker = worker.plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::open(&file);
    let _shown = worker.process.shown_on_failure();
    let state = |task: &str, args: &str| client.call(task, args).state;
    assert_eq!(state("pries.put", r#"["default", "a", "kept"]"#), State::Success);

    // It answers nothing: the limit of the run holds, and without one a patience of seconds.
    store.process().signal(Signal::STOP);
    let late = failure(&client.call("hasty.get", r#"["default", "a"]"#));
    assert_eq!(late.kind, "TimeLimitExceeded");
    for call in [("pries.get", r#"["default", "a"]"#), ("pries.add", r#"["default", "n", 1]"#)] {
        let told = format!("{:?}", failure(&client.call(call.0, call.1)));
        assert!(told.contains("the store cannot be reached"), "{told}");
    }
    assert_eq!(state("tasks.add", "[1, 2]"), State::Success);

    store.kill();
    let told = format!("{:?}", failure(&client.call("pries.get", r#"["default", "a"]"#)));
    assert!(told.contains("the store cannot be reached"), "{told}");
    assert_eq!(state("tasks.add", "[1, 2]"), State::Success);

    store.restart();
    eventually("the store is used again", PATIENCE, || {
        let record = client.call("pries.get", r#"["default", "a"]"#);
        match record.result.to_json().as_str() {
            "\"kept\"" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}

#[test]
fn a_revoked_run_ends_at_once_in_a_call_of_a_store_that_does_not_answer() {
    let store = RedisServer::durable();
    let folder = TempDir::with_prefix("umbel-keeping-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let config = format!(
        "[tasks]\ntrack-started = true\n\
         [plugins.pries]\nallow = {{ keyvalue = {{ url = \"{}\", prefix = \"p\" }} }}",
        store.url(0)
    );
    let worker = Worker::on(&url(&file)).config(&config);
    let worker = worker.plugin("pries", paths::guest("pries")).start();
    let client = Client::open(&file);
    let _shown = worker.process.shown_on_failure();
    let known = client.call("pries.put", r#"["default", "a", "kept"]"#);
    assert_eq!(known.state, State::Success, "{known:?}");
    store.process().signal(Signal::STOP);
    let calls = [
        ("pries.get", r#"["default", "a"]"#),
        ("pries.add", r#"["default", "n", 1]"#),
        ("pries.keys", r#"["default"]"#),
        ("pries.put_many", r#"["default", 1000, "v"]"#),
    ];
    for (task, args) in calls {
        let id = client.start(task, args);
        client.terminate(&id);
        // Were it to wait for the store, it would fail with a store that cannot be reached.
        assert_eq!(client.wait(&id, PATIENCE).state, State::Revoked, "{task}");
    }
    store.process().signal(Signal::CONT);
}

#[test]
fn no_password_of_a_store_is_told() {
    let config = "[plugins.pries]\nallow = { keyvalue = { \
                  url = \"redis://:hidden@127.0.0.1:1/0\", prefix = \"p\" } }";
    let (done, text) = invoke(config, "get", "[\"default\", \"a\"]");
    assert!(!done && text.contains("the store cannot be reached"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}
