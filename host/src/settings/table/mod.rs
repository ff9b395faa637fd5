//! Every setting once: its key in the file, its flag, its environment variable, its default.

mod beat;
mod brokers;
mod process;
mod results;
mod runs;
mod work;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::units::with_celerys_unit;

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
    /// A list that may hold tables in the file.
    Queues,
    /// `name=value`, comma-separated, on the command line; a table in the file.
    Pairs,
    Count,
    Duration,
    Size,
    /// A whole number or `off`.
    Amount,
    /// `n`, `n/s`, `n/m`, `n/h` or `off`.
    Rate,
    Switch,
}

/// Where the help lists a setting, and which commands take its flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    Everywhere,
    Worker,
    Process,
    Plugins,
    Amqp,
    Redis,
    Results,
    Limits,
    /// Limits that few need to change.
    Bounds,
    Tasks,
    Beat,
}

impl Heading {
    /// What only a worker is told by flags.
    pub(crate) const WORKERS: [Heading; 9] = [
        Heading::Worker,
        Heading::Amqp,
        Heading::Redis,
        Heading::Results,
        Heading::Process,
        Heading::Plugins,
        Heading::Limits,
        Heading::Bounds,
        Heading::Tasks,
    ];

    fn title(self) -> &'static str {
        match self {
            Heading::Everywhere => "Everywhere",
            Heading::Worker => "Work",
            Heading::Process => "Process",
            Heading::Plugins => "Plugins",
            Heading::Amqp => "RabbitMQ",
            Heading::Redis => "Redis (the URL's query may say the same)",
            Heading::Results => "Results",
            Heading::Beat => "Schedule",
            Heading::Tasks => "Messages of every task (a task's table in the file may set its own)",
            Heading::Bounds => "Further limits of every run (likewise)",
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

/// All of them, in the order of `--show-config`.
pub(crate) fn settings() -> impl Iterator<Item = &'static Setting> {
    let all = [
        work::SETTINGS,
        brokers::SETTINGS,
        results::SETTINGS,
        process::SETTINGS,
        runs::SETTINGS,
        beat::SETTINGS,
    ];
    all.into_iter().flatten()
}

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
        let arg = match self.heading {
            Heading::Everywhere => arg.global(true),
            // `-h` is for what is needed every day.
            Heading::Amqp
            | Heading::Redis
            | Heading::Results
            | Heading::Bounds
            | Heading::Tasks => arg.hide_short_help(true),
            _ => arg,
        };
        match self.kind {
            Kind::Switch if self.is_on() => {
                let arg = arg.action(ArgAction::Set).value_name("BOOL");
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            Kind::Switch => arg.action(ArgAction::SetTrue),
            _ => arg.value_name(self.value).action(ArgAction::Set),
        }
    }

    /// Celery's own flags count seconds, bare; we ask for a unit everywhere else.
    pub(super) fn with_celerys_unit(&self, text: &str) -> String {
        match self.kind == Kind::Duration && !self.celery.is_empty() {
            true => with_celerys_unit(text),
            false => text.to_owned(),
        }
    }

    /// True for a switch that its flag can only turn off.
    fn is_on(&self) -> bool {
        self.default == "true"
    }
}

/// The setting of this key.
pub(crate) fn setting(key: &str) -> &'static Setting {
    settings().find(|setting| setting.key == key).expect("asked for by a constant")
}

/// Adds the flags under these headings.
pub(crate) fn with_flags(command: Command, headings: &[Heading]) -> Command {
    let wanted = settings().filter(|setting| headings.contains(&setting.heading));
    command.args(wanted.map(Setting::arg))
}

/// What the command line says: key and text.
pub(crate) fn flags(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for setting in settings() {
        let text = match setting.kind {
            Kind::Switch if !setting.is_on() => match matches.try_get_one::<bool>(setting.key) {
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
