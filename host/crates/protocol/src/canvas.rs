//! Pure: what is sent, and what is given up, when a task ends (PROTOCOL section 5). Signatures stay the values
//! they came as; the tail of a chain is passed on unread.

use umbel_value::{Map, Value};

use crate::body::Content;
use crate::message::{Message, Route};

/// What a sender lends to the canvas it sends.
pub struct Sender<'a> {
    /// The task on whose behalf it is sent: parent, root, and what members inherit. `None` for a
    /// client.
    pub parent: Option<&'a Message>,
    /// How the sender names itself in `origin`.
    pub origin: &'a str,
    pub now: jiff::Timestamp,
    /// Where a task of a name goes whose signature names no queue.
    pub route: &'a dyn Fn(&str) -> Route,
    /// A fresh task or group id. The same calls in the same order should give the same ids when a
    /// run is repeated, so that its follow-ups can be told from new ones.
    pub ids: &'a mut dyn FnMut() -> String,
    /// How bodies are written when the signature does not say.
    pub content: Content,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Result tuples (PROTOCOL 4.5) of what was sent, in order: the sender's children.
    pub children: Vec<Value>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Send {
        route: Route,
        message: Box<Message>,
    },
    /// Note how many parts a chord waits for.
    Size {
        group: String,
        size: u32,
    },
    /// Keep a group's result tuple under its id.
    Keep {
        group: String,
        tuple: Value,
    },
}

/// Somebody who will never run because of a failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Abandoned {
    /// The id that the failure is stored under.
    pub id: String,
    /// The chord it is a part of: group, position and body.
    pub part: Option<(String, Option<u32>, Value)>,
    /// Its error callbacks.
    pub errbacks: Vec<Value>,
    /// Store the exception of the part that failed, not the `ChordError`.
    pub original: bool,
}

/// A canvas that cannot be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct CanvasError(pub String);

/// Applies a signature of any kind with `args` before its own and `kwargs` over its own
/// (PROTOCOL 5.2).
pub fn apply(
    signature: &Value,
    args: &[Value],
    kwargs: &Map,
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let _ = (signature, args, kwargs, sender);
    Err(CanvasError("not built".to_owned()))
}

/// What a success of `sender.parent` sends: callbacks, then the next step of its chain
/// (PROTOCOL 5.3).
pub fn follow(value: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    let _ = (value, sender);
    Err(CanvasError("not built".to_owned()))
}

/// What a failure takes with it: the remaining steps of the chain (PROTOCOL 5.5).
pub fn abandon(message: &Message) -> Vec<Abandoned> {
    let _ = message;
    Vec::new()
}

/// Error callbacks as messages, in the old style: one group, each with the failed task's id
/// (PROTOCOL 5.5).
pub fn errbacks(
    failed: &str,
    errbacks: &[Value],
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let _ = (failed, errbacks, sender);
    Err(CanvasError("not built".to_owned()))
}

/// Sends a chord's body with the header's results; the sender's parent is the part that completed it
/// (PROTOCOL 5.4).
pub fn body(
    chord: &Value,
    results: Vec<Value>,
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let _ = (chord, results, sender);
    Err(CanvasError("not built".to_owned()))
}

/// Who is given up when a chord's body can never run: the body, or its members, and what follows
/// (PROTOCOL 5.5).
pub fn abandon_body(chord: &Value) -> Vec<Abandoned> {
    let _ = chord;
    Vec::new()
}

/// Puts a canvas in the place of `sender.parent` (PROTOCOL 5.7).
pub fn replace(signature: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    let _ = (signature, sender);
    Err(CanvasError("not built".to_owned()))
}

/// Adds a part to the chord that `sender.parent` is a part of; the store's chord must have grown
/// before the first step.
pub fn add_to_chord(signature: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    let _ = (signature, sender);
    Err(CanvasError("not built".to_owned()))
}

/// Every task name that a signature would send, at any depth.
pub fn names(signature: &Value) -> Vec<String> {
    let _ = signature;
    Vec::new()
}

/// `[[id, parent], null]`: how a sent task is named in results.
pub fn result_tuple(id: &str) -> Value {
    vec![vec![Value::from(id), Value::Null].into(), Value::Null].into()
}
