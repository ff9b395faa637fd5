//! Where messages come from, where results go, how much is taken at once.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
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
               TLS), sentinel://HOST?master_name=NAME, or sqlite://FILE, which needs no server. \
               Several with `;` between are tried in turn; TLS files are named by ssl_ca_certs=, \
               ssl_certfile= and ssl_keyfile= in the query",
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
        short: Some('j'),
        kind: Kind::Switch,
        heading: Heading::Everywhere,
        help: "Print JSON for programs",
        ..BASE
    },
    Setting {
        key: "queues",
        long: "queues",
        short: Some('Q'),
        kind: Kind::Queues,
        value: "LIST",
        help: "Queues to take from, separated by commas; in the file, a queue may be a table that \
               says how to declare it [default: the default queue]",
        ..BASE
    },
    Setting {
        key: "default-queue",
        long: "default-queue",
        value: "QUEUE",
        celery: &["task_default_queue"],
        help: "Where tasks are sent that name no queue and match no route [default: the first of \
               the file's `queues`, or celery]",
        ..BASE
    },
    Setting {
        key: "routes",
        long: "routes",
        kind: Kind::Pairs,
        value: "LIST",
        celery: &["task_routes"],
        help: "Where tasks are sent by name, `images.*=pictures,…`; a table in the file. The first \
               match counts",
        ..BASE
    },
    Setting {
        key: "accept-content",
        long: "accept-content",
        kind: Kind::List,
        value: "LIST",
        default: "json,msgpack,yaml",
        celery: &["accept_content"],
        help: "Serializers of messages that are opened; others are refused. Pickle always is",
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
        key: "hold-limit",
        long: "hold-limit",
        kind: Kind::Count,
        value: "N",
        default: "1000",
        help: "Messages that may wait here for their time; more are given back to the broker to \
               wait there",
        ..BASE
    },
    Setting {
        key: "unknown",
        long: "unknown",
        value: "HOW",
        default: "reject",
        help: "What becomes of a message whose task nobody here has: `reject` stores NotRegistered \
               and rejects it, `park` keeps it until a plugin brings the name",
        ..BASE
    },
    Setting {
        key: "hostname",
        long: "hostname",
        short: Some('n'),
        value: "NAME",
        default: "umbel@%h",
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
        key: "remote-control",
        long: "remote-control",
        kind: Kind::Switch,
        default: "true",
        celery: &["worker_enable_remote_control"],
        help: "Listen to remote control",
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
        help: "Tell monitors of every task from the start; otherwise once one asks for it",
        ..BASE
    },
    Setting {
        key: "heartbeat-interval",
        long: "heartbeat-interval",
        kind: Kind::Duration,
        value: "TIME",
        default: "2s",
        celery: &["worker_heartbeat_interval"],
        help: "How often to tell monitors that this worker lives; a bare number is seconds",
        ..BASE
    },
    Setting {
        key: "without-heartbeat",
        long: "without-heartbeat",
        kind: Kind::Switch,
        help: "Give monitors no signs of life",
        ..BASE
    },
    Setting {
        key: "without-gossip",
        long: "without-gossip",
        kind: Kind::Switch,
        help: "Do not listen to other workers' events",
        ..BASE
    },
    Setting {
        key: "without-mingle",
        long: "without-mingle",
        kind: Kind::Switch,
        help: "Do not ask other workers at the start which tasks are revoked",
        ..BASE
    },
];
