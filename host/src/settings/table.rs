//! Every setting once: its key in the file, its flag, its environment variable, its default.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// One setting. The flag is generated from this, and so are `--show-config` and the errors.
#[derive(Debug)]
pub(crate) struct Setting {
    /// In `umbel.toml`; a dot enters a table.
    pub(crate) key: &'static str,
    /// The flag without its dashes. In capitals and with `UMBEL_` before it: the variable.
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    /// What the help calls the value; empty for switches.
    pub(crate) value: &'static str,
    /// As one would write it; empty where the help tells.
    pub(crate) default: &'static str,
    /// Celery's names for the same.
    pub(crate) celery: &'static [&'static str],
    pub(crate) heading: Heading,
    pub(crate) help: &'static str,
}

/// What a value looks like; the file's types are checked against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Path,
    /// May hold a password: never repeated in a message.
    Url,
    /// Comma-separated on the command line, an array in the file.
    List,
    Count,
    Duration,
    Size,
    /// A number or `off`.
    Fuel,
    Switch,
}

/// Where the help lists a setting, and which commands take its flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    Everywhere,
    Worker,
    Process,
    Plugins,
    Limits,
}

impl Heading {
    fn title(self) -> &'static str {
        match self {
            Heading::Everywhere => "Everywhere",
            Heading::Worker => "Work",
            Heading::Process => "Process",
            Heading::Plugins => "Plugins",
            Heading::Limits => "Limits of every run (a plugin's table in the file may set its own)",
        }
    }
}

const BASE: Setting = Setting {
    key: "",
    long: "",
    short: None,
    kind: Kind::Text,
    value: "",
    default: "",
    celery: &[],
    heading: Heading::Worker,
    help: "",
};

pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "broker",
        long: "broker",
        short: Some('b'),
        kind: Kind::Url,
        value: "URL",
        default: "sqlite://umbel.db",
        celery: &["broker_url"],
        heading: Heading::Everywhere,
        help: "Where messages come from and go to: amqp://, redis:// (amqps://, rediss:// for \
               TLS) or sqlite://FILE, which needs no server",
    },
    Setting {
        key: "result-backend",
        long: "result-backend",
        kind: Kind::Url,
        value: "URL",
        celery: &["result_backend"],
        heading: Heading::Everywhere,
        help: "Where results go: redis://, rpc://, sqlite://FILE or `disabled` [default: the \
               broker itself; rpc:// with amqp://]",
        ..BASE
    },
    Setting {
        key: "json",
        long: "json",
        kind: Kind::Switch,
        heading: Heading::Everywhere,
        help: "Print JSON for programs",
        ..BASE
    },
    Setting {
        key: "queues",
        long: "queues",
        short: Some('Q'),
        kind: Kind::List,
        value: "LIST",
        default: "celery",
        celery: &["task_default_queue"],
        help: "Queues to take from, separated by commas. The first one is where `umbel call` sends",
        ..BASE
    },
    Setting {
        key: "concurrency",
        long: "concurrency",
        short: Some('c'),
        kind: Kind::Count,
        value: "N",
        default: "64",
        celery: &["worker_concurrency"],
        help: "Tasks at once. Sleeping and waiting ones cost no thread; computing ones share as \
               many threads as there are cores",
        ..BASE
    },
    Setting {
        key: "prefetch-multiplier",
        long: "prefetch-multiplier",
        kind: Kind::Count,
        value: "N",
        default: "1",
        celery: &["worker_prefetch_multiplier"],
        help: "Messages to hold ready for each task that can run at once. With 1 (Celery's is 4) \
               no message waits here while another worker is idle",
        ..BASE
    },
    Setting {
        key: "hostname",
        long: "hostname",
        short: Some('n'),
        value: "NAME",
        default: "celery@%h",
        help: "The worker's name. %h is the host's name, %n its first part, %d the rest",
        ..BASE
    },
    Setting {
        key: "drain-timeout",
        long: "drain-timeout",
        kind: Kind::Duration,
        value: "TIME",
        default: "25s",
        help: "How long running tasks may take to end after SIGTERM; then they are cut off and \
               their messages go back",
        ..BASE
    },
    Setting {
        key: "optimization",
        long: "optimization",
        short: Some('O'),
        value: "NAME",
        default: "fair",
        help: "Accepted for Celery's sake. Work is always handed out as with `fair`",
        ..BASE
    },
    Setting {
        key: "task-events",
        long: "task-events",
        short: Some('E'),
        kind: Kind::Switch,
        celery: &["worker_send_task_events"],
        help: "Accepted for Celery's sake. This version sends no events",
        ..BASE
    },
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
        key: "keep-going",
        long: "keep-going",
        kind: Kind::Switch,
        heading: Heading::Plugins,
        help: "Leave out plugins that do not load instead of refusing to start",
        ..BASE
    },
    Setting {
        key: "limits.time",
        long: "time-limit",
        kind: Kind::Duration,
        value: "TIME",
        default: "5m",
        celery: &["task_time_limit"],
        heading: Heading::Limits,
        help: "Wall time, waiting included",
        ..BASE
    },
    Setting {
        key: "limits.memory",
        long: "memory-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "256MiB",
        heading: Heading::Limits,
        help: "Memory of one run",
        ..BASE
    },
    Setting {
        key: "limits.fuel",
        long: "fuel-limit",
        kind: Kind::Fuel,
        value: "N",
        default: "off",
        heading: Heading::Limits,
        help: "Instructions, roughly; counting them costs about a tenth of the speed. `off`: not \
               counted",
        ..BASE
    },
    Setting {
        key: "limits.output",
        long: "output-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "8MiB",
        heading: Heading::Limits,
        help: "The result as JSON",
        ..BASE
    },
    Setting {
        key: "limits.log",
        long: "log-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "64KiB",
        heading: Heading::Limits,
        help: "What a run may log or print; more is dropped and counted",
        ..BASE
    },
];

impl Setting {
    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("UMBEL_{}", self.long.to_ascii_uppercase().replace('-', "_"))
    }

    fn arg(&self) -> Arg {
        let mut notes = Vec::new();
        if !self.default.is_empty() {
            notes.push(format!("default: {}", self.default));
        }
        notes.push(format!("env: {}", self.variable()));
        let arg = Arg::new(self.key)
            .long(self.long)
            .help(format!("{} [{}]", self.help, notes.join("; ")))
            .help_heading(self.heading.title());
        let arg = match self.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        let arg = if self.heading == Heading::Everywhere { arg.global(true) } else { arg };
        match self.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue),
            _ => arg.value_name(self.value).action(ArgAction::Set),
        }
    }
}

/// The setting of this key.
pub(crate) fn setting(key: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.key == key).expect("asked for by a constant")
}

/// Adds the flags under these headings.
pub(crate) fn with_flags(command: Command, headings: &[Heading]) -> Command {
    let wanted = SETTINGS.iter().filter(|setting| headings.contains(&setting.heading));
    command.args(wanted.map(Setting::arg))
}

/// What the command line says: key and text.
pub(crate) fn flags(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for setting in SETTINGS {
        let text = match setting.kind {
            Kind::Switch => match matches.try_get_one::<bool>(setting.key) {
                Ok(Some(true)) => Some("true".to_owned()),
                _ => None,
            },
            // An error means that this command does not take the flag.
            _ => matches.try_get_one::<String>(setting.key).ok().flatten().cloned(),
        };
        if let Some(text) = text {
            found.push((setting.key, text));
        }
    }
    found
}
