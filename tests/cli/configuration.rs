//! Flags, variables and the file.

use crate::{command, folder, put, run, umbel};

#[test]
fn help_tells_variables_and_exit_codes() {
    let folder = folder("");
    umbel(folder.path(), &["--help"]).said(&["worker", "check", "invoke", "Exit codes:", "69"]);
    umbel(folder.path(), &["worker", "--help"]).said(&[
        "--concurrency",
        "default: 64",
        "UMBEL_CONCURRENCY",
        "--drain-timeout",
        "-Q, --queues",
        "--track-started",
        "--ack-on-failure[=<BOOL>]",
    ]);
    let short = umbel(folder.path(), &["worker", "-h"]);
    short.said(&["--concurrency", "--soft-time-limit"]);
    assert!(!short.text.contains("--track-started"), "{}", short.text);
}

#[test]
fn unknown_flags_are_usage_errors_with_a_proposal() {
    let folder = folder("");
    let ended = umbel(folder.path(), &["worker", "--concurency", "4"]);
    ended.refused(2, &["--concurency", "--concurrency"]);
}

#[test]
fn a_mistyped_url_among_the_arguments_is_masked() {
    let folder = folder("");
    umbel(folder.path(), &["worker", "amqp://u:hunter2@h//"]).refused(2, &["amqp://u:**@h"]);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_proposal() {
    let folder = folder("broker = 'sqlite://x.db'\nconcurency = 4\n");
    let ended = umbel(folder.path(), &["worker", "--allow-root"]);
    ended.refused(
        2,
        &["error: umbel.toml:2: unknown key `concurency`", "help: did you mean `concurrency`?"],
    );
}

#[test]
fn a_bad_value_names_its_place() {
    let folder = folder("[limits]\ntime = '5'\n");
    umbel(folder.path(), &["tasks"]).refused(2, &["umbel.toml:2: `limits.time`: `5` has no unit"]);
    let mut command = command(folder.path(), &["worker"]);
    command.env("UMBEL_TIME_LIMIT", "5 parsecs");
    run(command).refused(2, &["UMBEL_TIME_LIMIT: `parsecs` is no unit of time"]);
}

#[test]
fn mistakes_in_policies_name_their_place_and_a_way_out() {
    for (toml, parts) in [
        (
            "[tasks]\nrate-limit = '10/d'",
            ["umbel.toml:2: `tasks.rate-limit`", "is no unit of a rate"],
        ),
        ("[tasks]\ntrak-started = true", ["`tasks.trak-started`", "mean `tasks.track-started`?"]),
        ("[tasks]\nretry = { max-backof = '1s' }", ["umbel.toml:2", "`tasks.retry.max-backoff`?"]),
        ("[limits]\nsoft-time = 4", ["`limits.soft-time` has no unit", "write \"4s\""]),
        ("[results]\nexpires = '1 moon'", ["`results.expires`", "`moon` is no unit of time"]),
        ("[results]\nexpire = '1d'", ["`results.expire`", "mean `results.expires`?"]),
        ("routes = ['a']", ["`routes` must be a table of texts", "umbel.toml:1"]),
        ("queues = [{ nam = 'q' }]", ["`queues.nam`", "mean `queues.name`?"]),
        ("accept-content = ['pickle']", ["`accept-content`", "`pickle` runs code"]),
        ("task_acks_late = true", ["`task_acks_late`", "`acks = \"late\"`"]),
        ("[plugins.x]\nallow = { sumbit = ['a'] }", ["allow.sumbit", "`plugins.x.allow.submit`?"]),
    ] {
        let folder = folder(toml);
        umbel(folder.path(), &["worker", "--allow-root"]).refused(2, &parts);
    }
    let folder = folder("");
    for (flag, text, part) in [
        ("--rate-limit", "fast", "--rate-limit: `fast` is not a rate"),
        ("--soft-time-limit", "5 parsecs", "--soft-time-limit: `parsecs` is no unit"),
        ("--acks", "never", "--acks: `never` is neither `late` nor `early`"),
        ("--queue-type", "stream", "--queue-type: `stream` is neither"),
    ] {
        umbel(folder.path(), &["worker", "--allow-root", flag, text]).refused(2, &[part]);
    }
}

#[test]
fn what_limits_a_task_is_shown_beside_it() {
    let folder = folder(
        "[tasks]\nrate-limit = '100/m'\n[plugins.tasks]\nallow = { submit = ['images.*'] }\n\
         limits = { soft-time = '4s', concurrency = 8 }\ntasks.add = { concurrency = 2 }\n",
    );
    put(folder.path(), "tasks", "tasks");
    umbel(folder.path(), &["tasks"]).said(&[
        "5m 256MiB soft:4s rate:100/m concurrency:2 plugin-concurrency:8 submit:images.*",
        "5m 256MiB soft:4s rate:100/m plugin-concurrency:8 submit:images.*",
    ]);
    let checked = umbel(folder.path(), &["check", "plugins/tasks.wasm"]);
    checked.said(&[
        "starts with memory ",
        " of 256MiB, memories 1 of 8",
        "limits wall=5m cpu=5m fuel=off",
    ]);
    let checked = umbel(folder.path(), &["check", "plugins/tasks.wasm", "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&checked.text).expect("JSON");
    let task = &checked["plugins"][0]["tasks"][0];
    assert_eq!(task["rate_limit"], "100/m");
    assert_eq!(task["submit"][0], "images.*");
    assert_eq!(task["limits"]["soft_time"], "4s");
    assert_eq!(task["amounts"]["host_calls"], 100_000_000);
}

#[test]
fn what_is_not_built_yet_is_refused() {
    let folder = folder("\n[policy]\n");
    put(folder.path(), "tasks", "tasks");
    let ended = umbel(folder.path(), &["worker", "--allow-root"]);
    ended.refused(2, &["umbel.toml:2: `policy`", "not supported by this version"]);
}

#[test]
fn show_config_prints_values_with_their_origins_and_no_password() {
    let folder = folder("broker = 'redis://:hunter2@h/1'\n[limits]\nmemory = '1GiB'\n");
    let mut command = command(folder.path(), &["worker", "--show-config", "-c", "8"]);
    command.env("UMBEL_LOGLEVEL", "debug");
    let ended = run(command);
    ended.said(&["redis://:**@h:6379/1"]);
    let line = |key: &str| {
        let line = ended.text.lines().find(|line| line.starts_with(&format!("{key} ")));
        line.unwrap_or_else(|| panic!("no line of `{key}` in:\n{}", ended.text))
    };
    for (key, value, origin) in [
        ("broker", "redis://:**@h:6379/1", "umbel.toml:1"),
        ("result-backend", "redis://:**@h:6379/1", "default"),
        ("concurrency", "8", "--concurrency"),
        ("loglevel", "debug", "UMBEL_LOGLEVEL"),
        ("limits.memory", "1GiB", "umbel.toml:3"),
        ("limits.time", "5m", "default"),
    ] {
        let words: Vec<&str> = line(key).split_whitespace().collect();
        assert_eq!(words, [key, value, origin]);
    }
}

#[test]
fn root_is_refused_unless_it_insists() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: the other half of the rule is tested instead");
        let folder = folder("");
        let ended = umbel(folder.path(), &["worker", "--uid", "0"]);
        ended.refused(77, &["only root can become `0`"]);
        return;
    }
    let folder = folder("");
    let ended = umbel(folder.path(), &["worker"]);
    ended.refused(77, &["superuser privileges", "uid=0", "--uid", "--allow-root"]);
    umbel(folder.path(), &["worker", "--uid", "nobodyatall"])
        .refused(2, &["no user is called `nobodyatall`"]);
    umbel(folder.path(), &["worker", "--uid", "root"]).refused(77, &["`--uid root` is root"]);
    umbel(folder.path(), &["worker", "--gid", "1"]).refused(77, &["`--gid` alone"]);
}

#[test]
fn a_collector_of_traces_is_shown_without_its_secrets() {
    let folder = folder("otlp-endpoint = 'http://file:4318/?key=hunter2'\n");
    let shown = || command(folder.path(), &["worker", "--show-config"]);
    run(shown()).said(&["http://file:4318/", "umbel.toml:1"]);
    let mut named = command(folder.path(), &["worker", "--show-config", "--config", "/dev/null"]);
    named.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@variable:4318");
    run(named).said(&["http://me:**@variable:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let mut off = shown();
    off.env("OTEL_SDK_DISABLED", "true");
    run(off).said(&["OTEL_SDK_DISABLED"]);
    for (url, why) in [("ftp://h", "neither http:// nor"), ("http://u:hunter2@h", "a login")] {
        let refused = umbel(folder.path(), &["worker", "--otlp-endpoint", url]);
        refused.refused(2, &["--otlp-endpoint: ", why, "help: write http://HOST:4318"]);
    }
    let mut wrong = command(folder.path(), &["worker", "--allow-root", "--config", "/dev/null"]);
    wrong.env("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense:hunter2@h");
    run(wrong).refused(2, &["the address of the collector of traces is wrong", "help: "]);
}
