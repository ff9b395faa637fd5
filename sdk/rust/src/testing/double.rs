//! The worker's interfaces as a test has them: the functions that bindings would have.

use super::{Line, Progress, Submission, limit, with};
use crate::context::Request;
use crate::json::{self, Value};

fn value(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    json::from(text).expect("the modules of this crate give JSON")
}

pub(crate) mod context {
    use super::*;

    pub(crate) fn current() -> Request {
        with(|state| state.request.clone()).unwrap_or_default()
    }

    pub(crate) fn remaining_ms() -> u64 {
        limit(current().time_limit_ms)
    }

    pub(crate) fn soft_remaining_ms() -> Option<u64> {
        current().soft_time_limit_ms
    }

    pub(crate) fn take_soft_limit() {
        with(|state| state.soft_limit_taken = true);
    }
}

pub(crate) mod progress {
    use super::*;

    pub(crate) fn update(state: &str, meta: &str) {
        let progress = Progress { state: state.to_string(), meta: value(meta) };
        with(|test| test.progress.push(progress));
    }
}

pub(crate) mod log {
    use super::*;
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str, fields: &str) {
        let line = Line { level, message: message.to_string(), fields: value(fields) };
        with(|test| test.log.push(line));
    }
}

pub(crate) mod tasks {
    use super::*;
    use crate::tasks::{Options, SubmitError};

    pub(crate) fn submit(
        name: &str,
        args: &str,
        kwargs: &str,
        options: &Options,
    ) -> Result<String, SubmitError> {
        array(args)?;
        if !matches!(value(kwargs), Value::Null | Value::Object(_)) {
            return Err(SubmitError::Invalid(format!("{kwargs} is no JSON object")));
        }
        send(name, args, kwargs, options.clone())
    }

    pub(crate) fn apply(signature: &str, args: &str) -> Result<String, SubmitError> {
        array(args)?;
        canvas("apply", signature, args)
    }

    pub(crate) fn replace(signature: &str) -> Result<(), SubmitError> {
        canvas("replace", signature, "").map(drop)
    }

    pub(crate) fn add_to_chord(signature: &str) -> Result<String, SubmitError> {
        canvas("add_to_chord", signature, "")
    }

    fn array(args: &str) -> Result<(), SubmitError> {
        match value(args) {
            Value::Null | Value::Array(_) => Ok(()),
            _ => Err(SubmitError::Invalid(format!("{args} is no JSON array"))),
        }
    }

    fn canvas(how: &str, signature: &str, args: &str) -> Result<String, SubmitError> {
        if json::from::<Value>(signature).is_err() {
            return Err(SubmitError::Invalid(format!("{signature} is no signature")));
        }
        let id = send(how, args, signature, Options::default())?;
        Ok(format!(r#"[["{id}", null], null]"#))
    }

    /// The ids of what a test sends are `sent-1`, `sent-2`, and so on.
    fn send(name: &str, args: &str, kwargs: &str, options: Options) -> Result<String, SubmitError> {
        let (args, kwargs) = (value(args), value(kwargs));
        with(|test| {
            if let Some(why) = test.refusals.pop_front() {
                return Err(why);
            }
            test.submitted.push(Submission { name: name.to_string(), args, kwargs, options });
            Ok(format!("sent-{}", test.submitted.len()))
        })
    }
}
