//! Who will never run because of a failure (PROTOCOL 5.5). Reads what it can: a failure cannot be
//! refused.

use umbel_value::{Map, Value};

use super::Abandoned;
use super::planner::{MAX_NESTING, MAX_WEIGHT, weight};
use crate::message::Message;
use crate::signature::{Kind, several};

/// See [`super::abandon`].
pub(super) fn chain(message: &Message) -> Vec<Abandoned> {
    let mut lost = Lost { list: Vec::new(), original: false };
    let chain = message.embed.chain.as_ref().and_then(|chain| chain.value().ok());
    lost.steps(chain.as_ref());
    lost.list
}

/// See [`super::abandon_body`].
pub(super) fn body(chord: &Value) -> Vec<Abandoned> {
    let mut lost = Lost { list: Vec::new(), original: kind(chord) == Kind::Group };
    lost.add(chord, Inherited { errbacks: Some(Vec::new()), ..Inherited::default() }, 0);
    lost.original = false;
    lost.steps(chord.get("options").and_then(|options| options.get("chain")));
    lost.list
}

struct Lost {
    list: Vec<Abandoned>,
    original: bool,
}

/// What a signature takes over from the canvas around it where it does not say it itself.
#[derive(Clone, Default)]
struct Inherited {
    /// The body of the chord it is a part of, if it has a group too.
    chord: Option<Value>,
    group: Option<String>,
    index: Option<u32>,
    /// `None`: nobody's error callbacks are called.
    errbacks: Option<Vec<Value>>,
}

impl Inherited {
    fn extend(&mut self, options: &Map) {
        let chord = options.get("chord").filter(|chord| chord.as_map().is_some());
        let group = options.get("group_id").and_then(Value::as_str);
        let index = options.get("group_index").and_then(Value::as_u64);
        self.chord = chord.cloned().or(self.chord.take());
        self.group = group.map(str::to_owned).or(self.group.take());
        self.index = index.and_then(|index| u32::try_from(index).ok()).or(self.index);
        let Some(errbacks) = &mut self.errbacks else { return };
        for errback in several(options, "link_error") {
            if !errbacks.contains(&errback) {
                errbacks.push(errback);
            }
        }
    }
}

impl Lost {
    fn steps(&mut self, chain: Option<&Value>) {
        for step in chain.and_then(Value::as_list).unwrap_or_default() {
            self.add(step, Inherited::default(), 0);
        }
    }

    fn add(&mut self, signature: &Value, mut inherited: Inherited, nesting: usize) {
        let Some(options) = signature.get("options").and_then(Value::as_map) else { return };
        if nesting > MAX_NESTING {
            return;
        }
        let id = options.get("task_id").and_then(Value::as_str);
        inherited.extend(options);
        let inner = |key| signature.get("kwargs").and_then(|kwargs| kwargs.get(key));
        let tasks = || inner("tasks").and_then(Value::as_list).unwrap_or_default();
        match kind(signature) {
            Kind::Chain => {
                // The chain's own id is that of its last step.
                let Some((last, before)) = tasks().split_last() else { return };
                for step in before {
                    self.add(step, Inherited::default(), nesting + 1);
                }
                self.add(last, inherited, nesting + 1);
            }
            Kind::Group => {
                // Each member gets a copy of the body; a message may ask for more than there is.
                let copied = inherited.chord.as_ref().map_or(0, weight);
                if copied.saturating_mul(tasks().len()) > MAX_WEIGHT {
                    inherited.chord = None;
                }
                for member in tasks() {
                    self.add(member, inherited.clone(), nesting + 1);
                }
                self.push(id, Inherited::default());
            }
            Kind::Chord => {
                self.push(id, Inherited::default());
                if let Some(body) = inner("body") {
                    self.add(body, inherited, nesting + 1);
                }
            }
            _ => self.push(id, inherited),
        }
    }

    /// Without an id nothing can be stored, and no chord knows of it.
    fn push(&mut self, id: Option<&str>, inherited: Inherited) {
        let Some(id) = id.filter(|id| !id.is_empty()) else { return };
        let Inherited { chord, group, index, errbacks } = inherited;
        let part = group.zip(chord).map(|(group, chord)| (group, index, chord));
        let (id, errbacks) = (id.to_owned(), errbacks.unwrap_or_default());
        self.list.push(Abandoned { id, part, errbacks, original: self.original });
    }
}

fn kind(signature: &Value) -> Kind {
    let kind = signature.get("subtask_type").map(Kind::read);
    kind.and_then(Result::ok).unwrap_or(Kind::Task)
}
