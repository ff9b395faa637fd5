//! Who was sent, as results name them: result tuples (PROTOCOL 4.5).

use umbel_value::Value;

/// How many predecessors a tuple names at most; a long chain would nest as deep.
const MAX_PARENTS: usize = 32;

/// The result of a task, or of a group, that was given its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    id: String,
    parent: Option<Box<Reference>>,
    /// Present for a group.
    members: Option<Vec<Reference>>,
    /// How many parents are above it.
    height: usize,
}

impl Reference {
    pub(super) fn task(id: String) -> Self {
        Self { id, parent: None, members: None, height: 0 }
    }

    pub(super) fn group(id: String, members: Vec<Reference>) -> Self {
        Self { id, parent: None, members: Some(members), height: 0 }
    }

    pub(super) fn is_group(&self) -> bool {
        self.members.is_some()
    }

    /// Names the one that comes before this and all its parents; too far back, nobody is named.
    pub(super) fn after(&mut self, previous: Reference) {
        let height = previous.height + 1;
        if self.height + height > MAX_PARENTS {
            return;
        }
        let mut first = self;
        loop {
            first.height += height;
            match first.parent {
                Some(ref mut parent) => first = parent,
                None => break,
            }
        }
        first.parent = Some(Box::new(previous));
    }

    /// A group of nothing but a group is that group.
    pub(super) fn unwrapped(mut self) -> Self {
        match self.members.as_deref() {
            Some([only]) if only.is_group() => {
                self.members.take().into_iter().flatten().next().unwrap_or(self)
            }
            _ => self,
        }
    }

    pub(super) fn into_value(self) -> Value {
        let parent = self.parent.map_or(Value::Null, |parent| parent.into_value());
        let members = self.members.map_or(Value::Null, |members| {
            members.into_iter().map(Reference::into_value).collect()
        });
        vec![vec![Value::from(self.id), parent].into(), members].into()
    }
}
