//! What a task may use and how its messages are treated.

use std::time::Duration;

/// Everything decided about one task by its operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskPolicy {
    pub sandbox: Sandbox,
    pub handling: Handling,
}

/// What a run may use; read by the engine alone. All finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// Hard limit on wall time, blocked time included.
    pub time: Duration,
    /// Soft limit on wall time: ends a run that did not take it upon itself to end in time.
    pub soft_time: Option<Duration>,
    /// CPU time of the guest and of host calls on its behalf; `None` is as long as `time`.
    pub cpu: Option<Duration>,
    /// Bytes of linear memory, all memories of the component together.
    pub memory: u64,
    /// Units of fuel; `None` is unmetered.
    pub fuel: Option<u64>,
    /// Bytes of the result as JSON.
    pub output: u64,
    /// Bytes of log and captured output; more is dropped and counted.
    pub log: u64,
    /// Progress updates that are passed on; more are dropped and counted.
    pub progress: u32,
    /// Calls of the host.
    pub host_calls: u64,
    /// Handles of the host's held at once: streams, descriptors, pollables.
    pub handles: u32,
    /// Bytes of randomness.
    pub random: u64,
    /// Requests sent out, redirects included.
    pub requests: u32,
    /// Bytes of requests, their answers, and of sockets, both ways together.
    pub request_bytes: u64,
    /// Sockets and connections open at once.
    pub sockets: u32,
    /// Core instances of the component.
    pub instances: u32,
    /// Linear memories of the component.
    pub memories: u32,
    /// Tables of the component.
    pub tables: u32,
    /// Elements of one table.
    pub table_elements: u32,
    /// Bytes of wasm stack. One value for the whole engine.
    pub stack: u64,
}

impl Sandbox {
    /// The CPU time that ends a run.
    pub fn cpu(&self) -> Duration {
        self.cpu.map_or(self.time, |cpu| cpu.min(self.time))
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(300),
            soft_time: None,
            cpu: None,
            memory: 256 << 20,
            fuel: None,
            output: 8 << 20,
            log: 64 << 10,
            progress: 100_000,
            host_calls: 100_000_000,
            handles: 10_000,
            random: 16 << 20,
            requests: 1000,
            request_bytes: 64 << 20,
            sockets: 64,
            instances: 200,
            memories: 8,
            tables: 16,
            table_elements: 200_000,
            stack: 512 << 10,
        }
    }
}

/// How a task's messages are treated; read by the worker alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Handling {
    pub acks: Acks,
    /// Late only: a failed message is acknowledged; otherwise it becomes a dead letter.
    pub ack_on_failure: bool,
    /// Late only: a message stopped at a time limit is acknowledged; otherwise it is delivered again.
    pub ack_on_timeout: bool,
    pub retry: Retry,
    /// What becomes of a run that the worker cut off.
    pub interrupted: Interrupted,
    /// Deliveries that took their worker down before the message is put aside; `None` is no limit.
    pub deliveries: Option<u32>,
    /// Run a redelivered message even if its result is SUCCESS already.
    pub repeat_succeeded: bool,
    /// Store STARTED when a run starts.
    pub track_started: bool,
    /// Store nothing, unless the message says otherwise.
    pub ignore_result: bool,
    /// Store failures even where results are ignored.
    pub store_errors: bool,
    pub rate_limit: Option<Rate>,
    /// Runs of this task at once.
    pub concurrency: Option<u32>,
    /// Runs of this task's plugin at once.
    pub plugin_concurrency: Option<u32>,
    pub submit: Submit,
}

impl Default for Handling {
    fn default() -> Self {
        Self {
            acks: Acks::Late,
            ack_on_failure: true,
            ack_on_timeout: true,
            retry: Retry::default(),
            interrupted: Interrupted::Requeue,
            deliveries: Some(5),
            repeat_succeeded: false,
            track_started: false,
            ignore_result: false,
            store_errors: false,
            rate_limit: None,
            concurrency: None,
            plugin_concurrency: None,
            submit: Submit::default(),
        }
    }
}

/// What becomes of a run that the worker cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Its message goes back, as if it had never run.
    Requeue,
    /// It is retried, and a retry is used up.
    Retry,
}

/// So many runs in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At least one run; fractions come from "10/m".
    pub per_second: f64,
}

/// Which tasks a task may send. Nothing by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Names, with `*` for any text. Empty: the interface is not granted.
    pub names: Vec<String>,
    /// Queues it may name, with `*` for any text, beside the one where a task goes anyway.
    pub queues: Vec<String>,
    /// Messages in one run.
    pub count: u32,
    /// Generations of tasks that send tasks.
    pub depth: u32,
}

impl Default for Submit {
    fn default() -> Self {
        Self { names: Vec::new(), queues: Vec::new(), count: 1000, depth: 16 }
    }
}

impl Submit {
    /// Whether a task of this name may be sent.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether a task may be sent to this queue although it does not usually go there.
    pub fn allows_queue(&self, queue: &str) -> bool {
        self.queues.iter().any(|pattern| matches(pattern, queue))
    }
}

/// Whether a name fits a pattern, in which `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return name.ends_with(piece);
        }
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// When a message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// When its end is recorded: at least once.
    Late,
    /// When its run starts: at most once.
    Early,
}

/// What a retry that names no number gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    pub max: Option<u32>,
    /// Before the first retry; doubled for each further one.
    pub backoff: Duration,
    pub max_backoff: Duration,
    /// Draw the wait at random between nothing and the computed one.
    pub jitter: bool,
    /// Kinds of failure that are retried without the task asking for it: exception names, `*` for
    /// all.
    pub kinds: Vec<String>,
}

impl Default for Retry {
    fn default() -> Self {
        // Celery's `max_retries` and `default_retry_delay`.
        Self {
            max: Some(3),
            backoff: Duration::from_secs(180),
            max_backoff: Duration::from_secs(600),
            jitter: false,
            kinds: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_pattern_stands_for_any_text() {
        let table = [
            ("images.*", "images.make_thumb", true),
            ("images.*", "images.", true),
            ("images.*", "image.make_thumb", false),
            ("*", "", true),
            ("*.add", "tasks.add", true),
            ("*.add", "tasks.add2", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("tasks.add", "tasks.add", true),
            ("tasks.add", "tasks.ad", false),
            ("aa*aa", "aaa", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
