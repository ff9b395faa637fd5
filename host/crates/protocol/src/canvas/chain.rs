//! Chains: flattened, groups in them turned into chords, the first step sent with the rest
//! (PROTOCOL 5.3).

use umbel_value::{Map, Value};

use super::group::parts;
use super::planner::{Call, MAX_NESTING, Place, Planner, Sent, expand, too_deep};
use super::reference::Reference;
use super::{CanvasError, MAX_MESSAGES};
use crate::signature::{self, Kind, Signature};

/// What a chain does with its own options; the others are for its first step.
const OWN_OPTIONS: [&str; 7] =
    ["task_id", "group_id", "group_index", "chord", "link", "link_error", "root_id"];

impl Planner<'_, '_> {
    pub(super) fn apply_chain(
        &mut self,
        mut chain: Signature,
        call: Call,
    ) -> Result<Option<Sent>, CanvasError> {
        let mut options = std::mem::take(&mut chain.options);
        options.extend(call.options.into_iter().filter(|(_, value)| !value.is_null()));
        let mut steps = self.steps(chain.take_tasks()?)?;
        if steps.is_empty() {
            return Ok(None);
        }
        self.link_all(&mut steps, &options)?;
        let place = Place {
            id: signature::text(&options, "task_id")?,
            root: signature::text(&options, "root_id")?,
            group: signature::text(&options, "group_id")?,
            index: super::task::small(&options, "group_index")?,
            chord: options.get("chord").filter(|chord| !chord.is_null()).cloned(),
        };
        let result = self.freeze_steps(&mut steps, place)?;
        options.retain(|key, _| !OWN_OPTIONS.contains(&key.as_str()));
        let outer = options.shift_remove("chain").unwrap_or_default();
        let mut rest = signature::list(outer, "option `chain`")?;
        let mut steps = steps.into_iter();
        let Some(first) = steps.next() else { return Ok(None) };
        rest.extend(steps.rev().map(Signature::into_value));
        options.insert("chain".to_owned(), rest.into());
        let args = if chain.immutable { chain.args } else { [call.args, chain.args].concat() };
        let sent = self.apply(first, Call { args, kwargs: call.kwargs, options, tail: None })?;
        Ok(sent.map(|sent| Sent { result, ..sent }))
    }

    pub(super) fn freeze_chain(
        &mut self,
        chain: &mut Signature,
        place: Place,
    ) -> Result<Reference, CanvasError> {
        let mut steps = self.steps(chain.take_tasks()?)?;
        let id = signature::text(&chain.options, "task_id")?;
        let place = Place { id: id.or_else(|| place.id.clone()), ..place };
        let reference = self.freeze_steps(&mut steps, place)?;
        chain.options.insert("task_id".to_owned(), id_of(steps.last()));
        chain.set_tasks(steps);
        Ok(reference)
    }

    /// Gives steps their ids. The place of the chain is that of its last step.
    fn freeze_steps(
        &mut self,
        steps: &mut [Signature],
        place: Place,
    ) -> Result<Reference, CanvasError> {
        let Some((last, before)) = steps.split_last_mut() else {
            return Err(CanvasError("a chain without a task".to_owned()));
        };
        let mut previous = None;
        for step in before {
            let place = Place { root: place.root.clone(), ..Place::default() };
            let reference = self.freeze(step, place)?;
            previous = Some(follow(reference, previous));
        }
        let reference = self.freeze(last, place)?;
        Ok(follow(reference, previous))
    }

    /// The steps of a chain: no chains among them, and no group but at the end.
    pub(super) fn steps(&mut self, tasks: Vec<Signature>) -> Result<Vec<Signature>, CanvasError> {
        let mut flat = Vec::with_capacity(tasks.len());
        for task in tasks {
            self.splice(task, &mut flat)?;
        }
        join_groups(flat)
    }

    /// Adds a task to the steps before it, or what it consists of.
    fn splice(&mut self, task: Signature, steps: &mut Vec<Signature>) -> Result<(), CanvasError> {
        let task = expand(task)?;
        match task.kind {
            Kind::Chain => {
                let inner = self.nested(|planner| planner.unchain(task))?;
                steps.extend(inner);
            }
            Kind::Group => {
                let task = only(task)?;
                match task.kind {
                    Kind::Group if parts(&task) == 0 => {}
                    Kind::Group => steps.push(task),
                    _ => self.nested(|planner| planner.splice(task, steps))?,
                }
            }
            Kind::Chord => self.nested(|planner| planner.unchain_body(task, steps))?,
            Kind::Task | Kind::Map | Kind::Starmap | Kind::Chunks => steps.push(task),
        }
        if steps.len() > MAX_MESSAGES {
            return Err(CanvasError(format!("a chain of more than {MAX_MESSAGES} tasks")));
        }
        Ok(())
    }

    /// The steps of a chain in a chain, with what the chain says of them.
    fn unchain(&mut self, mut chain: Signature) -> Result<Vec<Signature>, CanvasError> {
        let mut steps = Vec::new();
        for task in chain.take_tasks()? {
            self.splice(task, &mut steps)?;
        }
        self.link_all(&mut steps, &chain.options)?;
        if let (Some(id), Some(last)) = (chain.options.get("task_id"), steps.last_mut()) {
            last.options.entry("task_id".to_owned()).or_insert_with(|| id.clone());
        }
        if let Some(first) = steps.first_mut() {
            let options = chain.options.into_iter();
            first.options.extend(options.filter(|(key, _)| !OWN_OPTIONS.contains(&key.as_str())));
        }
        Ok(steps)
    }

