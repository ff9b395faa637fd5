//! How results are kept.

use super::{BASE, Heading, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "results.expires",
        long: "result-expires",
        kind: Kind::Duration,
        value: "TIME",
        default: "1d",
        celery: &["result_expires"],
        heading: Heading::Results,
        help: "How long results are kept; `never`: for good",
        ..BASE
    },
    Setting {
        key: "results.failure-expires",
        long: "result-failure-expires",
        kind: Kind::Duration,
        value: "TIME",
        celery: &["result_failure_expires"],
        heading: Heading::Results,
        help: "How long failures are kept [default: as other results]",
        ..BASE
    },
    Setting {
        key: "results.extended",
        long: "result-extended",
        kind: Kind::Switch,
        celery: &["result_extended"],
        heading: Heading::Results,
        help: "Keep the task's name, arguments, worker and queue with each result",
        ..BASE
    },
    Setting {
        key: "results.serializer",
        long: "result-serializer",
        value: "NAME",
        default: "json",
        celery: &["result_serializer"],
        heading: Heading::Results,
        help: "json, msgpack or yaml. Whoever reads results must be set to the same",
        ..BASE
    },
    Setting {
        key: "results.compression",
        long: "result-compression",
        value: "NAME",
        celery: &["result_compression"],
        heading: Heading::Results,
        help: "gzip, bzip2, lzma, brotli or zstd [default: none]",
        ..BASE
    },
    Setting {
        key: "results.persistent",
        long: "result-persistent",
        kind: Kind::Switch,
        celery: &["result_persistent"],
        heading: Heading::Results,
        help: "Let results over `rpc://` survive a restart of the server",
        ..BASE
    },
    Setting {
        key: "results.chord-join-timeout",
        long: "result-chord-join-timeout",
        kind: Kind::Duration,
        value: "TIME",
        default: "3s",
        celery: &["result_chord_join_timeout"],
        heading: Heading::Results,
        help: "How long the parts of a chord may take to be read once all of them have ended",
        ..BASE
    },
    Setting {
        key: "results.chord-expires",
        long: "result-chord-expires",
        kind: Kind::Duration,
        value: "TIME",
        celery: &["result_chord_expires"],
        heading: Heading::Results,
        help: "How long the bookkeeping of a chord is kept [default: as results]",
        ..BASE
    },
    Setting {
        key: "results.chord-ordered",
        long: "result-chord-ordered",
        kind: Kind::Switch,
        default: "true",
        heading: Heading::Results,
        help: "Redis: keep a chord's parts by position, not by when they came. The same for all \
               workers",
        ..BASE
    },
    Setting {
        key: "results.key-prefix",
        long: "result-key-prefix",
        value: "TEXT",
        heading: Heading::Results,
        help: "Redis: what the key of every result begins with, Celery's `global_keyprefix`",
        ..BASE
    },
];
