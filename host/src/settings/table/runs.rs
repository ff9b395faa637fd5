//! What every run may use, and how the messages of every task are treated.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
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
        key: "limits.soft-time",
        long: "soft-time-limit",
        kind: Kind::Duration,
        value: "TIME",
        default: "off",
        celery: &["task_soft_time_limit"],
        heading: Heading::Limits,
        help: "Wall time after which a task that did not ask how long it has is stopped; one that \
               asked may go on to its time limit",
        ..BASE
    },
    Setting {
        key: "limits.cpu",
        long: "cpu-limit",
        kind: Kind::Duration,
        value: "TIME",
        default: "time",
        heading: Heading::Limits,
        help: "CPU time, of the task and of what the host does for it. `time`: as much as its time limit",
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
        kind: Kind::Amount,
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
    Setting {
        key: "limits.deliveries",
        long: "deliveries",
        kind: Kind::Amount,
        value: "N",
        default: "5",
        heading: Heading::Limits,
        help: "How often a message may be delivered to workers that die with it; then it is put \
               aside (see `umbel dead-letter`). `off`: without end",
        ..BASE
    },
    Setting {
        key: "limits.concurrency",
        long: "plugin-concurrency",
        kind: Kind::Amount,
        value: "N",
        default: "off",
        heading: Heading::Limits,
        help: "Runs of one plugin at once",
        ..BASE
    },
    Setting {
        key: "limits.progress",
        long: "progress-limit",
        kind: Kind::Count,
        value: "N",
        default: "100000",
        heading: Heading::Bounds,
        help: "Progress updates that are passed on; more are dropped and counted",
        ..BASE
    },
    Setting {
        key: "limits.host-calls",
        long: "host-calls-limit",
        kind: Kind::Count,
        value: "N",
        default: "100000000",
        heading: Heading::Bounds,
        help: "Calls of the host by one run",
        ..BASE
    },
    Setting {
        key: "limits.handles",
        long: "handles-limit",
        kind: Kind::Count,
        value: "N",
        default: "10000",
        heading: Heading::Bounds,
        help: "Handles of the host's that a run may hold at once: streams, files, timers",
        ..BASE
    },
    Setting {
        key: "limits.random",
        long: "random-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "16MiB",
        heading: Heading::Bounds,
        help: "Random bytes one run may draw",
        ..BASE
    },
    Setting {
        key: "limits.requests",
        long: "requests-limit",
        kind: Kind::Count,
        value: "N",
        default: "1000",
        heading: Heading::Bounds,
        help: "Requests a run may send out, redirects included",
        ..BASE
    },
    Setting {
        key: "limits.request-bytes",
        long: "request-bytes-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "64MiB",
        heading: Heading::Bounds,
        help: "Bytes a run may send and receive over the network",
        ..BASE
    },
    Setting {
        key: "limits.sockets",
        long: "sockets-limit",
        kind: Kind::Count,
        value: "N",
        default: "64",
        heading: Heading::Bounds,
        help: "Sockets and connections a run may have open at once",
        ..BASE
    },
    Setting {
        key: "limits.instances",
        long: "instances-limit",
        kind: Kind::Count,
        value: "N",
        default: "200",
        heading: Heading::Bounds,
        help: "Core instances a component may be made of",
        ..BASE
    },
    Setting {
        key: "limits.memories",
        long: "memories-limit",
        kind: Kind::Count,
        value: "N",
        default: "8",
        heading: Heading::Bounds,
        help: "Linear memories a component may have",
        ..BASE
    },
    Setting {
        key: "limits.tables",
        long: "tables-limit",
        kind: Kind::Count,
        value: "N",
        default: "16",
        heading: Heading::Bounds,
        help: "Tables a component may have",
        ..BASE
    },
    Setting {
        key: "limits.table-elements",
        long: "table-elements-limit",
        kind: Kind::Count,
        value: "N",
        default: "200000",
        heading: Heading::Bounds,
        help: "Elements one table may have",
        ..BASE
    },
    Setting {
        key: "limits.stack",
        long: "stack-limit",
        kind: Kind::Size,
        value: "SIZE",
        default: "512KiB",
        heading: Heading::Bounds,
        help: "Stack of one run. The same for every plugin: it cannot stand in a plugin's table",
        ..BASE
    },
    Setting {
        key: "tasks.acks",
        long: "acks",
        value: "WHEN",
        default: "late",
        heading: Heading::Tasks,
        help: "When a message is acknowledged. `late`: when its end is recorded, at least once; \
               `early`: when its run starts, at most once",
        ..BASE
    },
    Setting {
        key: "tasks.ack-on-failure",
        long: "ack-on-failure",
        kind: Kind::Switch,
        default: "true",
        heading: Heading::Tasks,
        help: "Acknowledge failed messages. `false`: they become dead letters",
        ..BASE
    },
    Setting {
        key: "tasks.ack-on-timeout",
        long: "ack-on-timeout",
        kind: Kind::Switch,
        default: "true",
        heading: Heading::Tasks,
        help: "Acknowledge messages that were stopped at a time limit. `false`: they are delivered \
               again",
        ..BASE
    },
    Setting {
        key: "tasks.retry.max",
        long: "retry-max",
        kind: Kind::Amount,
        value: "N",
        default: "3",
        heading: Heading::Tasks,
        help: "Retries of a task that names no number. `off`: without end",
        ..BASE
    },
    Setting {
        key: "tasks.retry.backoff",
        long: "retry-backoff",
        kind: Kind::Duration,
        value: "TIME",
        default: "3m",
        heading: Heading::Tasks,
        help: "Before the first retry that names no time; doubled for each further one",
        ..BASE
    },
    Setting {
        key: "tasks.retry.max-backoff",
        long: "retry-max-backoff",
        kind: Kind::Duration,
        value: "TIME",
        default: "10m",
        heading: Heading::Tasks,
        help: "The longest wait before a retry that names no time",
        ..BASE
    },
    Setting {
        key: "tasks.retry.jitter",
        long: "retry-jitter",
        kind: Kind::Switch,
        heading: Heading::Tasks,
        help: "Draw the wait before a retry at random, up to the computed one",
        ..BASE
    },
    Setting {
        key: "tasks.retry.kinds",
        long: "retry-kinds",
        kind: Kind::List,
        value: "LIST",
        heading: Heading::Tasks,
        help: "Kinds of failure that are retried without the task asking for it: exception names, \
               or `*` for all",
        ..BASE
    },
    Setting {
        key: "tasks.interrupted",
        long: "interrupted",
        value: "HOW",
        default: "requeue",
        heading: Heading::Tasks,
        help: "What becomes of a run that the worker's end cut off. `requeue`: its message goes \
               back as if it had never run; `retry`: it uses up a retry",
        ..BASE
    },
    Setting {
        key: "tasks.repeat-succeeded",
        long: "repeat-succeeded",
        kind: Kind::Switch,
        heading: Heading::Tasks,
        help: "Run a redelivered message even if its result is SUCCESS already",
        ..BASE
    },
    Setting {
        key: "tasks.track-started",
        long: "track-started",
        kind: Kind::Switch,
        celery: &["task_track_started"],
        heading: Heading::Tasks,
        help: "Store the state STARTED when a run starts",
        ..BASE
    },
    Setting {
        key: "tasks.ignore-result",
        long: "ignore-result",
        kind: Kind::Switch,
        celery: &["task_ignore_result"],
        heading: Heading::Tasks,
        help: "Store no results, unless the message says otherwise",
        ..BASE
    },
    Setting {
        key: "tasks.store-errors",
        long: "store-errors",
        kind: Kind::Switch,
        celery: &["task_store_errors_even_if_ignored"],
        heading: Heading::Tasks,
        help: "Store failures even where results are ignored",
        ..BASE
    },
    Setting {
        key: "tasks.rate-limit",
        long: "rate-limit",
        kind: Kind::Rate,
        value: "RATE",
        default: "off",
        celery: &["task_default_rate_limit"],
        heading: Heading::Tasks,
        help: "Runs of one task in a time, in this worker: `10/s`, `100/m`, `1000/h`",
        ..BASE
    },
    Setting {
        key: "tasks.concurrency",
        long: "task-concurrency",
        kind: Kind::Amount,
        value: "N",
        default: "off",
        heading: Heading::Tasks,
        help: "Runs of one task at once",
        ..BASE
    },
];
