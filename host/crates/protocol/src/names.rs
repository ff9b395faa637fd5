//! Every queue, exchange, key and separator that Celery or kombu spells.

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

/// Lock of those who restore abandoned messages.
pub const UNACKED_MUTEX: &str = "unacked_mutex";

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
}
