//! Groups: flattened, given their ids, and sent (PROTOCOL 5.3).

use umbel_value::{Map, Value};

use super::chain::only;
use super::planner::{Call, Place, Planner, Sent, expand, stand, too_deep};
use super::reference::Reference;
use super::{CanvasError, MAX_MESSAGES, Step};
use crate::signature::{self, Kind, Signature, merged};

/// The tasks of a group, ready to be sent.
pub(super) struct Members {
    pub(super) signatures: Vec<Signature>,
    pub(super) references: Vec<Reference>,
}

/// The chord that members are parts of.
pub(super) struct Header {
    /// The group whose size is to be noted; `None` if a chord around it counts them.
    pub(super) counted: Option<String>,
    pub(super) body: Value,
}

impl Planner<'_, '_> {
    pub(super) fn apply_group(
        &mut self,
        mut group: Signature,
        call: Call,
    ) -> Result<Option<Sent>, CanvasError> {
        // A group that ends a chord's part belongs to that chord's group.
        let outer = signature::text(&group.options, "group_id")?;
        let mut options = merged(std::mem::take(&mut group.options), call.options);
        if options.get("chain").is_some_and(Value::is_truthy) {
            return self.continue_group(group, Call { options, ..call });
        }
        let id = self.id(&options, None)?;
        let chord = options.shift_remove("chord").filter(|chord| !chord.is_null());
        for key in ["task_id", "group_id", "group_index"] {
            options.shift_remove(key);
        }
        let place = Place {
            group: Some(outer.clone().unwrap_or_else(|| id.clone())),
            root: signature::text(&options, "root_id")?,
            ..Place::default()
        };
        let Members { signatures, references } = self.freeze_members(&mut group, &place)?;
        if signatures.is_empty() {
            return Ok(None);
        }
        let header = chord.map(|body| Header {
            counted: if outer.is_none() { Some(id.clone()) } else { None },
            body,
        });
        self.send_members(signatures, header, Call { options, ..call })?;
        Ok(Sent::whole(Reference::group(id, references).unwrapped()))
    }

    /// What follows a group is the body of a chord, whose header the group is.
    fn continue_group(
        &mut self,
        group: Signature,
        mut call: Call,
    ) -> Result<Option<Sent>, CanvasError> {
        let id = call.options.shift_remove_entry("task_id");
        let mut group = only(group)?;
        if group.kind != Kind::Group {
            return self.apply(group, call);
        }
        group.options.extend(id);
        let rest = call.options.shift_remove("chain").unwrap_or_default();
        let mut rest = signature::list(rest, "option `chain`")?;
        rest.reverse();
        let tasks = rest.into_iter().map(Signature::read).collect::<Result<Vec<_>, _>>()?;
        self.apply(Signature::chord(group, Signature::chain(tasks)), call)
    }

    pub(super) fn freeze_group(
        &mut self,
        group: &mut Signature,
        place: Place,
    ) -> Result<Reference, CanvasError> {
        let id = self.id(&group.options, place.id.clone())?;
        group.options.insert("task_id".to_owned(), (&id).into());
        if let Some(root) = &place.root {
            group.options.entry("root_id".to_owned()).or_insert_with(|| root.into());
        }
        // The chord is noted once, not in each member: they get it when they are sent.
        let within = Place { chord: None, index: None, id: None, ..place.clone() };
        stand(&mut group.options, place);
        let members = self.freeze_members(group, &within)?;
        group.set_tasks(members.signatures);
        Ok(Reference::group(id, members.references))
    }

    /// Takes a group's tasks out, with those of groups in it, and gives them their ids.
    pub(super) fn freeze_members(
        &mut self,
        group: &mut Signature,
        place: &Place,
    ) -> Result<Members, CanvasError> {
        let mut signatures = Vec::new();
        flatten(group, &mut signatures, 0)?;
        let mut references = Vec::with_capacity(signatures.len());
        for (index, member) in (0..).zip(&mut signatures) {
            references.push(self.freeze(member, Place { index: Some(index), ..place.clone() })?);
        }
        Ok(Members { signatures, references })
    }

    /// Sends the members of a group with the options of the call in each. A chord's size is noted
    /// before its last member leaves: until then it cannot be complete.
    pub(super) fn send_members(
        &mut self,
        members: Vec<Signature>,
        header: Option<Header>,
        mut call: Call,
    ) -> Result<(), CanvasError> {
        let size: usize = members.iter().map(parts).sum();
        let mut counted = None;
        if let Some(header) = header {
            call.options.insert("chord".to_owned(), header.body);
            counted = header.counted;
        }
        let repeated = call.options.values().chain(call.kwargs.values()).chain(&call.args);
        self.charge(repeated, members.len())?;
        let last = members.len().saturating_sub(1);
        for (index, member) in members.into_iter().enumerate() {
            if let Some(group) = counted.take_if(|_| index == last) {
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                self.plan.steps.push(Step::Size { group, size });
            }
            self.apply(member, call.clone())?;
        }
        Ok(())
    }
}

/// Groups in a group are one group; what sends nothing is left out.
fn flatten(
    group: &mut Signature,
    members: &mut Vec<Signature>,
    nesting: usize,
) -> Result<(), CanvasError> {
    if nesting > super::planner::MAX_NESTING {
        return Err(too_deep());
    }
    for task in group.take_tasks()? {
        let mut task = expand(task)?;
        if task.kind == Kind::Group {
            flatten(&mut task, members, nesting + 1)?;
        } else if parts(&task) > 0 {
            members.push(task);
        }
        if members.len() > MAX_MESSAGES {
            return Err(CanvasError(format!("a group of more than {MAX_MESSAGES} tasks")));
        }
    }
    Ok(())
}

/// How many tasks report to a chord that this is a part of (PROTOCOL 4.6).
pub(super) fn parts(signature: &Signature) -> usize {
    parts_in(signature.kind, &signature.kwargs, 0)
}

fn parts_in(kind: Kind, kwargs: &Map, nesting: usize) -> usize {
    if nesting > super::planner::MAX_NESTING {
        return 1; // refused elsewhere
    }
    let of = |value: &Value| {
        let kind = Kind::read(value.get("subtask_type").unwrap_or(&Value::Null));
        match (kind, value.get("kwargs")) {
            (Ok(kind), Some(Value::Map(kwargs))) => parts_in(kind, kwargs, nesting + 1),
            _ => 1,
        }
    };
    let tasks = || kwargs.get("tasks").and_then(Value::as_list).unwrap_or_default();
    match kind {
        Kind::Group => tasks().iter().map(of).fold(0, usize::saturating_add),
        Kind::Chain => tasks().iter().rev().map(of).find(|parts| *parts > 0).unwrap_or(0),
        Kind::Chord => kwargs.get("body").map_or(1, of),
        Kind::Chunks => {
            let items = kwargs.get("it").and_then(Value::as_list).unwrap_or_default().len();
            let size = kwargs.get("n").and_then(Value::as_u64).unwrap_or(1).max(1);
            items.div_ceil(usize::try_from(size).unwrap_or(usize::MAX))
        }
        Kind::Task | Kind::Map | Kind::Starmap => 1,
    }
}
