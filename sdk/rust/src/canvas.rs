//! Signatures as Celery writes them: one task, or a canvas of several. Display gives the JSON that
//! [`tasks::apply`](crate::tasks::apply) and its neighbours take.
//!
//! ```
//! # fn main() -> Result<(), umbel::Error> {
//! use umbel::canvas::{chain, task};
//!
//! // 2 + 3, then that + 10.
//! let sums = chain([task("tasks.add", &(2, 3))?, task("tasks.add", &(10,))?]);
//! assert!(sums.to_string().contains(r#""subtask_type":"chain""#));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use serde::Serialize;
use serde_json::json;

use crate::Error;
use crate::json::Value;

/// What is to be run: a task with arguments, a chain, a group or a chord.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature(Value);

/// A task with positional arguments: a tuple, a list, or anything else that is a JSON array. What is
/// not is a failure of kind `TypeError`.
pub fn task<T: Serialize + ?Sized>(name: &str, args: &T) -> Result<Signature, Error> {
    let args = value(args)?;
    let args = if args.is_null() { json!([]) } else { args };
    if !args.is_array() {
        return Err(Error::failed("TypeError", format!("the arguments of {name} are no array")));
    }
    Ok(Signature::new(name, args, json!({}), Value::Null))
}

/// One after the other, each with the result of the one before as its first argument.
pub fn chain(steps: impl IntoIterator<Item = Signature>) -> Signature {
    several("chain", json!({ "tasks": list(steps) }))
}

/// All at once.
pub fn group(members: impl IntoIterator<Item = Signature>) -> Signature {
    several("group", json!({ "tasks": list(members) }))
}

/// All of the header at once, then the body with the list of their results as its first argument.
pub fn chord(header: impl IntoIterator<Item = Signature>, body: Signature) -> Signature {
    several("chord", json!({ "kwargs": {}, "header": list(header), "body": body.0 }))
}

impl Signature {
    /// With keyword arguments: a struct, a map, or anything else that is a JSON object.
    pub fn kwargs<T: Serialize + ?Sized>(self, kwargs: &T) -> Result<Signature, Error> {
        let kwargs = value(kwargs)?;
        if !kwargs.is_object() {
            return Err(Error::failed("TypeError", "keyword arguments are no object"));
        }
        Ok(self.with("kwargs", kwargs))
    }

    /// Takes no result of what came before it as an argument.
    pub fn immutable(self) -> Signature {
        self.with("immutable", Value::Bool(true))
    }

    /// With an option of Celery's `apply_async`: `queue`, `countdown`, `priority`.
    pub fn option<T: Serialize + ?Sized>(
        mut self,
        name: &str,
        option: &T,
    ) -> Result<Signature, Error> {
        self.0["options"][name] = value(option)?;
        Ok(self)
    }

    fn new(task: &str, args: Value, kwargs: Value, kind: Value) -> Signature {
        Signature(json!({
            "task": task,
            "args": args,
            "kwargs": kwargs,
            "options": {},
            "subtask_type": kind,
            "immutable": false,
        }))
    }

    fn with(mut self, key: &str, value: Value) -> Signature {
        self.0[key] = value;
        self
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn several(kind: &str, kwargs: Value) -> Signature {
    Signature::new(&format!("celery.{kind}"), json!([]), kwargs, json!(kind))
}

fn list(signatures: impl IntoIterator<Item = Signature>) -> Value {
    signatures.into_iter().map(|signature| signature.0).collect()
}

fn value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::failed("TypeError", error.to_string()))
}
