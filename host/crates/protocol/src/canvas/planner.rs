//! What is sent, while it is being worked out: the plan, its bounds, and the rules that hold for
//! signatures of every kind.

use umbel_value::{Map, Value};

use super::reference::Reference;
use super::{CanvasError, MAX_MESSAGES, Plan, Sender, Step};
use crate::message::{Chain, Message, Route};
use crate::signature::{self, Kind, Signature};

/// Canvas in canvas in canvas: no deeper than this.
pub(super) const MAX_NESTING: usize = 64;

/// What a plan may hold, in values and bytes of text. A chord repeats its body for every part, a
/// group its options: little text can ask for much.
pub(super) const MAX_WEIGHT: usize = 256 << 20;

/// What a signature is applied with.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Map,
    pub(super) options: Map,
    /// The steps after it, where they need not be read: only for a single task.
    pub(super) tail: Option<Chain>,
}

/// Where a signature stands in a canvas; it takes from this what it does not say itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) id: Option<String>,
    pub(super) root: Option<String>,
    pub(super) group: Option<String>,
    pub(super) index: Option<u32>,
    /// The body of the chord it is a part of.
    pub(super) chord: Option<Value>,
}

/// What came of a canvas.
pub(super) struct Sent {
    /// What the sender lists among its children: who was sent at once.
    pub(super) child: Reference,
    /// Whose result is the result of the whole.
    pub(super) result: Reference,
}

impl Sent {
    /// What was sent at once is the whole.
    pub(super) fn whole(reference: Reference) -> Option<Sent> {
        Some(Sent { child: reference.clone(), result: reference })
    }
}

pub(super) struct Planner<'a, 'b> {
    pub(super) sender: &'a mut Sender<'b>,
    pub(super) plan: Plan,
    messages: usize,
    weight: usize,
    nesting: usize,
}

impl<'a, 'b> Planner<'a, 'b> {
    pub(super) fn new(sender: &'a mut Sender<'b>) -> Self {
        Self { sender, plan: Plan::default(), messages: 0, weight: 0, nesting: 0 }
    }

    /// Applies a signature for the sender itself, who keeps what was sent as its child.
    pub(super) fn start(&mut self, signature: Signature, call: Call) -> Result<(), CanvasError> {
        if let Some(Sent { child, result }) = self.apply(signature, call)? {
            self.plan.children.push(child.into_value());
            self.plan.result = Some(result.into_value());
        }
        Ok(())
    }

    /// Plans the messages of a signature; `None` if there are none.
    pub(super) fn apply(
        &mut self,
        signature: Signature,
        call: Call,
    ) -> Result<Option<Sent>, CanvasError> {
        self.nested(|planner| {
            let signature = expand(signature)?;
            match signature.kind {
                Kind::Chain => planner.apply_chain(signature, call),
                Kind::Group => planner.apply_group(signature, call),
                Kind::Chord => planner.apply_chord(signature, call),
                _ => planner.apply_task(signature, call).map(Sent::whole),
            }
        })
    }

    /// Gives a signature, and all in it that will run, the ids it will run with.
    pub(super) fn freeze(
        &mut self,
        signature: &mut Signature,
        place: Place,
    ) -> Result<Reference, CanvasError> {
        self.nested(|planner| match signature.kind {
            Kind::Chain => planner.freeze_chain(signature, place),
            Kind::Group => planner.freeze_group(signature, place),
            Kind::Chord => planner.freeze_chord(signature, place),
            _ => planner.freeze_task(signature, place),
        })
    }

    fn freeze_task(
        &mut self,
        signature: &mut Signature,
        place: Place,
    ) -> Result<Reference, CanvasError> {
        let id = self.id(&signature.options, place.id.clone())?;
        let options = &mut signature.options;
        options.insert("task_id".to_owned(), (&id).into());
        if let Some(root) = &place.root {
            options.insert("root_id".to_owned(), root.into());
        }
        let reply_to = self.sender.parent.and_then(|parent| parent.reply_to.as_ref());
        if let Some(reply_to) = reply_to.filter(|reply_to| !reply_to.is_empty()) {
            // The results of all that follows are to reach the client of the first.
            options.entry("reply_to".to_owned()).or_insert_with(|| reply_to.into());
        }
        stand(options, place);
        Ok(Reference::task(id))
    }

