//! Flags, environment, file and defaults become `Settings`, once. The only reader of the
//! environment; every value knows where it came from.

mod beat;
mod collector;
mod file;
mod grants;
mod node;
mod plugins;
mod policy;
mod queues;
mod resolve;
mod sources;
pub(crate) mod table;
pub(crate) mod units;
pub(crate) mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use umbel_engine::Trust;
use umbel_protocol::body::Serializer;
use umbel_task::policy::TaskPolicy;
use umbel_transport::address::Address;
use umbel_transport::amqp::AmqpOptions;
use umbel_transport::redis::{RedisOptions, StoreOptions};
use umbel_worker::Hop;

pub(crate) use self::beat::BeatEntry;
pub(crate) use self::collector::Collector;
#[cfg(feature = "opentelemetry")]
pub(crate) use self::collector::{
    HELP as COLLECTOR_HELP, PROTOCOL as TRACES_PROTOCOL, check as check_collector,
};
pub(crate) use self::file::nearest;
pub(crate) use self::node::host_name;
pub(crate) use self::plugins::PluginTable;
pub(crate) use self::policy::Changes;
pub(crate) use self::resolve::resolve;
pub(crate) use self::sources::Sources;
use crate::compiling::Limits;
use crate::hardening::Mode;

/// Everything an operator decides.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) broker: Address,
    /// `None`: results are not kept.
    pub(crate) results: Option<Address>,
    pub(crate) json: bool,
    pub(crate) result_options: ResultOptions,
    pub(crate) amqp: AmqpOptions,
    pub(crate) redis: RedisOptions,
    pub(crate) queues: Vec<String>,
    /// Where tasks go that name no queue and match no route.
    pub(crate) default_queue: String,
    /// Task names, with `*` for any text, and their queues.
    pub(crate) routes: Vec<(String, String)>,
    pub(crate) accept: Vec<Serializer>,
    pub(crate) concurrency: usize,
    pub(crate) prefetch_multiplier: u16,
    pub(crate) hold_limit: usize,
    pub(crate) remote_control: bool,
    /// Keep messages of unknown tasks instead of rejecting them.
    pub(crate) park_unknown: bool,
    pub(crate) node: String,
    pub(crate) drain_timeout: Duration,
    pub(crate) task_events: bool,
    /// `None`: no signs of life.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) gossip: bool,
    pub(crate) mingle: bool,
    pub(crate) level: LogLevel,
    pub(crate) log_format: LogFormat,
    /// Where metrics and health are served, if anywhere.
    pub(crate) http: Option<SocketAddr>,
    /// `None`: nobody collects traces.
    pub(crate) collector: Option<Collector>,
    pub(crate) uid: Option<String>,
    pub(crate) gid: Option<String>,
    pub(crate) allow_root: bool,
    pub(crate) hardening: Mode,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) plugin_folder: PathBuf,
    /// How often plugins and configuration are looked at if nobody says that they changed.
    pub(crate) plugin_sweep: Duration,
    /// Where the configuration was read, or would have been.
    pub(crate) config_file: PathBuf,
    /// It was there.
    pub(crate) has_file: bool,
    /// `None`: the default for the user that runs.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) keep_going: bool,
    /// What compiling one component may cost.
    pub(crate) compile: Limits,
    /// What must hold of every plugin's file.
    pub(crate) trust: Trust,
    /// For every task that no table names.
    pub(crate) policy: TaskPolicy,
    pub(crate) plugins: Vec<PluginTable>,
    pub(crate) beat: Beat,
    /// For tests of crashes: the hop and the task after which the process ends.
    pub(crate) die_after: Option<(Hop, String)>,
    /// Each value as one would write it, and where it came from.
    pub(crate) shown: Vec<Shown>,
}

/// What is sent on schedule.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    /// By name.
    pub(crate) entries: Vec<BeatEntry>,
    /// Where the last runs are noted, if not where it is by default.
    pub(crate) store: Option<Address>,
    /// How long a leader may be silent.
    pub(crate) lease: Duration,
    /// Missed runs of a crontab that are older are let go.
    pub(crate) starting_deadline: Option<Duration>,
}

/// How results are kept.
#[derive(Clone, Debug)]
pub(crate) struct ResultOptions {
    /// With the task's name, its arguments, worker and queue.
    pub(crate) extended: bool,
    pub(crate) store: StoreOptions,
}

/// Celery's level names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    /// `critical` and `fatal`: nothing we say is that loud.
    Critical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Variable(String),
    File { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(long) => write!(f, "--{long}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One line of `--show-config`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Origin {
    /// Paths in the file are relative to its folder, others to the current one.
    fn relative(&self, path: &Path) -> PathBuf {
        match self {
            Origin::File { path: file, .. } => file.parent().unwrap_or(Path::new("")).join(path),
            _ => path.to_owned(),
        }
    }
}

/// A variable that the operator passes on to a plugin.
fn passed(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

/// A path that the system's own environment names.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
