//! Pure: what is sent, and what is given up, when a task ends (PROTOCOL section 5). Signatures stay the values
//! they came as; the tail of a chain is passed on unread.

mod chain;
mod chord;
mod failure;
mod group;
mod naming;
mod planner;
mod reference;
mod replace;
mod task;

use umbel_value::{Map, Value};

use self::planner::{Call, Planner};
use crate::body::Content;
use crate::message::{Message, Route};
use crate::signature::{Kind, Signature};

/// How many messages one canvas may send at once.
pub const MAX_MESSAGES: usize = 10_000;

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
    /// The result tuple of what the canvas ends with: the last step of a chain, the body of a chord.
    /// `None` if nothing was sent.
    pub result: Option<Value>,
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
/// (PROTOCOL 5.2). Ids that the signature has are kept. Without tasks nothing is sent.
pub fn apply(
    signature: &Value,
    args: &[Value],
    kwargs: &Map,
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let call = Call { args: args.to_vec(), kwargs: kwargs.clone(), ..Call::default() };
    plan(sender, |planner| planner.start(Signature::read(signature.clone())?, call))
}

/// What a success of `sender.parent` sends: callbacks, then the next step of its chain
/// (PROTOCOL 5.3).
pub fn follow(value: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    let task = parent(sender)?;
    let call = || Call { args: vec![value.clone()], ..following(task, &task.id) };
    plan(sender, |planner| {
        let callbacks = replace::links(task.embed.callbacks.as_ref()).iter().cloned();
        let mut callbacks = callbacks.map(Signature::read).collect::<Result<Vec<_>, _>>()?;
        if callbacks.len() > 1 {
            let groups = callbacks.extract_if(.., |callback| callback.kind == Kind::Group);
            let groups = groups.collect::<Vec<_>>();
            let others = Some(callbacks).filter(|others| !others.is_empty());
            callbacks = groups.into_iter().chain(others.map(Signature::group)).collect();
        }
        for callback in callbacks {
            planner.start(callback, call())?;
        }
        let Some((next, rest)) = replace::next_of(task)? else { return Ok(()) };
        let next = Signature::read(next)?;
        let mut call = call();
        if next.kind == Kind::Task && !next.options.contains_key("chain") {
            call.tail = Some(rest);
        } else {
            call.options.insert("chain".to_owned(), rest.value().map_err(CanvasError)?);
        }
        planner.start(next, call)
    })
}

/// What a failure takes with it: the remaining steps of the chain (PROTOCOL 5.5).
pub fn abandon(message: &Message) -> Vec<Abandoned> {
    failure::chain(message)
}

/// Error callbacks as messages, in the old style: one group, each with the failed task's id, which
/// is that of `sender.parent` or of the body of its chord (PROTOCOL 5.5).
pub fn errbacks(
    failed: &str,
    errbacks: &[Value],
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let task = parent(sender)?;
    let call = Call { args: vec![failed.into()], ..following(task, failed) };
    plan(sender, |planner| {
        let errbacks = errbacks.iter().cloned().map(Signature::read);
        planner.start(Signature::group(errbacks.collect::<Result<_, _>>()?), call)
    })
}

/// Sends a chord's body with the header's results; the sender's parent is the part that completed it
/// (PROTOCOL 5.4).
pub fn body(
    chord: &Value,
    results: Vec<Value>,
    sender: &mut Sender<'_>,
) -> Result<Plan, CanvasError> {
    let call = Call { args: vec![results.into()], ..Call::default() };
    plan(sender, |planner| planner.start(Signature::read(chord.clone())?, call))
}

/// Who is given up when a chord's body can never run: the body, or its members, and what follows
/// (PROTOCOL 5.5).
pub fn abandon_body(chord: &Value) -> Vec<Abandoned> {
    failure::body(chord)
}

/// Puts a canvas in the place of `sender.parent` (PROTOCOL 5.7).
pub fn replace(signature: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    plan(sender, |planner| planner.replace(Signature::read(signature.clone())?))
}

/// Adds a part to the chord that `sender.parent` is a part of; the store's chord must have grown
/// before the first step.
pub fn add_to_chord(signature: &Value, sender: &mut Sender<'_>) -> Result<Plan, CanvasError> {
    plan(sender, |planner| planner.add_to_chord(Signature::read(signature.clone())?))
}

/// Every task name that a signature would send, at any depth, its callbacks and error callbacks
/// among them; each once.
pub fn names(signature: &Value) -> Vec<String> {
    naming::names(signature)
}

/// `[[id, parent], null]`: how a sent task is named in results.
pub fn result_tuple(id: &str) -> Value {
    vec![vec![Value::from(id), Value::Null].into(), Value::Null].into()
}

fn plan(
    sender: &mut Sender<'_>,
    work: impl FnOnce(&mut Planner<'_, '_>) -> Result<(), CanvasError>,
) -> Result<Plan, CanvasError> {
    let mut planner = Planner::new(sender);
    work(&mut planner)?;
    Ok(planner.plan)
}

fn parent<'a>(sender: &Sender<'a>) -> Result<&'a Message, CanvasError> {
    sender.parent.ok_or_else(|| CanvasError("no task is running".to_owned()))
}

/// The call of what a task sends at its end.
fn following(task: &Message, parent: &str) -> Call {
    let root = task.root_id.as_deref().unwrap_or(&task.id);
    // The body of a chord fails in place of its task, which knows no root of it.
    let root = if parent == task.id { root } else { parent };
    let options = [("parent_id", parent.into()), ("root_id", root.into())];
    let options = options.map(|(key, value)| (key.to_owned(), value));
    Call { options: options.into_iter().collect(), ..Call::default() }
}
