//! How RabbitMQ and Redis are used.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "queue-type",
        long: "queue-type",
        value: "TYPE",
        default: "classic",
        celery: &["task_default_queue_type"],
        heading: Heading::Amqp,
        help: "What queues are declared as, `classic` or `quorum`",
        ..BASE
    },
    Setting {
        key: "queue-max-priority",
        long: "queue-max-priority",
        kind: Kind::Amount,
        value: "N",
        default: "off",
        celery: &["task_queue_max_priority"],
        heading: Heading::Amqp,
        help: "Declare classic queues with priorities up to this one, 10 for example",
        ..BASE
    },
    Setting {
        key: "delayed-queue-type",
        long: "delayed-queue-type",
        value: "TYPE",
        default: "quorum",
        celery: &["broker_native_delayed_delivery_queue_type"],
        heading: Heading::Amqp,
        help: "What the queues are in which messages wait for their time, `classic` or `quorum`",
        ..BASE
    },
    Setting {
        key: "amqp.accept-existing",
        long: "accept-existing",
        kind: Kind::Switch,
        heading: Heading::Amqp,
        help: "Take from queues that exist with other arguments instead of refusing to start",
        ..BASE
    },
    Setting {
        key: "amqp.dead-letter-queue",
        long: "dead-letter-queue",
        value: "QUEUE",
        heading: Heading::Amqp,
        help: "A queue that a dead-letter exchange of yours fills: `umbel dead-letter` looks there too",
        ..BASE
    },
    Setting {
        key: "amqp.heartbeat",
        long: "heartbeat",
        kind: Kind::Duration,
        value: "TIME",
        default: "10s",
        celery: &["broker_heartbeat"],
        heading: Heading::Amqp,
        help: "A server that is silent for twice as long counts as gone",
        ..BASE
    },
    Setting {
        key: "amqp.connect-timeout",
        long: "connect-timeout",
        kind: Kind::Duration,
        value: "TIME",
        default: "4s",
        celery: &["broker_connection_timeout"],
        heading: Heading::Amqp,
        help: "How long dialling may take",
        ..BASE
    },
    Setting {
        key: "redis.visibility-timeout",
        long: "visibility-timeout",
        kind: Kind::Duration,
        value: "TIME",
        default: "1h",
        heading: Heading::Redis,
        help: "How long a message may be without a sign of life from its worker before another one \
               takes it. The same for all workers, Python's too",
        ..BASE
    },
    Setting {
        key: "redis.key-prefix",
        long: "key-prefix",
        value: "TEXT",
        heading: Heading::Redis,
        help: "What every key of the broker begins with, Celery's `global_keyprefix`",
        ..BASE
    },
    Setting {
        key: "redis.master-name",
        long: "master-name",
        value: "NAME",
        heading: Heading::Redis,
        help: "The name that sentinels know the server by",
        ..BASE
    },
];
