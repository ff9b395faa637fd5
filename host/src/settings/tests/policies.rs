//! `[limits]`, `[tasks]`, and the tables of plugins and tasks.

use umbel_task::policy::{Acks, Handling, Interrupted, Rate, Retry, Sandbox, Submit};

use super::*;

const EVERY_KEY: &str = "acks = 'early'\nack-on-failure = false\nack-on-timeout = false\n\
    interrupted = 'retry'\nrepeat-succeeded = true\ntrack-started = true\n\
    ignore-result = true\nstore-errors = true\nrate-limit = '120/m'\nconcurrency = 3\n\
    retry = { max = 'off', backoff = '1s', max-backoff = '1m', jitter = true, kinds = ['IOError', '*'] }\n";

fn every_key() -> Handling {
    Handling {
        acks: Acks::Early,
        ack_on_failure: false,
        ack_on_timeout: false,
        retry: Retry {
            max: None,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            jitter: true,
            kinds: vec!["IOError".into(), "*".into()],
        },
        interrupted: Interrupted::Retry,
        repeat_succeeded: true,
        track_started: true,
        ignore_result: true,
        store_errors: true,
        rate_limit: Some(Rate { per_second: 2.0 }),
        concurrency: Some(3),
        ..Handling::default()
    }
}

#[test]
fn every_key_of_tasks_reaches_every_task() {
    let settings = settings(&[], &[], &format!("[tasks]\n{EVERY_KEY}")).expect("a good file");
    assert_eq!(settings.policy.handling, every_key());
    assert_eq!(shown(&settings, "tasks.rate-limit"), ("120/m", "conf/umbel.toml:10".into()));
    assert_eq!(shown(&settings, "tasks.retry.kinds"), ("IOError,*", "conf/umbel.toml:12".into()));
}

#[test]
fn every_key_of_a_tasks_own_table_reaches_it_alone() {
    let file = format!("[plugins.images.tasks.make-thumb]\n{EVERY_KEY}");
    let settings = settings(&[], &[], &file).expect("a good file");
    assert_eq!(settings.policy, TaskPolicy::default());
    let (name, own) = &settings.plugins[0].tasks[0];
    assert_eq!(name, "make-thumb");
    assert_eq!(own.over(&settings.policy).handling, every_key());
}

#[test]
fn flags_and_variables_change_every_task() {
    let flags = [("tasks.rate-limit", "5/s"), ("tasks.ack-on-failure", "false")];
    let variables = [("UMBEL_TRACK_STARTED", "yes"), ("UMBEL_DELIVERIES", "off")];
    let file = "tasks = { rate-limit = '1/s', track-started = false }";
    let settings = settings(&flags, &variables, file).expect("good flags");
    let handling = &settings.policy.handling;
    assert_eq!(handling.rate_limit, Some(Rate { per_second: 5.0 }));
    assert!(handling.track_started && !handling.ack_on_failure);
    assert_eq!(handling.deliveries, None);
    assert_eq!(shown(&settings, "tasks.track-started"), ("yes", "UMBEL_TRACK_STARTED".into()));
    assert_eq!(shown(&settings, "tasks.ignore-result"), ("false", "default".into()));
}

