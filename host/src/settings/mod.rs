//! Flags, environment, file and defaults become `Settings`, once. The only reader of the
//! environment; every value knows where it came from.

mod file;
mod node;
mod plugins;
pub(crate) mod table;
pub(crate) mod units;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use umbel_task::policy::TaskPolicy;
use umbel_transport::address::{Address, Scheme};

pub(crate) use self::file::{File, nearest};
pub(crate) use self::node::host_name;
pub(crate) use self::plugins::PluginTable;
use self::table::{SETTINGS, Setting, setting};
use crate::fault::{Fault, redact};

/// The file that is read when nothing names another.
const DEFAULT_FILE: &str = "umbel.toml";

/// Everything an operator decides.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) broker: Address,
    /// `None`: results are not kept.
    pub(crate) results: Option<Address>,
    pub(crate) json: bool,
    pub(crate) queues: Vec<String>,
    pub(crate) concurrency: usize,
    pub(crate) prefetch_multiplier: u16,
    pub(crate) node: String,
    pub(crate) drain_timeout: Duration,
    pub(crate) task_events: bool,
    pub(crate) level: LogLevel,
    pub(crate) log_format: LogFormat,
    pub(crate) uid: Option<String>,
    pub(crate) gid: Option<String>,
    pub(crate) allow_root: bool,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) plugin_folder: PathBuf,
    /// `None`: the default for the user that runs.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) keep_going: bool,
    /// For every task that no table names.
    pub(crate) policy: TaskPolicy,
    pub(crate) plugins: Vec<PluginTable>,
    /// Each value as one would write it, and where it came from.
    pub(crate) shown: Vec<Shown>,
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

/// All that settings are made of.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) flags: Vec<(&'static str, String)>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) file: Option<File>,
}

