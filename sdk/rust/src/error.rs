//! Endings other than success, and how any error becomes one.

use std::any::{Any, type_name};
use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

use crate::tasks::SubmitError;

/// What a task returns that may fail in any way: with `?`, every error becomes an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a task ends that did not succeed.
///
/// Whatever can be shown becomes one with `?` or `into()`: the errors of the standard library and
/// of other crates, boxed ones, and text. The kind is the name of the error's type, `TaskError` if it
/// has none.
///
/// ```
/// fn double(text: &str) -> umbel::Result<i64> {
///     Ok(2 * text.parse::<i64>()?)
/// }
///
/// let error = double("two").unwrap_err();
/// assert_eq!(error.kind(), Some("ParseIntError"));
/// assert_eq!(error.message(), "invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// State FAILURE.
    Failed(Failure),
    /// Sent again, state RETRY, until the retries are used up.
    Retry(Retry),
    /// The message is not taken: true puts it into its queue again and stores nothing; false gives
    /// it to the dead letters, state FAILURE with `Reject`.
    Reject(bool),
    /// The message is done with and no result is stored.
    Ignore,
}

/// Why a task failed, as its caller will see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exception's name: an identifier of at most 100 characters.
    pub kind: String,
    /// The exception's message.
    pub message: String,
    /// Anything more the caller can use, as JSON text; becomes the exception's second argument.
    pub data: Option<String>,
}

/// A wish to be run again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// What went wrong this time; stored while the task waits.
    pub cause: Option<Failure>,
    /// Milliseconds to wait. None: the task's policy decides.
    pub after_ms: Option<u64>,
    /// The most retries to allow. None: the task's policy decides.
    pub max: Option<u32>,
}

impl Error {
    /// FAILURE, with an exception of this kind. A Python builtin (`ValueError`) is raised as that
    /// builtin by a Python caller.
    pub fn failed(kind: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Failed(Failure { kind: kind.into(), message: message.into(), data: None })
    }

    /// RETRY because of this: text or any error. When, and how often, is up to the task's policy,
    /// unless [`after`](Error::after) and [`at_most`](Error::at_most) say otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use umbel::Error;
    ///
    /// fn fetch(answer: Result<u32, std::io::Error>) -> umbel::Result<u32> {
    ///     answer.map_err(|error| Error::retry(error).after(Duration::from_secs(30)).at_most(5))
    /// }
    /// # assert!(fetch(Ok(1)).is_ok());
    /// ```
    pub fn retry(cause: impl Display + 'static) -> Error {
        let cause = match Error::from(cause) {
            Error::Failed(failure) => Some(failure),
            _ => None,
        };
        Error::Retry(Retry { cause, after_ms: None, max: None })
    }

    /// A retry after this long; other endings stay as they are.
    pub fn after(mut self, wait: Duration) -> Error {
        if let Error::Retry(retry) = &mut self {
            retry.after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        self
    }

    /// A retry that is one of at most so many; other endings stay as they are.
    pub fn at_most(mut self, retries: u32) -> Error {
        if let Error::Retry(retry) = &mut self {
            retry.max = Some(retries);
        }
        self
    }

    /// A failure, or a retry's cause, with something more for the caller, who finds it as the
    /// exception's second argument. What has no JSON form is left out; other endings stay as they are.
    ///
    /// ```
    /// let error = umbel::Error::failed("QuotaError", "too many pictures").with_data(&[12, 10]);
    /// # assert!(format!("{error:?}").contains("[12,10]"));
    /// ```
    pub fn with_data(mut self, data: &(impl Serialize + ?Sized)) -> Error {
        if let Error::Failed(failure) | Error::Retry(Retry { cause: Some(failure), .. }) = &mut self
        {
            failure.data = serde_json::to_string(data).ok();
        }
        self
    }

    /// The exception's name, of a failure or of a retry's cause.
    pub fn kind(&self) -> Option<&str> {
        self.failure().map(|failure| failure.kind.as_str())
    }

    /// The exception's message, of a failure or of a retry's cause; else how the task ends, in a word.
    pub fn message(&self) -> &str {
        match (self.failure(), self) {
            (Some(failure), _) => &failure.message,
            (None, Error::Reject(_)) => "rejected",
            (None, Error::Ignore) => "ignored",
            (None, _) => "to be retried",
        }
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Failed(failure) | Error::Retry(Retry { cause: Some(failure), .. }) => {
                Some(failure)
            }
            _ => None,
        }
    }
}

/// What a task that is not told otherwise does with an error: it fails.
impl<E: Display + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        if let Some(refused) = (&error as &dyn Any).downcast_ref::<SubmitError>() {
            return Error::failed(refused.kind(), refused.message());
        }
        // Errors that carry their causes show them with `#`.
        Error::failed(kind::<E>(), format!("{error:#}"))
    }
}

/// The last name in a type's path, if that says anything: not of text, nor of what is boxed.
fn kind<E>() -> &'static str {
    let path = type_name::<E>().trim_start_matches('&');
    let name = path.split('<').next().unwrap_or(path);
    match name.rsplit("::").next().unwrap_or(name) {
        "" | "str" | "String" | "Cow" | "Box" | "Arc" | "Error" | "Arguments" => plain(name),
        name => name,
    }
}

/// `std::io::Error` is what Python calls an `OSError`; every other `Error` says no more than that.
fn plain(path: &str) -> &'static str {
    if path == "std::io::error::Error" { "OSError" } else { "TaskError" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Into<Error>, kind: &str, message: &str) {
        assert_eq!(error.into(), Error::failed(kind, message));
    }

    #[test]
    fn any_error_fails_with_its_type_and_message() {
        check("3.5".parse::<u8>().unwrap_err(), "ParseIntError", "invalid digit found in string");
        check(std::io::Error::other("disk full"), "OSError", "disk full");
        let json = serde_json::from_str::<u8>("x").unwrap_err();
        check(json, "TaskError", "expected value at line 1 column 1");
        let boxed: Box<dyn std::error::Error> = "no such city".into();
        check(boxed, "TaskError", "no such city");
    }

    #[test]
    fn text_fails_without_a_kind_of_its_own() {
        check("nobody to greet", "TaskError", "nobody to greet");
        check("gone".to_string(), "TaskError", "gone");
        check(format_args!("{} left", 3).to_string(), "TaskError", "3 left");
    }

    #[test]
    fn a_task_that_was_not_sent_fails_as_python_would_say() {
        check(SubmitError::Denied("mail.*".into()), "PermissionError", "mail.*");
        check(SubmitError::Invalid("no JSON".into()), "ValueError", "no JSON");
        check(SubmitError::TooMany("1001".into()), "RuntimeError", "1001");
    }

    #[test]
    fn a_retry_names_its_cause_its_wait_and_its_end() {
        let error = Error::retry("busy").after(Duration::from_millis(1500)).at_most(3);
        let cause = Failure { kind: "TaskError".into(), message: "busy".into(), data: None };
        let retry = Retry { cause: Some(cause), after_ms: Some(1500), max: Some(3) };
        assert_eq!(error, Error::Retry(retry));
        assert_eq!(error.message(), "busy");
        assert_eq!(Error::Ignore.after(Duration::MAX), Error::Ignore);
    }

    #[test]
    fn a_failure_carries_data() {
        let Error::Failed(failure) = Error::failed("QuotaError", "full").with_data(&("a", 1))
        else {
            panic!("a failure stays one");
        };
        assert_eq!(failure.data.as_deref(), Some(r#"["a",1]"#));
    }
}
