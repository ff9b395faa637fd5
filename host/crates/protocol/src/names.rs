//! Every queue, exchange, key, separator and built-in task that Celery or kombu spells.

use crate::message::Route;

/// The default queue, exchange and routing key.
pub const DEFAULT_QUEUE: &str = "celery";

/// Priority steps of the Redis transport, first served first.
pub const PRIORITY_STEPS: [u8; 4] = [0, 3, 6, 9];

/// Between a queue and its priority step, and between the fields of a binding.
pub const SEPARATOR: &str = "\x06\x16";

/// Hash of delivery tag to unacknowledged message.
pub const UNACKED: &str = "unacked";

/// Sorted set of delivery tags by time of delivery.
pub const UNACKED_INDEX: &str = "unacked_index";

/// What every result key begins with.
pub const RESULT_PREFIX: &str = "celery-task-meta-";

/// What a compressed result begins with; the content type, a zero byte and the data follow.
pub const COMPRESSED_RESULT: &[u8] = b"\0celery-compressed\0";

/// Where a task's result is stored and published.
pub fn result_key(id: &str) -> String {
    format!("{RESULT_PREFIX}{id}")
}

/// The binding table of an exchange on Redis.
pub fn binding_key(exchange: &str) -> String {
    format!("_kombu.binding.{exchange}")
}

/// The table of bindings that never expire, of an exchange on Redis.
pub fn permanent_binding_key(exchange: &str) -> String {
    format!("_kombu.binding_permanent.{exchange}")
}

/// A member of a binding table: routing key, pattern and queue.
pub fn binding(routing_key: &str, pattern: &str, queue: &str) -> String {
    format!("{routing_key}{SEPARATOR}{pattern}{SEPARATOR}{queue}")
}

/// The step that a priority falls into on Redis.
pub fn priority_step(priority: u8) -> u8 {
    PRIORITY_STEPS.into_iter().rfind(|step| *step <= priority).unwrap_or_default()
}

/// The list that holds a queue's messages of one priority on Redis.
pub fn queue_key(queue: &str, priority: u8) -> String {
    match priority_step(priority) {
        0 => queue.to_owned(),
        step => format!("{queue}{SEPARATOR}{step}"),
    }
}

/// The queue that a list on Redis belongs to.
pub fn queue_of_key(key: &str) -> &str {
    key.rsplit_once(SEPARATOR).map_or(key, |(queue, _)| queue)
}

/// How a client that is no worker names itself in `origin`.
pub fn client_origin(pid: u32, hostname: &str) -> String {
    format!("gen{pid}@{hostname}")
}

/// What every key of a group or chord begins with.
pub const GROUP_PREFIX: &str = "celery-taskset-meta-";

/// The keys of a chord's bookkeeping (PROTOCOL 4.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChordKeys {
    /// The group's result tuple, `{"result": tuple}`; only there for complex headers.
    pub group: String,
    /// The parts that ended, scored by position.
    pub joined: String,
    /// How many parts were added after the start.
    pub added: String,
    /// How many parts were there at the start.
    pub size: String,
    /// `<task id>:<score>` of each part that ended.
    pub recorded: String,
    /// Which of Celery's workers sends the body; [`CHORD_DONE`] once it was sent by anybody.
    pub claim: String,
    /// Which of our workers sends the body. Celery's do not know it.
    pub ours: String,
}

/// What a chord's claim holds once its body was sent.
pub const CHORD_DONE: &str = "done";

/// The keys of the chord of a group.
pub fn chord_keys(group: &str) -> ChordKeys {
    let group = format!("{GROUP_PREFIX}{group}");
    ChordKeys {
        joined: format!("{group}.j"),
        added: format!("{group}.t"),
        size: format!("{group}.s"),
        recorded: format!("{group}.d"),
        claim: format!("{group}.c"),
        ours: format!("{group}.umbel"),
        group,
    }
}

/// Returns the item `index` of its arguments, or all of them; the body of a replaced group.
pub const ACCUMULATE: &str = "celery.accumulate";
/// Calls the task of a signature for each item.
pub const MAP: &str = "celery.map";
/// Calls the task of a signature with each list of arguments.
pub const STARMAP: &str = "celery.starmap";
/// A starmap cut into parts.
pub const CHUNKS: &str = "celery.chunks";
/// What the signature of a group names as its task.
pub const GROUP: &str = "celery.group";
/// What the signature of a chain names as its task.
pub const CHAIN: &str = "celery.chain";
/// What the signature of a chord names as its task.
pub const CHORD: &str = "celery.chord";
/// Polls a chord's parts where the result store cannot count.
pub const CHORD_UNLOCK: &str = "celery.chord_unlock";
/// Deletes expired results where the result store does not.
pub const BACKEND_CLEANUP: &str = "celery.backend_cleanup";

