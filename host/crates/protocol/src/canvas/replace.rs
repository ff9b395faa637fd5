//! A canvas in the place of a running task, or beside it in its chord (PROTOCOL 5.7).

use umbel_value::{Map, Value};

use super::chain::link_error;
use super::chord::link;
use super::group::parts;
use super::planner::{Call, Planner, expand};
use super::{CanvasError, parent};
use crate::message::{Chain, Message};
use crate::names;
use crate::signature::{self, Kind, Signature};

/// How often a task may be replaced by one that is replaced: a loop ends somewhere.
const MAX_REPLACEMENTS: u32 = 1_000;

impl Planner<'_, '_> {
    pub(super) fn replace(&mut self, signature: Signature) -> Result<(), CanvasError> {
        let task = parent(self.sender)?;
        let nesting = task.replaced_task_nesting.saturating_add(1);
        if nesting > MAX_REPLACEMENTS {
            return Err(CanvasError(format!("a task replaced more than {MAX_REPLACEMENTS} times")));
        }
        if signature.options.get("chord").is_some_and(|chord| !chord.is_null()) {
            return Err(CanvasError("what replaces a task must not be part of a chord".to_owned()));
        }
        let mut signature = self.with_one_result(signature)?;
        set_id(&mut signature, &task.id)?;
        self.take_over_links(&mut signature, task)?;
        let nesting = ("replaced_task_nesting".to_owned(), Value::from(nesting));
        if signature.kind == Kind::Chain {
            let mut steps = signature.take_tasks()?;
            for step in &mut steps {
                step.options.extend([nesting.clone()]);
            }
            signature.set_tasks(steps);
        }
        let mut call = Call::default();
        let mut rest = chain_of(task)?;
        for step in rest.iter_mut().filter_map(Value::as_map_mut) {
            let options = step.entry("options".to_owned()).or_insert_with(|| Map::new().into());
            if let Value::Map(options) = options {
                options.extend([nesting.clone()]);
            }
        }
        if !rest.is_empty() {
            call.options.insert("chain".to_owned(), rest.into());
        }
        signature.options.extend(membership(task));
        signature.options.extend([nesting]);
        self.start(signature, call)
    }

    pub(super) fn add_to_chord(&mut self, signature: Signature) -> Result<(), CanvasError> {
        let task = parent(self.sender)?;
        if task.embed.chord.is_none() || task.group.is_none() {
            return Err(CanvasError("the task is not part of a chord".to_owned()));
        }
        let signature = expand(signature)?;
        if parts(&signature) != 1 {
            let text = "what is added to a chord must have one result; a group has several or none";
            return Err(CanvasError(text.to_owned()));
        }
        // A group of one is that one.
        let mut signature = match signature.kind {
            Kind::Group => Signature::chain(vec![signature]),
            _ => signature,
        };
        signature.options.extend(membership(task));
        self.start(signature, Call::default())
    }

    /// A group has as many results as members, but a replaced task has one: a list of them.
    fn with_one_result(&mut self, signature: Signature) -> Result<Signature, CanvasError> {
        self.nested(|planner| {
            let mut signature = expand(signature)?;
            match signature.kind {
                Kind::Group => {
                    let index = ("index".to_owned(), Value::from(0));
                    let body = Signature::new(Kind::Task, names::ACCUMULATE, [index].into());
                    Ok(Signature::chord(signature, body))
                }
                Kind::Chord => {
                    let body = signature.take_body()?;
                    signature.set_body(planner.with_one_result(body)?);
                    Ok(signature)
                }
                Kind::Chain => {
                    let mut steps = planner.steps(signature.take_tasks()?)?;
                    let last = steps.pop().ok_or_else(|| {
                        CanvasError("a task cannot be replaced by an empty chain".to_owned())
                    })?;
                    steps.push(planner.with_one_result(last)?);
                    signature.set_tasks(steps);
                    Ok(signature)
                }
                _ => Ok(signature),
            }
        })
    }

    /// Whoever waits for the task to end waits for what replaces it.
    fn take_over_links(
        &mut self,
        signature: &mut Signature,
        task: &Message,
    ) -> Result<(), CanvasError> {
        for callback in links(task.embed.callbacks.as_ref()) {
            link(signature, callback)?;
        }
        for errback in links(task.embed.errbacks.as_ref()) {
            link_error(signature, errback)?;
        }
        Ok(())
    }
}

/// Gives the id of the replaced task to what ends the canvas.
fn set_id(signature: &mut Signature, id: &str) -> Result<(), CanvasError> {
    match signature.kind {
        Kind::Chain => {
            let mut steps = signature.take_tasks()?;
            if let Some(last) = steps.last_mut() {
                set_id(last, id)?;
            }
            signature.options.shift_remove("task_id");
            signature.set_tasks(steps);
        }
        Kind::Chord => {
            let mut body = signature.take_body()?;
            set_id(&mut body, id)?;
            signature.set_body(body);
        }
        _ => {
            signature.options.insert("task_id".to_owned(), id.into());
        }
    }
    Ok(())
}

/// What a task is a part of, as options: null where it is part of nothing.
fn membership(task: &Message) -> [(String, Value); 4] {
    let root = task.root_id.as_ref().unwrap_or(&task.id);
    [
        ("chord", task.embed.chord.clone().unwrap_or_default()),
        ("group_id", task.group.as_ref().into()),
        ("group_index", task.group_index.into()),
        ("root_id", root.into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
}

/// The remaining steps of a task's chain, the next one last.
pub(super) fn chain_of(task: &Message) -> Result<Vec<Value>, CanvasError> {
    let Some(chain) = &task.embed.chain else { return Ok(Vec::new()) };
    signature::list(chain.value().map_err(CanvasError)?, "the chain of the message")
}

/// The next step of a task's chain, and those after it.
pub(super) fn next_of(task: &Message) -> Result<Option<(Value, Chain)>, CanvasError> {
    if let Some(Chain::Unread(unread)) = &task.embed.chain {
        return unread.pop().map_err(CanvasError);
    }
    let mut steps = chain_of(task)?;
    Ok(steps.pop().map(|next| (next, Chain::Read(steps.into()))))
}

/// Callbacks, or the only one.
pub(super) fn links(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::List(links)) => links,
        Some(single) => std::slice::from_ref(single),
    }
}