impl Sources {
    /// Reads the process's environment, and the file that flag, variable or custom name.
    pub(crate) fn gather(
        flags: Vec<(&'static str, String)>,
        config: Option<PathBuf>,
    ) -> Result<Sources, Fault> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("UMBEL_"))
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(Fault::usage(format!("the variable {name} is not UTF-8"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let named = config.or_else(|| {
            let value = variables.iter().find(|(name, _)| name == "UMBEL_CONFIG");
            value.filter(|(_, path)| !path.is_empty()).map(|(_, path)| path.into())
        });
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(file::parse(&path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                let what = format!("cannot read the configuration {}: {error}", path.display());
                return Err(Fault::usage(what));
            }
        };
        Ok(Sources { flags, variables, file })
    }

    /// The text of a setting, from the strongest source that has one.
    fn find(&self, setting: &Setting) -> Found {
        let key = setting.key;
        if let Some((_, text)) = self.flags.iter().find(|(flag, _)| *flag == key) {
            return Found { key, text: text.clone(), origin: Origin::Flag(setting.long) };
        }
        let name = setting.variable();
        // An empty variable is one that somebody wanted out of the way.
        let value = self.variables.iter().find(|(n, value)| *n == name && !value.is_empty());
        if let Some((_, text)) = value {
            return Found { key, text: text.clone(), origin: Origin::Variable(name) };
        }
        if let Some(file) = &self.file
            && let Some(value) = file.values.iter().find(|value| value.key == key)
        {
            let origin = Origin::File { path: file.path.clone(), line: value.line };
            return Found { key, text: value.text.clone(), origin };
        }
        Found { key, text: setting.default.to_owned(), origin: Origin::Default }
    }
}

/// The text of one setting.
struct Found {
    key: &'static str,
    text: String,
    origin: Origin,
}

/// Turns texts into values and remembers what it did.
struct Resolver {
    sources: Sources,
    shown: Vec<Shown>,
}

impl Resolver {
    fn find(&self, key: &str) -> Found {
        self.sources.find(setting(key))
    }

    /// Reads a setting that has a default.
    fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let found = self.find(key);
        let value = read(&found.text).map_err(|why| found.fault(&why))?;
        self.show(&found, found.text.clone());
        Ok(value)
    }

    /// Reads a setting that may be absent.
    fn optional(&mut self, key: &str) -> Option<String> {
        let found = self.find(key);
        self.show(&found, found.text.clone());
        (!found.text.is_empty()).then_some(found.text)
    }

    /// Reads a path; one from the file is relative to the file's folder.
    fn path(&mut self, key: &str) -> Option<PathBuf> {
        let found = self.find(key);
        let path = found.origin.relative(Path::new(&found.text));
        self.show(&found, path.display().to_string());
        (!found.text.is_empty()).then_some(path)
    }

    fn switch(&mut self, key: &str) -> Result<bool, Fault> {
        let found = self.find(key);
        let on = values::switch(&found.text).map_err(|why| found.fault(&why))?;
        self.show(&found, on.to_string());
        Ok(on)
    }

    fn address(&mut self, key: &str) -> Result<Address, Fault> {
        let found = self.find(key);
        let mut address = Address::parse(&found.text)
            .map_err(|error| found.fault(&error.what).help(error.help))?;
        if address.scheme == Scheme::Sqlite {
            let path = found.origin.relative(Path::new(&address.path));
            address.path = path.display().to_string();
        }
        self.show(&found, address.to_string());
        Ok(address)
    }

    fn show(&mut self, found: &Found, value: String) {
        let shown = Shown { key: found.key, value, origin: found.origin.clone() };
        self.shown.push(shown);
    }

    /// Every value, once.
    fn settings(mut self) -> Result<Settings, Fault> {
        let broker = self.broker()?;
        let results = self.results(&broker)?;
        let policy = self.policy()?;
        let plugins = self.tables();
        let (node, pidfile) = self.identity()?;
        self.read("optimization", |text| match text {
            "fair" | "default" => Ok(()),
            other => Err(format!("`{other}` is neither `fair` nor `default`")),
        })?;
        Ok(Settings {
            broker,
            results,
            json: self.switch("json")?,
            queues: self.read("queues", values::queues)?,
            concurrency: self.read("concurrency", values::concurrency)?,
            prefetch_multiplier: self.read("prefetch-multiplier", values::multiplier)?,
            node,
            drain_timeout: self.read("drain-timeout", units::duration)?,
            task_events: self.switch("task-events")?,
            level: self.read("loglevel", values::level)?,
            log_format: self.read("log-format", values::log_format)?,
            uid: self.optional("uid"),
            gid: self.optional("gid"),
            allow_root: self.switch("allow-root")?,
            pidfile,
            plugin_folder: self.path("plugin-folder").unwrap_or_else(|| "plugins".into()),
            cache: self.path("cache"),
            keep_going: self.switch("keep-going")?,
            policy,
            plugins,
            shown: {
                let order = |key| SETTINGS.iter().position(|setting| setting.key == key);
                self.shown.sort_by_key(|shown| order(shown.key));
                self.shown
            },
        })
    }

    fn policy(&mut self) -> Result<TaskPolicy, Fault> {
        let mut policy = TaskPolicy::default();
        policy.sandbox.time = self.read("limits.time", values::time_limit)?;
        policy.sandbox.memory = self.read("limits.memory", units::size)?;
        policy.sandbox.fuel = self.read("limits.fuel", values::fuel)?;
        policy.sandbox.output = self.read("limits.output", units::size)?;
        policy.sandbox.log = self.read("limits.log", units::size)?;
        Ok(policy)
    }

    /// The file's `[plugins.NAME]`, their sources relative to its folder.
    fn tables(&mut self) -> Vec<PluginTable> {
        let Some(file) = &mut self.sources.file else { return Vec::new() };
        let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut tables = std::mem::take(&mut file.plugins);
        for table in &mut tables {
            table.source = table.source.take().map(|source| folder.join(source));
        }
        tables
    }

    /// The node's name, and the pidfile that may be named after it.
    fn identity(&mut self) -> Result<(String, Option<PathBuf>), Fault> {
        let found = self.find("hostname");
        let node = node::name(&found.text, &host_name()).map_err(|why| found.fault(&why))?;
        self.show(&found, node.clone());
        let Some(path) = self.path("pidfile") else { return Ok((node, None)) };
        let path = node::expand(&path.to_string_lossy(), &node)
            .map_err(|why| self.find("pidfile").fault(&why))?;
        Ok((node, Some(path.into())))
    }

    fn broker(&mut self) -> Result<Address, Fault> {
        let broker = self.address("broker")?;
        if broker.scheme == Scheme::Rpc {
            let fault = self.find("broker").fault("`rpc://` is a result backend, not a broker");
            return Err(fault.help("name a broker: amqp://, redis:// or sqlite://FILE"));
        }
        Ok(broker)
    }

    fn results(&mut self, broker: &Address) -> Result<Option<Address>, Fault> {
        let found = self.find("result-backend");
        let disabled = ["disabled", "disabled://", "off", "none"];
        if disabled.contains(&found.text.as_str()) {
            self.show(&found, "disabled".into());
            return Ok(None);
        }
        let results = match (found.text.is_empty(), broker.scheme) {
            (false, _) => self.address("result-backend")?,
            (true, Scheme::Amqp) => Address::parse("rpc://").expect("a constant"),
            (true, _) => broker.clone(),
        };
        if found.text.is_empty() {
            self.show(&found, results.to_string());
        }
        match results.scheme {
            Scheme::Amqp => Err(found
                .fault("`amqp://` is not a result backend")
                .help("results over RabbitMQ: write `rpc://`, as with Celery")),
            Scheme::Rpc if broker.scheme == Scheme::Sqlite => Err(found
                .fault("`rpc://` needs an amqp:// or redis:// broker")
                .help("leave the result backend out: results then go to the broker itself")),
            _ => Ok(Some(results)),
        }
    }
}

impl Found {
    fn fault(&self, why: &str) -> Fault {
        let key = self.key;
        // A URL's parser repeats nothing; the rest cannot hold a password, unless misplaced.
        let why = redact(why);
        match &self.origin {
            Origin::File { .. } => Fault::usage(format!("{}: `{key}`: {why}", self.origin)),
            origin => Fault::usage(format!("{origin}: {why}")),
        }
    }
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

/// Makes the settings, or says which value of which source is wrong.
pub(crate) fn resolve(sources: Sources) -> Result<Settings, Fault> {
    Resolver { sources, shown: Vec::new() }.settings()
}

/// A path that the system's own environment names.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
