//! What holds of the whole schedule.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "beat.timezone",
        long: "timezone",
        value: "NAME",
        default: "UTC",
        celery: &["timezone"],
        heading: Heading::Beat,
        help: "The time zone of crontabs that name none",
        ..BASE
    },
    Setting {
        key: "beat.store",
        long: "beat-store",
        kind: Kind::Url,
        value: "URL",
        heading: Heading::Beat,
        help: "Where to note what was sent: redis:// or sqlite:// [default: the broker; the result \
               backend if that is RabbitMQ]",
        ..BASE
    },
    Setting {
        key: "beat.lease",
        long: "beat-lease",
        kind: Kind::Duration,
        value: "TIME",
        default: "10s",
        heading: Heading::Beat,
        help: "How long one of several beats may be silent before another one takes over",
        ..BASE
    },
    Setting {
        key: "beat.starting-deadline",
        long: "starting-deadline",
        kind: Kind::Duration,
        value: "TIME",
        celery: &["beat_cron_starting_deadline"],
        heading: Heading::Beat,
        help: "Do not make up for runs of a crontab that were missed longer ago than this [default: \
               make up for one, however old]",
        ..BASE
    },
];