    /// A chord whose body is a chain is a chord of the first of these tasks, and then the others: so
    /// they are not repeated in each part of the header.
    fn unchain_body(
        &mut self,
        mut chord: Signature,
        steps: &mut Vec<Signature>,
    ) -> Result<(), CanvasError> {
        let body = chord.take_body()?;
        if body.kind != Kind::Chain {
            chord.set_body(body);
            steps.push(chord);
            return Ok(());
        }
        let mut tasks = self.unchain(body)?;
        let links = std::mem::take(&mut chord.options);
        self.link_all(&mut tasks, &links)?;
        chord.options = links;
        for key in ["link", "link_error"] {
            chord.options.shift_remove(key);
        }
        if let Some(last) = tasks.last_mut().filter(|last| !last.options.contains_key("task_id")) {
            // Who named the chord meant its result.
            last.options.extend(chord.options.shift_remove_entry("task_id"));
        }
        match tasks.first() {
            None => return Err(CanvasError("the body of a chord is an empty chain".to_owned())),
            Some(first) if first.kind == Kind::Group => {
                // Its other steps wait for the whole group.
                chord.set_body(Signature::chain(tasks));
                steps.push(chord);
            }
            Some(_) => {
                chord.set_body(tasks.remove(0));
                steps.push(chord);
                steps.extend(tasks);
            }
        }
        Ok(())
    }

    /// A chain of one is that one: Celery's workers lose the arguments of a group in such a chain.
    pub(super) fn unwrap(&mut self, chain: Signature) -> Result<Signature, CanvasError> {
        let tasks = chain.kwargs.get("tasks").and_then(Value::as_list);
        if chain.kind != Kind::Chain || tasks.is_none_or(|tasks| tasks.len() != 1) {
            return Ok(chain);
        }
        let mut steps = self.nested(|planner| planner.unchain(chain))?;
        if steps.len() == 1 {
            return Ok(steps.swap_remove(0));
        }
        Ok(Signature::chain(steps))
    }

    /// What is linked to a chain is linked to its last step; its error callbacks to each.
    fn link_all(&mut self, steps: &mut [Signature], options: &Map) -> Result<(), CanvasError> {
        let errbacks = signature::several(options, "link_error");
        self.charge(&errbacks, steps.len())?;
        for errback in &errbacks {
            for step in &mut *steps {
                link_error(step, errback)?;
            }
        }
        if let Some(last) = steps.last_mut() {
            for callback in signature::several(options, "link") {
                last.append("link", &callback);
            }
        }
        Ok(())
    }
}

/// A group, alone or as a chord's body, and the step after it are a chord.
fn join_groups(steps: Vec<Signature>) -> Result<Vec<Signature>, CanvasError> {
    let mut joined: Vec<Signature> = Vec::with_capacity(steps.len());
    let mut nesting = 0;
    for mut step in steps.into_iter().rev() {
        let mut body = if step.kind == Kind::Chord { Some(step.take_body()?) } else { None };
        if !joined.is_empty() {
            body = body.map(only).transpose()?;
        }
        let is_group = body.as_ref().map_or(step.kind, |body| body.kind) == Kind::Group;
        let next = if is_group { joined.pop() } else { None };
        nesting = if next.is_some() { nesting + 1 } else { 0 };
        if nesting > MAX_NESTING {
            return Err(too_deep());
        }
        let step = match (body, next) {
            (None, None) => step,
            (None, Some(next)) => Signature::chord(step, next),
            (Some(body), next) => {
                let body = match next {
                    Some(next) => Signature::chord(body, next),
                    None => body,
                };
                step.set_body(body);
                step
            }
        };
        joined.push(step);
    }
    joined.reverse();
    Ok(joined)
}

/// A group of one is that one where something follows it.
pub(super) fn only(mut signature: Signature) -> Result<Signature, CanvasError> {
    while signature.kind == Kind::Group {
        let mut tasks = signature.take_tasks()?;
        if tasks.len() != 1 {
            signature.set_tasks(tasks);
            break;
        }
        signature = expand(tasks.swap_remove(0))?;
    }
    Ok(signature)
}

/// Adds an error callback where the failure of this signature is noticed.
pub(super) fn link_error(signature: &mut Signature, errback: &Value) -> Result<(), CanvasError> {
    match signature.kind {
        Kind::Group => {
            let mut tasks = signature.take_tasks()?;
            tasks.iter_mut().try_for_each(|task| link_error(task, errback))?;
            signature.set_tasks(tasks);
        }
        Kind::Chord => {
            let mut header = signature.take_header()?;
            let mut tasks = header.take_tasks()?;
            let chords = tasks.iter_mut().filter(|task| task.kind == Kind::Chord);
            chords.into_iter().try_for_each(|task| link_error(task, errback))?;
            header.set_tasks(tasks);
            signature.set_header(header);
            let mut body = signature.take_body()?;
            link_error(&mut body, errback)?;
            signature.set_body(body);
        }
        _ => signature.append("link_error", errback),
    }
    Ok(())
}

fn follow(mut reference: Reference, previous: Option<Reference>) -> Reference {
    if let Some(previous) = previous {
        reference.after(previous);
    }
    reference
}

fn id_of(step: Option<&Signature>) -> Value {
    step.and_then(|step| step.options.get("task_id")).cloned().unwrap_or_default()
}
