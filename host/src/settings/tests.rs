//! What the file, the variables and the flags make together.

use umbel_transport::address::Scheme;

use super::file::parse;
use super::*;
use crate::fault::Fault;

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
        ("xyzzy = 1", "unknown key `xyzzy`", "known keys here: limits"),
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
    for file in [
        "http = '0.0.0.0:80'",
        "unknown = 'park'",
        "limits = { concurrency = 3 }",
        "[plugins.x]\nallow = { env = ['REGION'] }",
        "[plugins.x]\nlimits = { concurrency = 3 }",
        "[plugins.x]\ntasks.f = { rate-limit = '1/s' }",
    ] {
        let fault = settings(&[], &[], file).expect_err(file);
        assert!(fault.what.contains("not supported by this version"), "{file}: {fault}");
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
fn a_plugins_table_changes_its_own_tasks_alone() {
    let file = "limits = { time = '1m' }\n\
        [plugins.images]\nsource = 'wasm/images.wasm'\nprefix = 'proj.images'\n\
        names = { 'legacy.resize' = 'make-thumb' }\n\
        limits = { time = '5s', fuel = 1_000, memory = '1GiB' }\n\
        tasks.make-thumb = { acks = 'early', retry = { max = 7, backoff = '2s', max-backoff = '10m', jitter = true } }\n\
        tasks.other = { limits = { time = '9s', fuel = 'off' }, retry = { max = 'off' } }\n";
    let settings = settings(&[], &[], file).expect("a good file");
    let table = &settings.plugins[0];
    assert_eq!(table.name, "images");
    assert_eq!(table.source.as_deref(), Some(Path::new("conf/wasm/images.wasm")));
    assert_eq!(table.prefix.as_deref(), Some("proj.images"));
    assert_eq!(table.names, [("legacy.resize".to_owned(), "make-thumb".to_owned())]);
    let plugin = table.limits.over(&settings.policy);
    assert_eq!(plugin.sandbox.time, Duration::from_secs(5));
    assert_eq!(plugin.sandbox.fuel, Some(1000));
    assert_eq!(plugin.sandbox.memory, 1 << 30);
    let task = |name: &str| {
        let (_, task) = table.tasks.iter().find(|(task, _)| task == name).expect(name);
        task.over(&plugin)
    };
    let thumb = task("make-thumb");
    assert_eq!(thumb.handling.acks, umbel_task::policy::Acks::Early);
    assert_eq!(thumb.handling.retry.max, Some(7));
    assert_eq!(thumb.handling.retry.backoff, Duration::from_secs(2));
    assert_eq!(thumb.handling.retry.max_backoff, Duration::from_secs(600));
    assert!(thumb.handling.retry.jitter);
    assert_eq!(thumb.sandbox, plugin.sandbox);
    let other = task("other");
    assert_eq!(other.sandbox.time, Duration::from_secs(9));
    assert_eq!(other.sandbox.fuel, None);
    assert_eq!(other.handling.retry.max, None);
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
fn no_two_settings_share_a_name() {
    let mut names: Vec<&str> = Vec::new();
    for setting in table::settings() {
        names.extend([setting.key].iter().chain(setting.celery));
        assert!(!setting.help.is_empty() && !setting.long.is_empty(), "{}", setting.key);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
