//! What the file, the variables and the flags make together.

use umbel_protocol::body::{Compression, Content};
use umbel_transport::address::Scheme;

use super::file::parse;
use super::*;
use crate::fault::Fault;

mod grants;
mod policies;
mod queues;

#[track_caller]
fn settings(
    flags: &[(&'static str, &str)],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<Settings, Fault> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    resolve(Sources {
        flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        variables: variables.iter().map(owned).collect(),
        file: Some(parse(Path::new("conf/umbel.toml"), file)?),
        path: "conf/umbel.toml".into(),
    })
}

fn shown<'a>(settings: &'a Settings, key: &str) -> (&'a str, String) {
    let shown = settings.shown.iter().find(|shown| shown.key == key).expect(key);
    (&shown.value, shown.origin.to_string())
}

#[test]
fn flags_beat_variables_beat_the_file_beats_the_default() {
    let file = "loglevel = 'error'\nconcurrency = 1\n\nqueues = ['a', 'b']\n";
    let variables =
        [("UMBEL_CONCURRENCY", "2"), ("UMBEL_DRAIN_TIMEOUT", "1m"), ("UMBEL_LOGLEVEL", "")];
    let settings = settings(&[("drain-timeout", "2m")], &variables, file).expect("good settings");
    assert_eq!(settings.drain_timeout, Duration::from_secs(120));
    assert_eq!(settings.concurrency, 2);
    assert_eq!(settings.queues, ["a", "b"]);
    assert_eq!(shown(&settings, "drain-timeout"), ("2m", "--drain-timeout".into()));
    assert_eq!(shown(&settings, "concurrency"), ("2", "UMBEL_CONCURRENCY".into()));
    assert_eq!(shown(&settings, "queues"), ("a,b", "conf/umbel.toml:4".into()));
    assert_eq!(shown(&settings, "loglevel"), ("error", "conf/umbel.toml:1".into()));
    assert_eq!(shown(&settings, "limits.time"), ("5m", "default".into()));
    assert_eq!(settings.shown.len(), table::settings().count(), "every setting is shown");
}

#[test]
fn the_defaults_are_those_of_the_policy() {
    let settings = settings(&[], &[], "").expect("defaults are good");
    assert_eq!(settings.policy, TaskPolicy::default());
    assert_eq!(settings.broker.to_string(), "sqlite://umbel.db");
    assert_eq!(
        settings.results.map(|results| results.to_string()),
        Some("sqlite://umbel.db".into())
    );
    assert_eq!(settings.concurrency, 64);
    assert_eq!(settings.drain_timeout, Duration::from_secs(25));
}

