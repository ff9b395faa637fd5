//! Who called, and how long there is.

use std::ops::Deref;
use std::time::Duration;

use crate::host;

/// The message that started this run, and the time that is left.
///
/// A task that wants it takes it as a parameter; it is no argument of the task's callers.
///
/// ```
/// #[umbel::tasks]
/// mod tasks {
///     use umbel::{Context, Error};
///
///     /// Succeeds when it is tried for the third time.
///     pub fn stubborn(ctx: &Context) -> umbel::Result<String> {
///         if ctx.retries < 2 {
///             return Err(Error::retry("not yet"));
///         }
///         Ok(format!("{} made it", ctx.id))
///     }
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    request: Request,
}

/// The message that started a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The task's id, unique to the message and kept by its retries.
    pub id: String,
    /// The name the task was called by.
    pub name: String,
    /// Positional arguments, a JSON array.
    pub args: String,
    /// Keyword arguments, a JSON object.
    pub kwargs: String,
    /// How often this task has been retried.
    pub retries: u32,
    /// Id of the first task of the workflow.
    pub root_id: String,
    /// Id of the task that sent this one.
    pub parent_id: Option<String>,
    /// Id of the group this task is a member of.
    pub group_id: Option<String>,
    /// This task's position in its group.
    pub group_index: Option<u32>,
    /// Not before this instant (ISO 8601).
    pub eta: Option<String>,
    /// Not after this instant (ISO 8601).
    pub expires: Option<String>,
    /// The hard time limit of this run in milliseconds.
    pub time_limit_ms: Option<u64>,
    /// The soft time limit of this run in milliseconds; none if it has none.
    pub soft_time_limit_ms: Option<u64>,
    /// Where the caller waits for the result, if it said so.
    pub reply_to: Option<String>,
    /// The caller's mark on request and result; the task id by default.
    pub correlation_id: String,
    /// How the message reached this worker.
    pub delivery: Delivery,
    /// The caller's own headers, a JSON object.
    pub headers: String,
    /// Stamps by name, a JSON object.
    pub stamps: String,
}

/// How a message reached its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The exchange it was published to; empty for a queue's own.
    pub exchange: String,
    /// The routing key it was published with.
    pub routing_key: String,
    /// The priority it was published with.
    pub priority: Option<u8>,
    /// True if it was handed out before, to this worker or to another one.
    pub redelivered: bool,
}

impl Context {
    /// The context of this run.
    pub fn current() -> Context {
        Context { request: current() }
    }

    /// The time until the hard limit ends this run.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(remaining_ms())
    }

    /// The time until the soft limit; none if this run has none.
    pub fn soft_remaining(&self) -> Option<Duration> {
        soft_remaining_ms().map(Duration::from_millis)
    }

    /// Takes the soft limit upon itself: it does not end this run any more. The task looks at the
    /// time, puts in order what it has begun, and returns before the hard limit ends it.
    pub fn take_soft_limit(&self) {
        take_soft_limit();
    }

    /// Tells whoever follows the task that so much of so much is done, as
    /// [`progress::report`](crate::progress::report) does.
    pub fn progress(&self, current: u64, total: u64) {
        crate::progress::report(current, total);
    }
}

/// What is known of the message: `ctx.id`, `ctx.retries`.
impl Deref for Context {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl Request {
    /// One of the caller's own headers.
    pub fn header(&self, name: &str) -> Option<serde_json::Value> {
        let mut headers: serde_json::Value = serde_json::from_str(&self.headers).ok()?;
        headers.get_mut(name).map(serde_json::Value::take)
    }
}

/// A request without arguments, for tests: `Request { retries: 2, ..Request::default() }`.
impl Default for Request {
    fn default() -> Request {
        let id = "00000000-0000-4000-8000-000000000000";
        Request {
            id: id.to_string(),
            name: "tests.task".to_string(),
            args: "[]".to_string(),
            kwargs: "{}".to_string(),
            retries: 0,
            root_id: id.to_string(),
            parent_id: None,
            group_id: None,
            group_index: None,
            eta: None,
            expires: None,
            time_limit_ms: None,
            soft_time_limit_ms: None,
            reply_to: None,
            correlation_id: id.to_string(),
            delivery: Delivery::default(),
            headers: "{}".to_string(),
            stamps: "{}".to_string(),
        }
    }
}

/// The message that started this run.
pub fn current() -> Request {
    host::context::current()
}

/// Milliseconds until the hard time limit ends this run.
pub fn remaining_ms() -> u64 {
    host::context::remaining_ms()
}

/// Milliseconds until the soft time limit; none if this run has none.
pub fn soft_remaining_ms() -> Option<u64> {
    host::context::soft_remaining_ms()
}

/// Takes the soft time limit upon itself, as [`Context::take_soft_limit`] does.
pub fn take_soft_limit() {
    host::context::take_soft_limit();
}
