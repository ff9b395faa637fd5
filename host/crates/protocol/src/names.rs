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

/// Where a task's result is stored and published.
pub fn result_key(id: &str) -> String {
    format!("celery-task-meta-{id}")
}

/// The binding table of an exchange on Redis.
pub fn binding_key(exchange: &str) -> String {
    format!("_kombu.binding.{exchange}")
}

/// The table of bindings that never expire, of an exchange on Redis.
pub fn permanent_binding_key(exchange: &str) -> String {
    format!("_kombu.binding_permanent.{exchange}")
}