#[test]
fn results_follow_the_broker_unless_told_otherwise() {
    for (broker, backend, expected) in [
        ("amqp://h", "", Some("rpc://")),
        ("redis://:secret@h/1", "", Some("redis://:**@h:6379/1")),
        ("sqlite://x.db", "", Some("sqlite://x.db")),
        ("amqp://h", "redis://r", Some("redis://r:6379/0")),
        ("amqp://h", "disabled", None),
        ("redis://h", "disabled://", None),
    ] {
        let mut flags = vec![("broker", broker)];
        if !backend.is_empty() {
            flags.push(("result-backend", backend));
        }
        let settings = settings(&flags, &[], "").expect(broker);
        let results = settings.results.map(|results| results.to_string());
        assert_eq!(results.as_deref(), expected, "{broker} {backend}");
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_a_way_out() {
    for (file, what, help) in [
        ("concurency = 4", "conf/umbel.toml:1: unknown key `concurency`", "mean `concurrency`?"),
        ("\n\nbrokers = 'x'", "conf/umbel.toml:3: unknown key `brokers`", "mean `broker`?"),
        ("[limits]\ntmie = '5s'", "conf/umbel.toml:2: unknown key `limits.tmie`", "`limits.time`?"),
        (
            "[plugins.images]\nsourc = 'x'",
            "conf/umbel.toml:2: unknown key `plugins.images.sourc`",
            "`plugins.images.source`?",
        ),
        ("xyzzy = 1", "unknown key `xyzzy`", "known keys here: broker, "),
        ("concurrency = 'many'", ":1: `concurrency` must be a whole number, not text", ""),
        ("concurrency = 0", ":1: `concurrency`: `0` is not a whole number from 1", ""),
        ("drain-timeout = 25", ":1: `drain-timeout` has no unit", "write \"25s\""),
        ("drain-timeout = '25'", ":1: `drain-timeout`: `25` has no unit", ""),
        ("limits = { memory = 5 }", ":1: `limits.memory` has no unit", "write \"5MiB\""),
        ("queues = 'a'\nqueues = 'b'", ":2: duplicate key", ""),
        ("broker = ", ":1: ", ""),
        ("plugins = 'dir'", ":1: `plugins` must be a table, not text", "plugin-folder"),
        ("broker = 'rpc://'", ":1: `broker`: `rpc://` is a result backend", "name a broker"),
        ("result-backend = 'rpc://'", "`rpc://` needs an amqp:// or redis:// broker", "leave"),
        ("loglevel = 'loud'", ":1: `loglevel`: `loud` is no level", ""),
        ("task_acks_late = true", ":1: unknown key `task_acks_late`", "write `acks = "),
        ("[results]\nexpire = '1d'", ":2: unknown key `results.expire`", "`results.expires`?"),
        ("results = { expires = 5 }", ":1: `results.expires` has no unit", "write \"5s\""),
        ("results = { compression = 'rar' }", ":1: `results.compression`: `rar` is none of", ""),
        ("accept-content = ['pickle']", ":1: `accept-content`: `pickle` runs code", ""),
        ("hold-limit = -1", ":1: `hold-limit`: `-1` is not a whole number", ""),
        ("concurrency = 1\nworker_concurrency = 2", ":2: `concurrency` was given in line 1", ""),
    ] {
        let fault = settings(&[], &[], file).expect_err(file);
        assert!(fault.what.contains(what), "{file}: {fault}");
        assert!(fault.help.as_deref().unwrap_or("").contains(help), "{file}: {fault}");
        assert_eq!(fault.code, crate::fault::Code::Usage);
    }
}

#[test]
fn what_this_version_cannot_do_is_refused_and_not_ignored() {
    let file = "policy = {}";
    let fault = settings(&[], &[], file).expect_err(file);
    assert!(fault.what.contains("not supported by this version"), "{file}: {fault}");
}

#[test]
fn an_address_to_listen_on_is_a_number_and_a_port() {
    let listens = |text: &str| {
        let settings = settings(&[], &[("UMBEL_HTTP", text)], "").expect(text);
        settings.http.map(|address| address.to_string())
    };
    for (text, address) in [
        ("", None),
        ("127.0.0.1:9808", Some("127.0.0.1:9808")),
        ("localhost:9808", Some("127.0.0.1:9808")),
        ("[::1]:9808", Some("[::1]:9808")),
        (":9808", Some("0.0.0.0:9808")),
    ] {
        assert_eq!(listens(text).as_deref(), address, "{text}");
    }
    for text in ["9808", "example.org:80", "127.0.0.1", "http://127.0.0.1:80", ":99999"] {
        let fault = settings(&[], &[("UMBEL_HTTP", text)], "").expect_err(text);
        assert!(fault.what.contains("is no address to listen on"), "{fault}");
    }
}

#[test]
fn a_test_says_where_to_die() {
    let die = |text| settings(&[], &[("UMBEL_DIE_AFTER", text)], "").map(|s| s.die_after);
    assert_eq!(die("").expect("nothing is said"), None);
    assert_eq!(die("store:tasks.add").expect("good"), Some((Hop::Store, "tasks.add".into())));
    for (text, part) in [("store", "write `hop:task`"), ("jump:x", "`jump` is no hop")] {
        let fault = die(text).expect_err(text);
        assert!(fault.what.contains(part), "{fault}");
    }
}

#[test]
fn bad_flags_and_variables_name_themselves() {
    let fault = settings(&[("concurrency", "x")], &[], "").expect_err("no number");
    assert!(fault.what.starts_with("--concurrency: `x`"), "{fault}");
    let fault = settings(&[], &[("UMBEL_LOG_FORMAT", "xml")], "").expect_err("no format");
    assert!(fault.what.starts_with("UMBEL_LOG_FORMAT: `xml`"), "{fault}");
}

#[test]
fn no_message_repeats_a_password() {
    for broker in ["amqp:/u:hunter2@h", "nope://u:hunter2@h", "amqp://u:hunter2@h:port", "hunter2"]
    {
        let fault = settings(&[("broker", broker)], &[], "").expect_err(broker);
        assert!(!fault.to_string().contains("hunter2"), "{broker}: {fault}");
    }
}

#[test]
fn several_brokers_are_tried_in_turn_and_shown_without_passwords() {
    let expected = "amqp://u:**@one:5672//;amqp://u:**@two:5672//";
    for file in [
        "broker = 'amqp://u:hunter2@one;amqp://u:hunter2@two'",
        "broker_url = ['amqp://u:hunter2@one', 'amqp://u:hunter2@two']",
    ] {
        let settings = settings(&[], &[], file).expect(file);
        assert_eq!(settings.broker.servers().len(), 2);
        assert_eq!(shown(&settings, "broker").0, expected);
        assert_eq!(shown(&settings, "result-backend").0, "rpc://");
    }
    let file = "broker = 'sentinel://:hunter2@one:26379;sentinel://two/1?master_name=m'";
    let settings = settings(&[], &[], file).expect("a good file");
    assert!(settings.broker.sentinel && settings.results.is_some_and(|results| results.sentinel));
    assert!(!format!("{:?}", settings.shown).contains("hunter2"));
}

#[test]
fn celerys_names_mean_the_same() {
    let file = "broker_url = 'redis://h'\nworker_concurrency = 3\ntask_time_limit = 90\n\
                worker_prefetch_multiplier = 2\ntask_default_queue = 'q'";
    let settings = settings(&[], &[], file).expect("Celery's names");
    assert_eq!(settings.broker.scheme, Scheme::Redis);
    assert_eq!(settings.concurrency, 3);
    assert_eq!(settings.policy.sandbox.time, Duration::from_secs(90));
    assert_eq!(settings.prefetch_multiplier, 2);
    assert_eq!(settings.queues, ["q"]);
}

#[test]
fn paths_of_the_file_are_relative_to_its_folder() {
    let file = "broker = 'sqlite://jobs.db'\nplugin-folder = 'wasm'\ncache = '/var/cache/x'";
    let in_file = settings(&[], &[], file).expect("a good file");
    assert_eq!(in_file.broker.to_string(), "sqlite://conf/jobs.db");
    assert_eq!(in_file.plugin_folder, Path::new("conf/wasm"));
    assert_eq!(in_file.cache.as_deref(), Some(Path::new("/var/cache/x")));
    let flags = [("broker", "sqlite://jobs.db"), ("plugin-folder", "wasm")];
    let in_flags = settings(&flags, &[], file).expect("good flags");
    assert_eq!(in_flags.broker.to_string(), "sqlite://jobs.db");
    assert_eq!(in_flags.plugin_folder, Path::new("wasm"));
}

#[test]
fn durations_of_celerys_flags_are_seconds_unless_they_say_otherwise() {
    let flags = [("limits.time", "90"), ("limits.soft-time", "1.5"), ("results.expires", "1h")];
    let settings = settings(&flags, &[], "result_failure_expires = 60").expect("good flags");
    assert_eq!(settings.policy.sandbox.time, Duration::from_secs(90));
    assert_eq!(settings.policy.sandbox.soft_time, Some(Duration::from_millis(1500)));
    let store = &settings.result_options.store;
    assert_eq!(store.expires, Some(Duration::from_secs(3600)));
    assert_eq!(store.failure_expires, Some(Duration::from_secs(60)));
    let fault = self::settings(&[("drain-timeout", "25")], &[], "").expect_err("not Celery's");
    assert!(fault.what.contains("has no unit"), "{fault}");
}

#[test]
fn results_are_kept_as_told() {
    let none = settings(&[], &[], "").expect("defaults are good");
    assert_eq!(shown_store(&none), format!("{:?}", StoreOptions::default()));
    assert!(!none.result_options.extended);
    let file = "redis.master-name = 'm'\n[results]\nexpires = 'never'\nfailure-expires = '7d'\nextended = true\n\
                serializer = 'msgpack'\ncompression = 'zstd'\n\
                chord-expires = '2d'\nchord-join-timeout = '1m'\nchord-ordered = false\n\
                key-prefix = 'x'\n";
    let told = settings(&[], &[], file).expect("a good file");
    let expected = StoreOptions {
        content: Content { serializer: Serializer::Msgpack, compression: Some(Compression::Zstd) },
        expires: None,
        failure_expires: Some(Duration::from_secs(7 * 86400)),
        chord_expires: Some(Duration::from_secs(2 * 86400)),
        chord_join_timeout: Duration::from_secs(60),
        chord_ordered: false,
        global_keyprefix: "x".into(),
        master_name: Some("m".into()),
    };
    assert_eq!(shown_store(&told), format!("{expected:?}"));
    assert!(told.result_options.extended);
}

fn shown_store(settings: &Settings) -> String {
    format!("{:?}", settings.result_options.store)
}

#[test]
fn redis_is_used_as_told() {
    let file = "redis = { visibility-timeout = '2h', key-prefix = 'p:' }";
    let redis = settings(&[], &[], file).expect("a good file").redis;
    assert_eq!(redis.visibility_timeout, Duration::from_secs(7200));
    assert_eq!(redis.global_keyprefix, "p:");
    assert_eq!(redis.master_name, None);
}

#[test]
fn what_is_accepted_and_held_is_told() {
    let file = "accept-content = ['json', 'application/x-yaml']\nhold-limit = 7\n\
                remote-control = false";
    let settings = settings(&[], &[], file).expect("a good file");
    assert_eq!(settings.accept, [Serializer::Json, Serializer::Yaml]);
    assert_eq!(settings.hold_limit, 7);
    assert!(!settings.remote_control);
}

#[test]
fn no_two_settings_share_a_name() {
    let mut names: Vec<&str> = Vec::new();
    let mut longs = Vec::new();
    for setting in table::settings() {
        names.extend([setting.key].iter().chain(setting.celery));
        longs.push(setting.long);
        assert!(!setting.help.is_empty() && !setting.long.is_empty(), "{}", setting.key);
    }
    for mut names in [names, longs] {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
