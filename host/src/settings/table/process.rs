//! The process itself: its log, its user, its files.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "loglevel",
        long: "loglevel",
        short: Some('l'),
        value: "LEVEL",
        default: "info",
        heading: Heading::Process,
        help: "debug, info, warning, error, critical or fatal",
        ..BASE
    },
    Setting {
        key: "log-format",
        long: "log-format",
        value: "FORMAT",
        default: "text",
        heading: Heading::Process,
        help: "`text`: lines as Celery writes them; `json`: one object a line",
        ..BASE
    },
    Setting {
        key: "http",
        long: "http",
        value: "ADDR",
        heading: Heading::Process,
        help: "Serve /metrics, /healthz and /readyz here: 127.0.0.1:9808, or :9808 for everybody who \
               reaches this machine",
        ..BASE
    },
    Setting {
        key: "otlp-endpoint",
        long: "otlp-endpoint",
        kind: Kind::Url,
        value: "URL",
        heading: Heading::Process,
        help: "Send traces to this collector, by OTLP over HTTP: http://HOST:4318 [default: what \
               OTEL_EXPORTER_OTLP_ENDPOINT says; nothing is traced without it]",
        ..BASE
    },
    Setting {
        key: "uid",
        long: "uid",
        value: "USER",
        heading: Heading::Process,
        help: "Become this user (name or number) before anything else, when started as root",
        ..BASE
    },
    Setting {
        key: "gid",
        long: "gid",
        value: "GROUP",
        heading: Heading::Process,
        help: "Become this group (name or number) as well [default: the user's own]",
        ..BASE
    },
    Setting {
        key: "allow-root",
        long: "allow-root",
        kind: Kind::Switch,
        heading: Heading::Process,
        help: "Run as root all the same",
        ..BASE
    },
    Setting {
        key: "hardening",
        long: "hardening",
        value: "MODE",
        default: "auto",
        heading: Heading::Process,
        help: "Give up files and system calls that no worker needs (Landlock, seccomp): `auto` as \
               far as the kernel can, `require` or not start, `off`",
        ..BASE
    },
    Setting {
        key: "require-hardening",
        long: "require-hardening",
        kind: Kind::Switch,
        heading: Heading::Process,
        help: "The same as --hardening require",
        ..BASE
    },
    Setting {
        key: "pidfile",
        long: "pidfile",
        kind: Kind::Path,
        value: "FILE",
        heading: Heading::Process,
        help: "Write the process id here; refuse to start if that process lives. Expands %h, %n, %d",
        ..BASE
    },
    Setting {
        // `plugins` is the table of single plugins.
        key: "plugin-folder",
        long: "plugins",
        kind: Kind::Path,
        value: "DIR",
        default: "plugins",
        heading: Heading::Plugins,
        help: "Folder of the components: each NAME.wasm is a plugin",
        ..BASE
    },
    Setting {
        key: "plugin-sweep",
        long: "plugin-sweep",
        kind: Kind::Duration,
        value: "TIME",
        default: "5s",
        heading: Heading::Plugins,
        help: "Look at plugins and configuration this often, for where the system does not tell of \
               changes",
        ..BASE
    },
    Setting {
        key: "cache",
        long: "cache",
        kind: Kind::Path,
        value: "DIR",
        heading: Heading::Plugins,
        help: "Folder for compiled code, private to the user [default: $XDG_CACHE_HOME/umbel, \
               ~/.cache/umbel, or /var/cache/umbel-<uid> with --uid]",
        ..BASE
    },
    Setting {
        key: "compile.memory",
        long: "compile-memory",
        kind: Kind::Size,
        value: "SIZE",
        default: "2GiB",
        heading: Heading::Plugins,
        help: "Memory that compiling one component may take",
        ..BASE
    },
    Setting {
        key: "compile.time",
        long: "compile-time",
        kind: Kind::Duration,
        value: "TIME",
        default: "2m",
        heading: Heading::Plugins,
        help: "CPU time that compiling one component may take; four times that by the clock",
        ..BASE
    },
    Setting {
        key: "plugins.trust",
        long: "trust",
        kind: Kind::List,
        value: "KEYS",
        heading: Heading::Plugins,
        help: "Minisign's public keys: every plugin must be signed with one of them \
               (NAME.wasm.minisig beside it)",
        ..BASE
    },
    Setting {
        key: "plugins.require-signature",
        long: "require-signature",
        kind: Kind::Switch,
        default: "true",
        heading: Heading::Plugins,
        help: "Where keys are trusted: refuse plugins without a signature, not only wrong ones",
        ..BASE
    },
    Setting {
        key: "keep-going",
        long: "keep-going",
        kind: Kind::Switch,
        heading: Heading::Plugins,
        help: "Leave out plugins that do not load instead of refusing to start",
        ..BASE
    },
];
