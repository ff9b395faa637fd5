//! Sends tasks from inside a task. The plugin needs a grant that names them,
//! `allow = { submit = ["mail.*"] }` in its table of the worker's configuration.
//!
//! ```
//! use std::time::Duration;
//! use umbel::tasks;
//!
//! fn announce(customer: &str) -> umbel::Result<String> {
//!     tasks::submit("crm.note", &(customer, "signed up"))?;
//!     let later = tasks::options().queue("mail").countdown(Duration::from_secs(60));
//!     let id = tasks::submit_with("mail.welcome", &[customer], &(), &later)?;
//!     Ok(id)
//! }
//! # announce("ada").unwrap();
//! ```

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use crate::host;
use crate::json::{self, Value};

/// How a task is sent. Nothing set: as tasks of its name usually are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The queue it goes to.
    pub queue: Option<String>,
    /// Milliseconds to wait before it may run.
    pub countdown_ms: Option<u64>,
    /// Milliseconds from now after which it must not start any more.
    pub expires_ms: Option<u64>,
    /// Its priority; what the numbers mean is up to the broker.
    pub priority: Option<u8>,
    /// Its hard time limit in milliseconds.
    pub time_limit_ms: Option<u64>,
    /// Its soft time limit in milliseconds.
    pub soft_time_limit_ms: Option<u64>,
    /// True: its result is not stored.
    pub ignore_result: Option<bool>,
    /// Headers of the sender's own, a JSON object.
    pub headers: Option<String>,
}

/// Why nothing was sent. Each case says in one line what it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The plugin's grant does not have this name.
    Denied(String),
    /// This run has sent as many tasks as it may, or as many bytes.
    TooMany(String),
    /// Tasks that send tasks that send tasks: one more would be one too many.
    TooDeep(String),
    /// What was given makes no sense: no JSON, no signature, no such chord.
    Invalid(String),
}

/// Sends a task and gives its id. The arguments are a tuple, a list, or anything else that is a JSON
/// array; `()` for none.
pub fn submit(name: &str, args: &(impl Serialize + ?Sized)) -> Result<String, SubmitError> {
    submit_with(name, args, &(), &options())
}

/// Sends a task in a way of its own and gives its id. Keyword arguments are a struct, a map, or
/// anything else that is a JSON object; `()` for none.
pub fn submit_with(
    name: &str,
    args: &(impl Serialize + ?Sized),
    kwargs: &(impl Serialize + ?Sized),
    options: &Options,
) -> Result<String, SubmitError> {
    host::tasks::submit(name, &text(args)?, &text(kwargs)?, options)
}

/// Sends a canvas: a [`Signature`](crate::canvas::Signature), or its JSON text in Celery's own form.
/// `args` go before the arguments of its own, `()` for none. Gives Celery's `AsyncResult.as_tuple`,
/// `[[id, parent], children]`.
pub fn apply(
    signature: impl Display,
    args: &(impl Serialize + ?Sized),
) -> Result<Value, SubmitError> {
    value(host::tasks::apply(&signature.to_string(), &text(args)?))
}

/// Puts a canvas in this task's place, once the task returns [`Error::Ignore`](crate::Error::Ignore):
///
/// ```
/// use umbel::{Error, canvas, tasks};
///
/// fn hand_over(x: i64) -> umbel::Result<i64> {
///     tasks::replace(canvas::task("tasks.add", &(x, 1))?)?;
///     Err(Error::Ignore)
/// }
/// # assert_eq!(hand_over(1), Err(Error::Ignore));
/// ```
pub fn replace(signature: impl Display) -> Result<(), SubmitError> {
    host::tasks::replace(&signature.to_string())
}

/// Adds a task or a canvas to the chord whose header this task is in; gives its result as [`apply`]
/// does.
pub fn add_to_chord(signature: impl Display) -> Result<Value, SubmitError> {
    value(host::tasks::add_to_chord(&signature.to_string()))
}

/// The JSON text of arguments; none of null, which is what `()` is.
fn text(args: &(impl Serialize + ?Sized)) -> Result<String, SubmitError> {
    match serde_json::to_string(args) {
        Ok(text) if text == "null" => Ok(String::new()),
        Ok(text) => Ok(text),
        Err(error) => Err(SubmitError::Invalid(error.to_string())),
    }
}

fn value(answer: Result<String, SubmitError>) -> Result<Value, SubmitError> {
    json::from(&answer?).map_err(|error| SubmitError::Invalid(error.message().to_string()))
}

/// Nothing out of the ordinary; the methods change one thing each.
pub fn options() -> Options {
    Options::default()
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
    pub fn headers(self, headers: impl Into<String>) -> Options {
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

    /// The exception that it is in Python's words: a `PermissionError` if the grant does not have it,
    /// a `ValueError` if it made no sense, a `RuntimeError` if it was too much.
    pub fn kind(&self) -> &'static str {
        match self {
            SubmitError::Denied(_) => "PermissionError",
            SubmitError::Invalid(_) => "ValueError",
            SubmitError::TooMany(_) | SubmitError::TooDeep(_) => "RuntimeError",
        }
    }
}

impl Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for SubmitError {}