#[test]
fn a_plugins_grants_and_limits_are_its_own() {
    let file = "limits = { soft-time = '4m', deliveries = 2 }\n\
        [plugins.images]\nlimits = { concurrency = 8, soft-time = 'off' }\n\
        allow = { submit = ['images.*', 'mail.send'], submit-queues = ['bulk*'],\n\
        submit-count = 10, submit-depth = 2 }\n\
        tasks.f.limits.deliveries = 9\n";
    let settings = settings(&[], &[], file).expect("a good file");
    assert_eq!(settings.policy.sandbox.soft_time, Some(Duration::from_secs(240)));
    assert_eq!(settings.policy.handling.deliveries, Some(2));
    assert_eq!(settings.policy.handling.submit, Submit::default());
    let plugin = settings.plugins[0].changes.over(&settings.policy);
    assert_eq!(plugin.handling.plugin_concurrency, Some(8));
    assert_eq!(plugin.handling.deliveries, Some(2));
    assert_eq!(plugin.sandbox.soft_time, None);
    let names = vec!["images.*".to_owned(), "mail.send".to_owned()];
    let queues = vec!["bulk*".to_owned()];
    assert_eq!(plugin.handling.submit, Submit { names, queues, count: 10, depth: 2 });
    let task = settings.plugins[0].tasks[0].1.over(&plugin);
    assert_eq!(task.handling.deliveries, Some(9));
    assert_eq!(task.handling.submit, plugin.handling.submit);
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
    let plugin = table.changes.over(&settings.policy);
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
fn every_amount_is_a_limit_of_its_own() {
    let amounts = "cpu = '3s'\nprogress = 1\nhost-calls = 1_000\nhandles = 2\nrandom = '1KiB'\n\
        requests = 3\nrequest-bytes = '2KiB'\nsockets = 4\ninstances = 5\nmemories = 6\n\
        tables = 7\ntable-elements = 8\n";
    let file = format!("[plugins.p.limits]\n{amounts}[plugins.p.tasks.f.limits]\ncpu = 'time'\n");
    let settings = settings(&[], &[], &file).expect("a good file");
    let plugin = settings.plugins[0].changes.over(&settings.policy);
    let expected = Sandbox {
        cpu: Some(Duration::from_secs(3)),
        progress: 1,
        host_calls: 1000,
        handles: 2,
        random: 1 << 10,
        requests: 3,
        request_bytes: 2 << 10,
        sockets: 4,
        instances: 5,
        memories: 6,
        tables: 7,
        table_elements: 8,
        ..Sandbox::default()
    };
    assert_eq!(plugin.sandbox, expected);
    let task = settings.plugins[0].tasks[0].1.over(&plugin);
    assert_eq!((task.sandbox.cpu, task.sandbox.handles), (None, 2));
}

#[test]
fn mistakes_in_policies_are_named() {
    let task = |text: &str| format!("[plugins.p.tasks.f]\n{text}");
    for (file, what, help) in [
        ("[tasks]\nrate-limit = '10/d'".into(), ":2: `tasks.rate-limit`: `d` is no unit", ""),
        ("[tasks]\nrate = '1/s'".into(), ":2: unknown key `tasks.rate`", "known keys here"),
        ("[tasks]\nack = 'late'".into(), "unknown key `tasks.ack`", "`tasks.acks`?"),
        ("[tasks]\ntrack-started = 'yes'".into(), "must be true or false, not text", ""),
        ("[tasks.retry]\nmaxx = 3".into(), "`tasks.retry.maxx`", "`tasks.retry.max`?"),
        ("[limits]\nsoft_time = '1s'".into(), "`limits.soft_time`", "`limits.soft-time`?"),
        ("[limits]\ndeliveries = 0".into(), "neither a positive whole number nor `off`", ""),
        ("[limits]\nsoft-time = 30".into(), "`limits.soft-time` has no unit", "write \"30s\""),
        (
            "[plugins.p]\nlimits = { stack = '1MiB' }".into(),
            "`plugins.p.limits.stack`: the stack is the same for every plugin",
            "[limits]",
        ),
        ("[limits]\nstack = '1KiB'".into(), "is not a size from 64KiB to 64MiB", ""),
        ("[limits]\nmemories = 0".into(), "not a whole number from 1 to 64", ""),
        ("[limits]\ncpu = 3".into(), "`limits.cpu` has no unit", "write \"3s\""),
        (task("rate-limit = 'x'"), ":2: `plugins.p.tasks.f.rate-limit`: `x` is not a rate", ""),
        (task("acks = 'never'"), "`never` is neither `late` nor `early`", ""),
        (task("interrupted = 'drop'"), "neither `requeue` nor `retry`", ""),
        (task("retry = { kinds = ['a b'] }"), "`a b` is no exception's name", ""),
        (task("trak-started = true"), "`plugins.p.tasks.f.trak-started`", ".track-started`?"),
        (
            task("limits = { concurrency = 3 }"),
            "`plugins.p.tasks.f.limits.concurrency` would be the whole plugin's",
            "write `plugins.p.tasks.f.concurrency`",
        ),
        (
            "[plugins.p]\nallow = { submits = ['x'] }".into(),
            ":2: unknown key `plugins.p.allow.submits`",
            "`plugins.p.allow.submit`?",
        ),
        (
            "[plugins.p]\nallow = { submit-queues = ['celery.pidbox'] }".into(),
            ":2: `plugins.p.allow.submit-queues`: `celery.pidbox` is not a queue of tasks",
            "",
        ),
        (
            "[plugins.p]\nallow = { submit-count = -1 }".into(),
            ":2: `plugins.p.allow.submit-count`: `-1` is not a whole number",
            "",
        ),
    ] {
        let fault = settings(&[], &[], &file).expect_err(&file);
        assert!(fault.what.contains(what), "{file}: {fault}");
        assert!(fault.help.as_deref().unwrap_or("").contains(help), "{file}: {fault}");
    }
}
