//! The answer to `stats` (PROTOCOL 7.5).

use umbel_value::{Map, Value};

/// What a worker tells of itself in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Runs that began, by task.
    pub total: Map,
    pub pid: u32,
    pub clock: u64,
    /// Seconds.
    pub uptime: u64,
    pub pool: Pool,
    /// As [`Server::to_value`] gives it.
    pub broker: Value,
    pub prefetch_count: u16,
    pub autoscaler: Option<Autoscaler>,
    /// `None` where the system does not tell.
    pub usage: Option<Usage>,
}

/// What runs tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    pub implementation: &'static str,
    pub slots: usize,
    pub active: usize,
    /// Runs that began.
    pub runs: u64,
    pub pid: u32,
    /// Seconds; 0 is none.
    pub soft_limit: f64,
    /// Seconds; 0 is none.
    pub hard_limit: f64,
}

/// Between what the number of slots may vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Autoscaler {
    pub max: usize,
    pub min: usize,
    pub current: usize,
    /// Runs at this moment.
    pub active: usize,
}

/// What the process used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds.
    pub user_time: f64,
    /// Seconds.
    pub system_time: f64,
    /// The most it ever had, in KiB.
    pub max_memory: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    /// Of 512 bytes, from storage and to it.
    pub blocks_read: u64,
    pub blocks_written: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

/// The server that messages come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    pub transport: &'static str,
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub virtual_host: String,
    pub tls: bool,
    /// Seconds.
    pub connect_timeout: f64,
    /// Seconds; 0 where there is no such thing.
    pub heartbeat: f64,
    /// The servers that are tried after this one.
    pub alternates: Vec<String>,
}

impl Stats {
    /// As clients read it.
    pub fn into_value(self) -> Value {
        let mut told: Map = [
            ("total", Value::Map(self.total)),
            ("pid", self.pid.into()),
            // Text here, a number everywhere else.
            ("clock", self.clock.to_string().into()),
            ("uptime", Value::from(self.uptime)),
            ("pool", self.pool.to_value()),
            ("broker", self.broker),
            ("prefetch_count", self.prefetch_count.into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
        if let Some(scaler) = self.autoscaler {
            told.insert("autoscaler".to_owned(), scaler.to_value());
        }
        let usage = self.usage.map_or_else(|| "N/A".into(), Usage::to_value);
        told.insert("rusage".to_owned(), usage);
        Value::Map(told)
    }
}

impl Pool {
    fn to_value(&self) -> Value {
        let share = format!("{:.2}", 1.0);
        let queues = Value::from([("total", 1.into()), ("active", count(self.active))]);
        let writes = Value::from([
            ("total", Value::from(self.runs)),
            ("avg", share.as_str().into()),
            ("all", share.as_str().into()),
            ("raw", self.runs.to_string().into()),
            ("strategy", "fair".into()),
            ("inqueues", queues),
        ]);
        Value::from([
            ("implementation", self.implementation.into()),
            ("max-concurrency", count(self.slots)),
            ("processes", vec![Value::from(self.pid)].into()),
            ("max-tasks-per-child", "N/A".into()),
            ("put-guarded-by-semaphore", false.into()),
            ("timeouts", vec![whole(self.soft_limit), whole(self.hard_limit)].into()),
            ("writes", writes),
        ])
    }
}

impl Autoscaler {
    fn to_value(self) -> Value {
        Value::from([
            ("max", count(self.max)),
            ("min", count(self.min)),
            ("current", count(self.current)),
            ("qty", count(self.active)),
        ])
    }
}

impl Usage {
    fn to_value(self) -> Value {
        let none = || Value::Int(0);
        Value::from([
            ("utime", self.user_time.into()),
            ("stime", self.system_time.into()),
            ("maxrss", Value::from(self.max_memory)),
            ("ixrss", none()),
            ("idrss", none()),
            ("isrss", none()),
            ("minflt", Value::from(self.minor_faults)),
            ("majflt", Value::from(self.major_faults)),
            ("nswap", none()),
            ("inblock", Value::from(self.blocks_read)),
            ("oublock", Value::from(self.blocks_written)),
            ("msgsnd", none()),
            ("msgrcv", none()),
            ("nsignals", none()),
            ("nvcsw", Value::from(self.voluntary_switches)),
            ("nivcsw", Value::from(self.involuntary_switches)),
        ])
    }
}

impl Server {
    /// As clients read it; there is no password in it.
    pub fn to_value(&self) -> Value {
        let alternates: Value = self.alternates.iter().map(Value::from).collect();
        let login = (self.transport == "amqp").then_some("PLAIN");
        Value::from([
            ("hostname", Value::from(&self.host)),
            ("userid", self.user.clone().into()),
            ("virtual_host", Value::from(&self.virtual_host)),
            ("port", self.port.into()),
            ("insist", false.into()),
            ("ssl", self.tls.into()),
            ("transport", self.transport.into()),
            ("connect_timeout", whole(self.connect_timeout)),
            ("transport_options", Value::Map(Map::new())),
            ("login_method", login.into()),
            ("uri_prefix", Value::Null),
            ("heartbeat", self.heartbeat.into()),
            ("failover_strategy", "round-robin".into()),
            ("alternates", alternates),
            ("credential_provider", Value::Null),
        ])
    }
}

/// Seconds, as somebody would write them.
fn whole(seconds: f64) -> Value {
    match seconds.fract() == 0.0 && seconds.abs() < 1e15 {
        true => Value::Int(seconds as i64),
        false => seconds.into(),
    }
}

fn count(value: usize) -> Value {
    u64::try_from(value).unwrap_or(u64::MAX).into()
}