/// Whether a task takes signatures as its arguments, by name or by position.
pub fn carries_signatures(task: &str) -> bool {
    [MAP, STARMAP, CHUNKS, CHORD_UNLOCK].contains(&task)
}

/// How many levels native delayed delivery has: the binary digits of a delay in seconds
/// (PROTOCOL 2.5).
pub const DELAY_LEVELS: u32 = 28;

/// The topic exchange that delayed messages come out of.
pub const DELAYED_DELIVERY: &str = "celery_delayed_delivery";

/// The exchange, and the queue bound to it, of a level of delayed delivery: 27 is entered, 0 left.
pub fn delayed_level(level: u32) -> String {
    format!("celery_delayed_{level}")
}

/// What binds a level's queue to the level's exchange: its digit is one, so the message waits.
pub fn delayed_wait_key(level: u32) -> String {
    format!("{}1.#", "*.".repeat(digits_before(level)))
}

/// What binds the next level's exchange, or the delivery exchange after level 0, to the level's
/// exchange: its digit is zero, so the message passes.
pub fn delayed_pass_key(level: u32) -> String {
    format!("{}0.#", "*.".repeat(digits_before(level)))
}

/// What binds a task queue to its exchange, and that to [`DELAYED_DELIVERY`].
pub fn delayed_binding_key(routing_key: &str) -> String {
    if routing_key.starts_with('#') { routing_key.to_owned() } else { format!("#.{routing_key}") }
}

/// Where a message goes that is to reach `routing_key` in so many seconds, which are capped at what
/// the levels can count (8.5 years).
pub fn delayed_route(seconds: u64, routing_key: &str) -> Route {
    let seconds = seconds.min((1 << DELAY_LEVELS) - 1);
    let mut key = String::with_capacity(2 * DELAY_LEVELS as usize + routing_key.len());
    for level in (0..DELAY_LEVELS).rev() {
        key.push_str(if seconds >> level & 1 == 1 { "1." } else { "0." });
    }
    key.push_str(undelayed(routing_key));
    Route { exchange: delayed_level(DELAY_LEVELS - 1), routing_key: key }
}

/// A routing key without the digits of a delay.
pub fn undelayed(routing_key: &str) -> &str {
    let digits = 2 * DELAY_LEVELS as usize;
    match routing_key.split_at_checked(digits) {
        Some((delay, rest))
            if delay.as_bytes().chunks_exact(2).all(|pair| matches!(pair, [b'0' | b'1', b'.'])) =>
        {
            rest
        }
        _ => routing_key,
    }
}

fn digits_before(level: u32) -> usize {
    (DELAY_LEVELS - 1).saturating_sub(level) as usize
}

/// The queue of one consumer of a broadcast.
pub fn broadcast_queue(id: &str) -> String {
    format!("bcast.{id}")
}

/// The exchange prefix of remote control unless `control_exchange` says otherwise.
pub const CONTROL: &str = "celery";

/// The fanout exchange that remote-control requests are sent to; `control` is usually [`CONTROL`].
pub fn control_exchange(control: &str) -> String {
    format!("{control}.pidbox")
}

/// The queue in which a worker takes remote-control requests.
pub fn control_queue(node: &str, control: &str) -> String {
    format!("{node}.{control}.pidbox")
}

/// The direct exchange that replies to remote-control requests are sent to.
pub fn reply_exchange(control: &str) -> String {
    format!("reply.{control}.pidbox")
}

/// The queue in which a client, known by its `oid`, takes replies; the `oid` is its routing key.
pub fn reply_queue(oid: &str, control: &str) -> String {
    format!("{oid}.reply.{control}.pidbox")
}

/// The exchange that events are sent to.
pub const EVENT_EXCHANGE: &str = "celeryev";

/// The queue in which a receiver of events takes them.
pub fn event_queue(id: &str) -> String {
    format!("{EVENT_EXCHANGE}.{id}")
}

/// The channel on which a fanout exchange's messages are published on Redis.
pub fn fanout_channel(database: i64, exchange: &str, routing_key: &str) -> String {
    let slash = if routing_key.is_empty() { "" } else { "/" };
    format!("/{database}.{exchange}{slash}{routing_key}")
}

