//! The commands of Celery's command line that talk to workers, and what is to come of each.

/// What a command must have in common, asked of a Python worker and of Umbel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Same {
    /// Every character, but for the worker's name.
    Text,
    /// The keys of what is answered, and the types of its values.
    Shape,
    /// The exit status; what is told are facts about one worker.
    Status,
    /// Umbel does something else on purpose.
    Differs(&'static str),
}

/// One command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    pub(crate) line: &'static str,
    pub(crate) same: Same,
}

const fn text(line: &'static str) -> Command {
    Command { line, same: Same::Text }
}

const fn shape(line: &'static str) -> Command {
    Command { line, same: Same::Shape }
}

const fn status(line: &'static str) -> Command {
    Command { line, same: Same::Status }
}

const fn differs(line: &'static str, why: &'static str) -> Command {
    Command { line, same: Same::Differs(why) }
}

/// Asked of one worker each, in this order: later ones see what earlier ones did.
pub(crate) const TO_ONE: &[Command] = &[
    text("status"),
    text("inspect ping"),
    text("inspect active"),
    text("inspect reserved"),
    text("inspect scheduled"),
    text("inspect active_queues"),
    text("inspect query_task no-such-id another"),
    shape("inspect stats"),
    shape("inspect clock"),
    status("inspect registered"),
    status("inspect conf"),
    status("inspect report"),
    status("inspect memsample"),
    status("inspect memdump"),
    differs("inspect objgraph", "there are no Python objects to draw"),
    text("control revoke id-1"),
    text("control terminate SIGKILL id-2"),
    text("control revoke_by_stamped_headers tenant=acme"),
    text("inspect revoked"),
    text("control rate_limit tasks.add 5/s"),
    text("control rate_limit tasks.add 0"),
    text("control rate_limit tasks.add nonsense"),
    text("control rate_limit no.such.task 5/s"),
    text("control time_limit tasks.add 10 20"),
    text("control time_limit no.such.task 10 20"),
    text("control enable_events"),
    text("control disable_events"),
    text("control heartbeat"),
    text("control pool_grow 1"),
    text("control pool_shrink 1"),
    text("control add_consumer extra"),
    text("inspect active_queues"),
    text("control cancel_consumer extra"),
    text("inspect active_queues"),
    differs("control autoscale 3 1", "it needs no option at the start"),
    differs("control pool_restart", "it reads plugins and configuration again, without an option"),
];

/// Last of all: neither answers, both end.
pub(crate) const FAREWELL: Command = text("control shutdown");

/// Said to all workers; each text is in what is printed.
pub(crate) const TO_ALL: &[(&str, &[&str])] = &[
    ("status -t 5", &["umbel@lab: OK", "python@lab: OK", "2 nodes online."]),
    ("inspect ping -t 5", &["umbel@lab: OK", "python@lab: OK", "pong"]),
    ("graph workers", &["umbel@lab", "python@lab"]),
];
