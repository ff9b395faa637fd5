//! Tasks that do not simply succeed.

use umbel::{Error, Failure, Retry, context};

use crate::exports::test::lab::endings::Guest;
use crate::{Lab, request, witness};

/// Seconds before a retry, unless a case says otherwise.
const PAUSE: f64 = 0.1;

impl Guest for Lab {
    fn fail(message: String) -> Result<(), Error> {
        Err(Error::failed("ValueError", message))
    }

    fn fail_custom(message: String) -> Result<(), Error> {
        Err(Error::failed("LabError", message))
    }

    fn fail_key(key: String) -> Result<(), Error> {
        Err(Error::failed("KeyError", key))
    }

    fn fail_ignored(message: String) -> Result<(), Error> {
        Err(Error::failed("ValueError", message))
    }

    fn fail_unacked(message: String) -> Result<(), Error> {
        Err(Error::failed("ValueError", message))
    }

    fn crash() {
        panic!("as it was asked to");
    }

    fn ignore() -> Result<(), Error> {
        Err(Error::Ignore)
    }

    fn reject(key: Option<String>) -> Result<(), Error> {
        if let Some(key) = key {
            witness(&key, "\"rejecting\"");
        }
        Err(Error::Reject(false))
    }

    fn reject_once(key: String) -> Result<String, Error> {
        let redelivered = context::current().delivery.redelivered;
        witness(&key, &redelivered.to_string());
        if redelivered { Ok("accepted".to_owned()) } else { Err(Error::Reject(true)) }
    }

    fn retry_until(
        attempts: u32,
        countdown: Option<f64>,
        key: Option<String>,
    ) -> Result<u32, Error> {
        let request = context::current();
        let retries = request.retries;
        if let Some(key) = key {
            witness(&key, &format!("[{:?}, {retries}]", request.id));
        }
        if retries < attempts {
            return Err(retry(Some(&format!("attempt {retries}")), countdown, attempts));
        }
        Ok(retries)
    }

    fn retry_on(most: u32, countdown: Option<f64>) -> Result<u32, Error> {
        Err(retry(Some("never"), countdown, most))
    }

    fn retry_bare(most: u32) -> Result<u32, Error> {
        Err(retry(None, None, most))
    }

    fn retry_ignored(key: String) -> Result<(), Error> {
        let retries = context::current().retries;
        witness(&key, &retries.to_string());
        if retries < 1 { Err(retry(None, None, 1)) } else { Ok(()) }
    }

    fn retry_then_context(_args: Vec<String>, _kwargs: String) -> Result<String, Error> {
        if context::current().retries < 1 {
            return Err(retry(None, None, 1));
        }
        Ok(request::json())
    }

    fn flaky(attempts: u32, key: String) -> Result<u32, Error> {
        let retries = context::current().retries;
        witness(&key, &retries.to_string());
        if retries < attempts { Err(Error::failed("ValueError", "flaky")) } else { Ok(retries) }
    }
}

fn retry(cause: Option<&str>, countdown: Option<f64>, most: u32) -> Error {
    let failure = |message: &str| Failure {
        kind: "ValueError".to_owned(),
        message: message.to_owned(),
        data: None,
    };
    let after = countdown.unwrap_or(PAUSE) * 1000.0;
    Error::Retry(Retry { cause: cause.map(failure), after_ms: Some(after as u64), max: Some(most) })
}