    /// The id that options give, or else this one, or else a fresh one.
    pub(super) fn id(&mut self, options: &Map, id: Option<String>) -> Result<String, CanvasError> {
        let given = signature::text(options, "task_id")?.or(id);
        Ok(given.unwrap_or_else(|| (self.sender.ids)()))
    }

    pub(super) fn send(&mut self, route: Route, message: Message) -> Result<(), CanvasError> {
        self.messages += 1;
        if self.messages > MAX_MESSAGES {
            return Err(CanvasError(format!("more than {MAX_MESSAGES} messages at once")));
        }
        self.plan.steps.push(Step::Send { route, message: Box::new(message) });
        Ok(())
    }

    /// Counts values that are about to be repeated `times`.
    pub(super) fn charge<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v Value>,
        times: usize,
    ) -> Result<(), CanvasError> {
        let weight = values.into_iter().map(weight).fold(0, usize::saturating_add);
        self.charge_bytes(weight.saturating_mul(times))
    }

    /// As [`Planner::charge`], of what is known by its size alone.
    pub(super) fn charge_bytes(&mut self, weight: usize) -> Result<(), CanvasError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT {
            return Err(CanvasError(format!(
                "the messages of one canvas hold more than {} MiB",
                MAX_WEIGHT >> 20
            )));
        }
        Ok(())
    }

    /// Goes one level deeper into a canvas.
    pub(super) fn nested<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, CanvasError>,
    ) -> Result<T, CanvasError> {
        if self.nesting >= MAX_NESTING {
            return Err(too_deep());
        }
        self.nesting += 1;
        let result = work(self);
        self.nesting -= 1;
        result
    }
}

pub(super) fn too_deep() -> CanvasError {
    CanvasError(format!("a canvas nested more than {MAX_NESTING} levels deep"))
}

/// Writes a place into options: a group they name already stays, a chord and an index do not.
pub(super) fn stand(options: &mut Map, place: Place) {
    if let Some(group) = place.group {
        options.entry("group_id".to_owned()).or_insert_with(|| group.into());
    }
    if let Some(chord) = place.chord {
        options.insert("chord".to_owned(), chord);
    }
    if let Some(index) = place.index {
        options.insert("group_index".to_owned(), index.into());
    }
}

/// Chunks are a group of starmaps; everything else is what it is.
pub(super) fn expand(mut signature: Signature) -> Result<Signature, CanvasError> {
    if signature.kind != Kind::Chunks {
        return Ok(signature);
    }
    let mut take = |key: &str| signature.kwargs.shift_remove(key).unwrap_or_default();
    let (task, size) = (take("task"), take("n"));
    let items = signature::list(take("it"), "`it` of chunks")?;
    let size = size.as_u64().filter(|size| *size > 0).ok_or_else(|| {
        CanvasError(format!("`n` of chunks is {}, not a number above zero", size.type_name()))
    })?;
    if items.len() as u64 / size >= MAX_MESSAGES as u64 {
        return Err(CanvasError(format!("more than {MAX_MESSAGES} chunks")));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let parts = items.chunks(size).map(|part| {
        let kwargs = [("task".to_owned(), task.clone()), ("it".to_owned(), part.to_vec().into())];
        Signature::new(Kind::Starmap, crate::names::STARMAP, kwargs.into_iter().collect())
    });
    let mut group = Signature::group(parts.collect());
    group.options = signature.options;
    Ok(group)
}

/// What a value takes, about.
pub(super) fn weight(value: &Value) -> usize {
    let inner = match value {
        Value::Text(text) | Value::Tagged(_, text) | Value::Big(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    };
    inner + size_of::<Value>()
}
