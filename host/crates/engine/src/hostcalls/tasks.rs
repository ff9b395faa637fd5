//! `umbel:task/tasks`: what a run sends. Whatever is wrong with it is an answer to the guest and
//! never ends the run.

use std::time::Duration;

use umbel_task::runner::{Outbox, OutboxError, Submission};
use umbel_value::{Map, Value};

use crate::bindings::umbel::task::tasks::{Host, Options, SubmitError};
use crate::state::State;

impl Host for State {
    fn submit(
        &mut self,
        name: String,
        args: String,
        kwargs: String,
        options: Options,
    ) -> wasmtime::Result<Result<String, SubmitError>> {
        let headers = options.headers.as_deref().unwrap_or_default();
        let queue = options.queue.as_deref().unwrap_or_default();
        let bytes = size(&[&name, &args, &kwargs, headers, queue]);
        Ok(self.send(bytes, |outbox| outbox.submit(submission(name, &args, &kwargs, options)?)))
    }

    fn apply(
        &mut self,
        signature: String,
        args: String,
    ) -> wasmtime::Result<Result<String, SubmitError>> {
        let bytes = size(&[&signature, &args]);
        let sent = self
            .send(bytes, |outbox| outbox.apply(canvas(&signature)?, list("the arguments", &args)?));
        Ok(sent.map(|tuple| tuple.to_json()))
    }

    fn replace(&mut self, signature: String) -> wasmtime::Result<Result<(), SubmitError>> {
        let bytes = size(&[&signature]);
        Ok(self.send(bytes, |outbox| outbox.replace(canvas(&signature)?)))
    }

    fn add_to_chord(&mut self, signature: String) -> wasmtime::Result<Result<String, SubmitError>> {
        let bytes = size(&[&signature]);
        let sent = self.send(bytes, |outbox| outbox.add_to_chord(canvas(&signature)?));
        Ok(sent.map(|tuple| tuple.to_json()))
    }
}

impl State {
    /// Sends something of so many bytes, if the run may still send as many. What the outbox does
    /// not take costs nothing.
    fn send<T>(
        &mut self,
        bytes: u64,
        send: impl FnOnce(&dyn Outbox) -> Result<T, OutboxError>,
    ) -> Result<T, SubmitError> {
        let Some(left) = self.sendable.checked_sub(bytes) else {
            let most = self.output;
            let what = format!("all that one run sends has at most {most} bytes; this is more");
            return Err(SubmitError::TooMany(what));
        };
        let sent = send(&*self.outbox).map_err(refusal)?;
        self.sendable = left;
        self.meter.submission();
        Ok(sent)
    }
}

fn size(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

fn refusal(error: OutboxError) -> SubmitError {
    let what = error.to_string();
    match error {
        OutboxError::Denied(_) | OutboxError::Queue(_) => SubmitError::Denied(what),
        OutboxError::TooMany(_) => SubmitError::TooMany(what),
        OutboxError::TooDeep(_) => SubmitError::TooDeep(what),
        OutboxError::State(_) | OutboxError::Invalid(_) => SubmitError::Invalid(what),
    }
}

fn submission(
    name: String,
    args: &str,
    kwargs: &str,
    options: Options,
) -> Result<Submission, OutboxError> {
    if name.is_empty() {
        return Err(OutboxError::Invalid("a task needs a name".to_owned()));
    }
    let headers = options.headers.unwrap_or_default();
    Ok(Submission {
        name,
        args: list("the arguments", args)?,
        kwargs: object("the keyword arguments", kwargs)?,
        queue: options.queue,
        countdown: options.countdown_ms.map(Duration::from_millis),
        expires: options.expires_ms.map(Duration::from_millis),
        priority: options.priority,
        time_limit: options.time_limit_ms.map(Duration::from_millis),
        soft_time_limit: options.soft_time_limit_ms.map(Duration::from_millis),
        ignore_result: options.ignore_result,
        headers: object("the headers", &headers)?,
    })
}

/// A signature as a value; whether it makes sense is the outbox's to say.
fn canvas(text: &str) -> Result<Value, OutboxError> {
    match parse("the signature", text)? {
        signature @ Value::Map(_) => Ok(signature),
        _ => Err(misfit("the signature", "object")),
    }
}

fn list(what: &str, text: &str) -> Result<Vec<Value>, OutboxError> {
    match text {
        "" => Ok(Vec::new()),
        text => match parse(what, text)? {
            Value::List(items) => Ok(items),
            _ => Err(misfit(what, "array")),
        },
    }
}

fn object(what: &str, text: &str) -> Result<Map, OutboxError> {
    match text {
        "" => Ok(Map::new()),
        text => match parse(what, text)? {
            Value::Map(map) => Ok(map),
            _ => Err(misfit(what, "object")),
        },
    }
}

fn parse(what: &str, text: &str) -> Result<Value, OutboxError> {
    Value::from_json(text.as_bytes())
        .map_err(|e| OutboxError::Invalid(format!("{what}: no JSON: {} at byte {}", e.what, e.at)))
}

fn misfit(what: &str, expected: &str) -> OutboxError {
    OutboxError::Invalid(format!("{what}: expected a JSON {expected}"))
}
