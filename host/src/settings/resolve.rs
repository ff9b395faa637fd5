//! From texts to values, each once, remembering what it did.

use std::path::{Path, PathBuf};

use umbel_engine::Trust;
use umbel_protocol::body::{Content, Serializer};
use umbel_protocol::names::DEFAULT_QUEUE;
use umbel_task::policy::TaskPolicy;
use umbel_transport::address::{Address, Scheme};
use umbel_transport::amqp::AmqpOptions;
use umbel_transport::redis::{RedisOptions, StoreOptions};
use umbel_worker::Hop;

use super::passed;
use super::sources::Found;
use super::table::{self, Kind, Setting, setting};
use super::{
    Beat, Collector, Origin, PluginTable, ResultOptions, Settings, Shown, Sources, beat, collector,
    host_name, node, policy, queues, units, values,
};
use crate::compiling::Limits;
use crate::fault::{Fault, redact};
use crate::hardening::Mode;

/// Makes the settings, or says which value of which source is wrong.
pub(crate) fn resolve(sources: Sources) -> Result<Settings, Fault> {
    Resolver { sources, shown: Vec::new() }.settings()
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
        let (queues, default_queue) = self.queues()?;
        let result_options = self.result_options()?;
        let heartbeat = self.read("heartbeat-interval", values::time_limit)?;
        let heartbeat = (!self.switch("without-heartbeat")?).then_some(heartbeat);
        self.read("optimization", |text| match text {
            "fair" | "default" => Ok(()),
            other => Err(format!("`{other}` is neither `fair` nor `default`")),
        })?;
        Ok(Settings {
            broker,
            results,
            json: self.switch("json")?,
            amqp: self.amqp(result_options.store.content.serializer)?,
            result_options,
            redis: self.redis()?,
            queues,
            default_queue,
            routes: self.read("routes", values::pairs)?,
            accept: self.read("accept-content", values::accepted)?,
            concurrency: self.read("concurrency", values::concurrency)?,
            prefetch_multiplier: self.read("prefetch-multiplier", values::multiplier)?,
            hold_limit: self.read("hold-limit", values::hold_limit)?,
            remote_control: self.switch("remote-control")?,
            park_unknown: self.read("unknown", values::unknown)?,
            node,
            drain_timeout: self.read("drain-timeout", units::duration)?,
            task_events: self.switch("task-events")?,
            heartbeat,
            gossip: !self.switch("without-gossip")?,
            mingle: !self.switch("without-mingle")?,
            level: self.read("loglevel", values::level)?,
            log_format: self.read("log-format", values::log_format)?,
            http: self.read("http", |text| values::unless("", text, values::listen))?,
            collector: self.collector()?,
            uid: self.optional("uid"),
            gid: self.optional("gid"),
            allow_root: self.switch("allow-root")?,
            hardening: self.hardening()?,
            pidfile,
            plugin_folder: self.path("plugin-folder").unwrap_or_else(|| "plugins".into()),
            cache: self.path("cache"),
            plugin_sweep: self.read("plugin-sweep", values::time_limit)?,
            has_file: self.sources.file.is_some(),
            config_file: self.sources.path.clone(),
            keep_going: self.switch("keep-going")?,
            compile: Limits {
                memory: self.read("compile.memory", values::compile_memory)?,
                time: self.read("compile.time", values::compile_time)?,
            },
            trust: self.trust()?,
            policy,
            plugins,
            beat: self.beat()?,
            die_after: self.die_after()?,
            shown: {
                let order = |key| table::settings().position(|setting| setting.key == key);
                self.shown.sort_by_key(|shown| order(shown.key));
                self.shown
            },
        })
    }

    fn beat(&mut self) -> Result<Beat, Fault> {
        let zone = self.read("beat.timezone", beat::zone)?;
        let file = self.sources.file.as_mut();
        let entries = file.map(|file| std::mem::take(&mut file.beat)).unwrap_or_default();
        let store = match self.find("beat.store").text.is_empty() {
            true => self.optional("beat.store").and(None),
            false => Some(self.address("beat.store")?),
        };
        Ok(Beat {
            entries: entries.into_iter().map(|entry| entry.in_zone(&zone)).collect(),
            store,
            lease: self.read("beat.lease", values::lease)?,
            starting_deadline: self
                .read("beat.starting-deadline", |text| values::unless("", text, units::duration))?,
        })
    }

    fn collector(&mut self) -> Result<Option<Collector>, Fault> {
        let own = self.find("otlp-endpoint");
        let (collector, found) = collector::collector(own, &self.sources.variables);
        if let Some(collector) = collector.as_ref().filter(|collector| collector.ours) {
            collector::check(&collector.url)
                .map_err(|why| found.fault(&why).help(collector::HELP))?;
        }
        // A query may hold a key.
        let (shown, _) = found.text.split_once('?').unwrap_or((&found.text, ""));
        self.show(&found, redact(shown));
        Ok(collector)
    }

    fn hardening(&mut self) -> Result<Mode, Fault> {
        let mode = self.read("hardening", values::hardening)?;
        let required = self.switch("require-hardening")?;
        if required && mode == Mode::Off {
            let fault = self.find("hardening").fault("`off` is the contrary of what is required");
            return Err(fault.help("leave one of `hardening` and `require-hardening` out"));
        }
        Ok(if required { Mode::Require } else { mode })
    }

    fn trust(&mut self) -> Result<Trust, Fault> {
        let keys = self.read("plugins.trust", |text| {
            let keys = values::list(text);
            keys.iter().try_for_each(|key| Trust::check_key(key)).map(|()| keys)
        })?;
        let signed = self.switch("plugins.require-signature")?;
        let found = self.find("plugins.require-signature");
        if signed && keys.is_empty() && found.origin != Origin::Default {
            let fault = found.fault("no key is trusted, so no signature could hold");
            return Err(fault.help("name public keys of minisign: [plugins] trust = [\"RW…\"]"));
        }
        Ok(Trust { sha256: None, signed: signed && !keys.is_empty(), keys })
    }

    fn policy(&mut self) -> Result<TaskPolicy, Fault> {
        let mut policy = TaskPolicy::default();
        let of_policy =
            |setting: &&Setting| ["limits.", "tasks."].iter().any(|p| setting.key.starts_with(p));
        for setting in table::settings().filter(of_policy) {
            let found = self.sources.find(setting);
            policy::set(&mut policy, setting.key, &found.text).map_err(|why| found.fault(&why))?;
            let off = setting.kind == Kind::Switch && found.text.is_empty();
            let value = if off { "false".to_owned() } else { found.text.clone() };
            self.show(&found, value);
        }
        Ok(policy)
    }

    fn result_options(&mut self) -> Result<ResultOptions, Fault> {
        let duration = |text: &str| values::unless("", text, units::duration);
        let store = StoreOptions {
            content: Content {
                serializer: self.read("results.serializer", values::serializer)?,
                compression: self.read("results.compression", values::compression)?,
            },
            expires: self.read("results.expires", values::expiry)?,
            failure_expires: self.read("results.failure-expires", duration)?,
            chord_expires: self.read("results.chord-expires", duration)?,
            chord_join_timeout: self.read("results.chord-join-timeout", units::duration)?,
            chord_ordered: self.switch("results.chord-ordered")?,
            global_keyprefix: self.optional("results.key-prefix").unwrap_or_default(),
            master_name: self.master_name(),
        };
        Ok(ResultOptions { extended: self.switch("results.extended")?, store })
    }

    /// Sentinels of results know the server by the same name.
    fn master_name(&self) -> Option<String> {
        Some(self.find("redis.master-name").text).filter(|name| !name.is_empty())
    }

    fn redis(&mut self) -> Result<RedisOptions, Fault> {
        Ok(RedisOptions {
            visibility_timeout: self.read("redis.visibility-timeout", units::duration)?,
            global_keyprefix: self.optional("redis.key-prefix").unwrap_or_default(),
            master_name: self.optional("redis.master-name"),
            ..RedisOptions::default()
        })
    }

    /// The queues to take from, and the one where tasks go by default.
    fn queues(&mut self) -> Result<(Vec<String>, String), Fault> {
        let (taken, default) = (self.find("queues"), self.find("default-queue"));
        let file = self.sources.file.iter().flat_map(|file| &file.values);
        // What this one worker is told to take says nothing of where tasks go.
        let first = file
            .filter(|value| value.key == "queues")
            .find_map(|value| values::list(&value.text).into_iter().next());
        let default_queue = match default.text.as_str() {
            "" => first.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            named => named.to_owned(),
        };
        let queues = match values::list(&taken.text) {
            none if none.is_empty() && taken.origin != Origin::Default => {
                return Err(taken.fault("names no queue"));
            }
            none if none.is_empty() => vec![default_queue.clone()],
            queues => queues,
        };
        self.show(&taken, queues.join(","));
        self.show(&default, default_queue.clone());
        Ok((queues, default_queue))
    }

    fn amqp(&mut self, result_serializer: Serializer) -> Result<AmqpOptions, Fault> {
        let queues = self.sources.file.as_mut().map(|file| std::mem::take(&mut file.queues));
        Ok(AmqpOptions {
            connect_timeout: self.read("amqp.connect-timeout", values::time_limit)?,
            heartbeat: self.read("amqp.heartbeat", values::time_limit)?,
            queues: queues.unwrap_or_default(),
            queue_type: self.read("queue-type", queues::kind)?,
            max_priority: self
                .read("queue-max-priority", |text| values::unless("off", text, values::priority))?,
            accept_existing: self.switch("amqp.accept-existing")?,
            delayed_type: self.read("delayed-queue-type", queues::kind)?,
            dead_letter_queue: self.optional("amqp.dead-letter-queue"),
            result_serializer,
            result_persistent: self.switch("results.persistent")?,
            ..AmqpOptions::default()
        })
    }

    /// `UMBEL_DIE_AFTER=hop:task`, for tests of crashes alone.
    fn die_after(&self) -> Result<Option<(Hop, String)>, Fault> {
        let found = self.sources.variables.iter().find(|(name, _)| name == "UMBEL_DIE_AFTER");
        let Some((_, text)) = found.filter(|(_, text)| !text.is_empty()) else { return Ok(None) };
        let wrong = |why: &str| Fault::usage(format!("UMBEL_DIE_AFTER: {why}"));
        let (hop, task) = text.split_once(':').ok_or_else(|| wrong("write `hop:task`"))?;
        let hop = hop.parse().map_err(|why: String| wrong(&why))?;
        Ok(Some((hop, task.to_owned())))
    }

    /// The file's `[plugins.NAME]`, their sources relative to its folder.
    fn tables(&mut self) -> Vec<PluginTable> {
        let Some(file) = &mut self.sources.file else { return Vec::new() };
        let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut tables = std::mem::take(&mut file.plugins);
        for table in &mut tables {
            table.source = table.source.take().map(|source| folder.join(source));
            for version in &mut table.versions {
                version.source = folder.join(&version.source);
            }
            table.grants = table.allow.resolve(&folder, &passed);
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