/// Whether a queue is nobody's for tasks: remote control, events, replies and results, what delays
/// messages, and names that are keys of something else on Redis.
pub fn is_reserved_queue(queue: &str) -> bool {
    const BEGINNINGS: [&str; 9] = [
        EVENT_EXCHANGE,
        RESULT_PREFIX,
        GROUP_PREFIX,
        UNACKED,
        "celery_delayed_",
        "_kombu.",
        "umbel.",
        "amq.",
        "bcast.",
    ];
    queue.is_empty()
        || queue.ends_with(".pidbox")
        || queue.contains(SEPARATOR)
        || BEGINNINGS.iter().any(|beginning| queue.starts_with(beginning))
        // A client takes its replies and results under a name like this.
        || uuid::Uuid::try_parse(queue).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_fall_into_steps() {
        for (priority, key) in [
            (0, "q"),
            (1, "q"),
            (3, "q\x06\x163"),
            (5, "q\x06\x163"),
            (6, "q\x06\x166"),
            (9, "q\x06\x169"),
            (12, "q\x06\x169"),
        ] {
            assert_eq!(queue_key("q", priority), key);
            assert_eq!(queue_of_key(key), "q");
        }
    }

    #[test]
    fn the_default_binding_is_kombus() {
        assert_eq!(binding("celery", "", "celery"), "celery\x06\x16\x06\x16celery");
    }

    #[test]
    fn a_delay_is_written_in_binary_before_the_key() {
        for (seconds, key, expected) in [
            (1, "q", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.q"),
            (5, "a.b", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1.a.b"),
            (86_400, "q", "0.0.0.0.0.0.0.0.0.0.0.1.0.1.0.1.0.0.0.1.1.0.0.0.0.0.0.0.q"),
            (u64::MAX, "q", "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.q"),
        ] {
            let route = delayed_route(seconds, key);
            assert_eq!(
                (route.exchange.as_str(), route.routing_key.as_str()),
                ("celery_delayed_27", expected)
            );
            assert_eq!(undelayed(expected), key);
            assert_eq!(delayed_route(seconds, expected), route, "an earlier delay is taken off");
        }
    }

    #[test]
    fn a_key_without_a_delay_stays() {
        for key in ["", "q", "0.1.q", "ä.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.q"]
        {
            assert_eq!(undelayed(key), key);
        }
    }

    #[test]
    fn levels_are_bound_by_their_digit() {
        assert_eq!(delayed_wait_key(27), "1.#");
        assert_eq!(delayed_pass_key(25), "*.*.0.#");
        assert_eq!(delayed_pass_key(0), format!("{}0.#", "*.".repeat(27)));
        assert_eq!(delayed_binding_key("qq"), "#.qq");
        assert_eq!(delayed_binding_key("#"), "#");
    }

    #[test]
    fn queues_that_are_not_for_tasks_are_told_from_those_that_are() {
        for (queue, reserved) in [
            ("celery", false),
            ("images.high", false),
            ("pidbox", false),
            ("", true),
            ("celery.pidbox", true),
            ("w1@lab.celery.pidbox", true),
            ("oid.reply.celery.pidbox", true),
            ("celeryev", true),
            ("celeryev.4f1c", true),
            ("8d61a6d6-6a2f-3a43-b9d6-7d8c4ad6a2a1", true),
            ("celery-task-meta-8d61", true),
            ("celery-taskset-meta-8d61.j", true),
            ("unacked_index", true),
            ("_kombu.binding.celery", true),
            ("celery_delayed_27", true),
            ("celery\x06\x163", true),
            ("amq.gen-x", true),
        ] {
            assert_eq!(is_reserved_queue(queue), reserved, "{queue}");
        }
    }

    #[test]
    fn the_rest_is_spelled_as_celery_does() {
        for (name, expected) in [
            (chord_keys("g").claim, "celery-taskset-meta-g.c"),
            (control_exchange(CONTROL), "celery.pidbox"),
            (control_queue("w1@lab", CONTROL), "w1@lab.celery.pidbox"),
            (reply_exchange(CONTROL), "reply.celery.pidbox"),
            (reply_queue("oid", CONTROL), "oid.reply.celery.pidbox"),
            (broadcast_queue("id"), "bcast.id"),
            (fanout_channel(0, "celery.pidbox", ""), "/0.celery.pidbox"),
            (fanout_channel(0, EVENT_EXCHANGE, "task.multi"), "/0.celeryev/task.multi"),
        ] {
            assert_eq!(name, expected);
        }
    }
}
