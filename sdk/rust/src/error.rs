//! Endings other than success, in one line each.

use std::time::Duration;

use crate::types::{Error, Failure, Retry};

impl Error {
    /// FAILURE, with an exception of this kind. A Python builtin (`ValueError`) is raised as that
    /// builtin by a Python caller.
    pub fn failed(kind: &str, message: impl Into<String>) -> Error {
        Error::Failed(Failure { kind: kind.to_string(), message: message.into(), data: None })
    }

    /// RETRY when the task's policy says so.
    pub fn retry() -> Error {
        Error::Retry(Retry { cause: None, after_ms: None, max: None })
    }

    /// RETRY after this long, at least.
    pub fn retry_after(wait: Duration) -> Error {
        let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Error::Retry(Retry { cause: None, after_ms: Some(after_ms), max: None })
    }
}

/// With `?`, any text becomes a failure of kind `TaskError`.
impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::failed("TaskError", message)
    }
}

/// With `?`, any text becomes a failure of kind `TaskError`.
impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::failed("TaskError", message)
    }
}
