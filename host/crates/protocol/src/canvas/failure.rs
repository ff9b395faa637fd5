//! Who will never run because of a failure (PROTOCOL 5.5). Reads what it can: a failure cannot be
//! refused.

use umbel_value::{Map, Value};

use super::Abandoned;
use super::planner::MAX_NESTING;
use crate::message::Message;
use crate::signature::{Kind, several};

/// A chord that somebody is a part of: group, position and body.
type Part = (String, Option<u32>, Value);

/// Members that inherit a chord each get a copy of its body; so many at most.
const MAX_COPIES: usize = 10_000;

/// See [`super::abandon`].
pub(super) fn chain(message: &Message) -> Vec<Abandoned> {
    let mut lost = Lost { list: Vec::new(), original: false };
    lost.steps(message.embed.chain.as_ref());
    lost.list
}

/// See [`super::abandon_body`].
pub(super) fn body(chord: &Value) -> Vec<Abandoned> {
    let mut lost = Lost { list: Vec::new(), original: kind(chord) == Kind::Group };
    lost.add(chord, Inherited { part: None, errbacks: Some(Vec::new()) }, 0);
    lost.original = false;
    lost.steps(chord.get("options").and_then(|options| options.get("chain")));
    lost.list
}

struct Lost {
    list: Vec<Abandoned>,
    original: bool,
}

/// What a signature takes over from the canvas around it.
#[derive(Clone)]
struct Inherited {
    part: Option<Part>,
    /// `None`: nobody's error callbacks are called.
    errbacks: Option<Vec<Value>>,
}

const NOTHING: Inherited = Inherited { part: None, errbacks: None };

impl Lost {
    fn steps(&mut self, chain: Option<&Value>) {
        for step in chain.and_then(Value::as_list).unwrap_or_default() {
            self.add(step, NOTHING, 0);
        }
    }

    fn add(&mut self, signature: &Value, mut inherited: Inherited, nesting: usize) {
        let Some(options) = signature.get("options").and_then(Value::as_map) else { return };
        if nesting > MAX_NESTING {
            return;
        }
        let id = options.get("task_id").and_then(Value::as_str);
        inherited.part = part(options).or(inherited.part);
        for errback in several(options, "link_error") {
            if let Some(errbacks) =
                inherited.errbacks.as_mut().filter(|list| !list.contains(&errback))
            {
                errbacks.push(errback);
            }
        }
        let inner = |key| signature.get("kwargs").and_then(|kwargs| kwargs.get(key));
        let tasks = || inner("tasks").and_then(Value::as_list).unwrap_or_default();
        match kind(signature) {
            Kind::Chain => {
                // The chain's own id is that of its last step.
                let Some((last, before)) = tasks().split_last() else { return };
                for step in before {
                    self.add(step, NOTHING, nesting + 1);
                }
                self.add(last, inherited, nesting + 1);
            }
            Kind::Group => {
                for member in tasks().iter().take(MAX_COPIES) {
                    self.add(member, inherited.clone(), nesting + 1);
                }
                self.push(id, NOTHING);
            }
            Kind::Chord => {
                self.push(id, NOTHING);
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
        let Inherited { part, errbacks } = inherited;
        let (id, errbacks) = (id.to_owned(), errbacks.unwrap_or_default());
        self.list.push(Abandoned { id, part, errbacks, original: self.original });
    }
}

fn part(options: &Map) -> Option<Part> {
    let chord = options.get("chord").filter(|chord| chord.as_map().is_some())?;
    let group = options.get("group_id")?.as_str()?.to_owned();
    let index = options.get("group_index").and_then(Value::as_u64);
    Some((group, index.and_then(|index| u32::try_from(index).ok()), chord.clone()))
}

fn kind(signature: &Value) -> Kind {
    let kind = signature.get("subtask_type").map(Kind::read);
    kind.and_then(Result::ok).unwrap_or(Kind::Task)
}
