//! What every run may use.

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
