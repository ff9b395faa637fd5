//! Sends tasks from inside a task. The plugin needs a grant that names them,
//! `allow = { submit = ["images.*"] }` in its table of the worker's configuration.
//!
//! ```no_run
//! use std::time::Duration;
//! use umbel_sdk::{Error, tasks};
//!
//! fn announce(customer: &str) -> Result<String, Error> {
//!     let later = tasks::options().queue("mail").countdown(Duration::from_secs(60));
//!     let id = tasks::submit_with("mail.welcome", &format!("[{customer:?}]"), "", &later)?;
//!     Ok(id)
//! }
//! ```

use std::time::Duration;

use crate::bindings::umbel::task::tasks as host;
use crate::types::{Error, Json};

pub use host::{Options, SubmitError};

/// Sends a task and gives its id. `args` is a JSON array, or empty for none.
pub fn submit(name: &str, args: &str) -> Result<String, SubmitError> {
    submit_with(name, args, "", &options())
}

/// Sends a task in a way of its own and gives its id. `args` is a JSON array and `kwargs` a JSON
/// object, or empty for none.
pub fn submit_with(
    name: &str,
    args: &str,
    kwargs: &str,
    options: &Options,
) -> Result<String, SubmitError> {
    host::submit(name, args, kwargs, options)
}

/// Sends a canvas: a signature in Celery's own form, as [`canvas`](crate::canvas) makes them. `args`,
/// a JSON array or empty for none, goes before the arguments of its own. Gives Celery's
/// `AsyncResult.as_tuple`, `[[id, parent], children]`.
pub fn apply(signature: &str, args: &str) -> Result<Json, SubmitError> {
    host::apply(signature, args)
}

/// Puts a canvas in this task's place, once the task returns [`Error::Ignore`]:
///
/// ```no_run
/// use umbel_sdk::{Error, canvas, tasks};
///
/// fn hand_over(x: i64) -> Result<i64, Error> {
///     tasks::replace(&canvas::task("tasks.add", &(x, 1))?.to_string())?;
///     Err(Error::Ignore)
/// }
/// ```
pub fn replace(signature: &str) -> Result<(), SubmitError> {
    host::replace(signature)
}

/// Adds a task or a canvas to the chord whose header this task is in; gives its result as [`apply`]
/// does.
pub fn add_to_chord(signature: &str) -> Result<Json, SubmitError> {
    host::add_to_chord(signature)
}

/// Nothing out of the ordinary; the methods change one thing each.
pub fn options() -> Options {
    Options::default()
}

impl Default for Options {
    fn default() -> Options {
        Options {
            queue: None,
            countdown_ms: None,
            expires_ms: None,
            priority: None,
            time_limit_ms: None,
            soft_time_limit_ms: None,
            ignore_result: None,
            headers: None,
        }
    }
}

impl Options {
    /// Goes to this queue.
    pub fn queue(self, name: impl Into<String>) -> Options {
        Options { queue: Some(name.into()), ..self }
    }

    /// May not run before so long.
    pub fn countdown(self, wait: Duration) -> Options {
        Options { countdown_ms: Some(milliseconds(wait)), ..self }
    }

    /// Must not start after so long.
    pub fn expires(self, after: Duration) -> Options {
        Options { expires_ms: Some(milliseconds(after)), ..self }
    }

    /// Goes before or after others in its queue; what the numbers mean is up to the broker.
    pub fn priority(self, priority: u8) -> Options {
        Options { priority: Some(priority), ..self }
    }

    /// Is ended after so long.
    pub fn time_limit(self, limit: Duration) -> Options {
        Options { time_limit_ms: Some(milliseconds(limit)), ..self }
    }

    /// Is ended after so long unless it takes that upon itself.
    pub fn soft_time_limit(self, limit: Duration) -> Options {
        Options { soft_time_limit_ms: Some(milliseconds(limit)), ..self }
    }

    /// Whether its result is dropped.
    pub fn ignore_result(self, ignore: bool) -> Options {
        Options { ignore_result: Some(ignore), ..self }
    }

    /// Has these headers beside Celery's, a JSON object.
    pub fn headers(self, headers: impl Into<Json>) -> Options {
        Options { headers: Some(headers.into()), ..self }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl SubmitError {
    /// What was refused, in one line.
    pub fn message(&self) -> &str {
        match self {
            SubmitError::Denied(what)
            | SubmitError::TooMany(what)
            | SubmitError::TooDeep(what)
            | SubmitError::Invalid(what) => what,
        }
    }
}

/// With `?`, what was not sent fails the task: as a `PermissionError` if the grant does not have it,
/// as a `ValueError` if it made no sense, as a `RuntimeError` if it was too much.
impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Error {
        let kind = match error {
            SubmitError::Denied(_) => "PermissionError",
            SubmitError::Invalid(_) => "ValueError",
            SubmitError::TooMany(_) | SubmitError::TooDeep(_) => "RuntimeError",
        };
        Error::failed(kind, error.message())
    }
}
