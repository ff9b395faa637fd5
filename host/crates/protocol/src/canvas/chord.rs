//! Chords: the body gets its ids, the header is sent with the body in each part (PROTOCOL 5.4).

use umbel_value::{Map, Value};

use super::chain::link_error;
use super::group::{Header, Members};
use super::planner::{Call, Place, Planner, Sent};
use super::reference::Reference;
use super::{CanvasError, Step};
use crate::signature::{self, Kind, Signature, merged};

impl Planner<'_, '_> {
    pub(super) fn apply_chord(
        &mut self,
        mut chord: Signature,
        call: Call,
    ) -> Result<Option<Sent>, CanvasError> {
        let mut header = chord.take_header()?;
        let mut body = self.unwrap(chord.take_body()?)?;
        let mut options = std::mem::take(&mut chord.options);
        let (group, id) = self.ids(&header, &body, &options, &call.options)?;
        let kwargs = kwargs_of_header(&mut chord.kwargs, call.kwargs)?;
        let args = if chord.immutable { chord.args } else { [call.args, chord.args].concat() };

        options.extend(call.options.into_iter().filter(|(_, value)| !value.is_null()));
        options.shift_remove("task_id");
        let delay = take(&mut options, &["countdown", "eta"]);
        link_body(&mut body, &take(&mut options, &["link", "link_error"]))?;
        let inherited = options.iter().filter(|(key, _)| *key != "parent_id");
        body.options.extend(inherited.map(|(key, value)| (key.clone(), value.clone())));
        let root = signature::text(&body.options, "root_id")?;
        let place = Place { id, root, group: Some(group.clone()), ..Place::default() };
        let mut result = self.freeze(&mut body, place.clone())?;

        let within = Place { id: None, ..place };
        let Members { signatures, references } = self.freeze_members(&mut header, &within)?;
        if signatures.is_empty() {
            let nothing = vec![Value::List(Vec::new())];
            return self.apply(body, Call { args: nothing, ..Call::default() });
        }
        let complex = references.iter().any(Reference::is_group);
        let reference = Reference::group(group.clone(), references);
        if complex {
            let tuple = reference.clone().into_value();
            self.plan.steps.push(Step::Keep { group: group.clone(), tuple });
        }
        // Neither what follows the chord nor the chord around it is for the header.
        take(&mut options, &["chain", "chord", "group_id", "group_index"]);
        options.extend(delay);
        let mut options = merged(header.options, options);
        take(&mut options, &["task_id", "chord", "group_id", "group_index"]);
        let header = Header { counted: Some(group), body: body.into_value() };
        self.send_members(signatures, Some(header), Call { args, kwargs, options, tail: None })?;
        result.after(reference.clone());
        Ok(Some(Sent { child: reference.unwrapped(), result }))
    }

    pub(super) fn freeze_chord(
        &mut self,
        chord: &mut Signature,
        place: Place,
    ) -> Result<Reference, CanvasError> {
        let mut header = chord.take_header()?;
        let mut body = self.unwrap(chord.take_body()?)?;
        let (group, id) = self.ids(&header, &body, &chord.options, &Map::new())?;
        let within = Place { root: place.root.clone(), ..Place::default() };
        let Members { signatures, references } = self.freeze_members(&mut header, &within)?;
        header.set_tasks(signatures);
        let place = Place { id: place.id.clone().or(id), ..place };
        let mut reference = self.freeze(&mut body, place)?;
        reference.after(Reference::group(group.clone(), references));
        header.options.insert("task_id".to_owned(), (&group).into());
        chord.options.insert("task_id".to_owned(), group.into());
        chord.set_header(header);
        chord.set_body(body);
        Ok(reference)
    }

    /// The id of a chord's group, and that meant for its body. Once a chord has its ids, its own is
    /// the group's; before, it is the body's, which is what the chord gives.
    fn ids(
        &mut self,
        header: &Signature,
        body: &Signature,
        own: &Map,
        call: &Map,
    ) -> Result<(String, Option<String>), CanvasError> {
        let own = signature::text(own, "task_id")?;
        let (of_group, of_body) =
            if body.options.contains_key("task_id") { (own, None) } else { (None, own) };
        let group = self.id(&header.options, of_group)?;
        Ok((group, signature::text(call, "task_id")?.or(of_body)))
    }
}

/// Adds callbacks to the body of a chord, where it ends.
fn link_body(body: &mut Signature, links: &Map) -> Result<(), CanvasError> {
    for callback in signature::several(links, "link") {
        link(body, &callback)?;
    }
    for errback in signature::several(links, "link_error") {
        link_error(body, &errback)?;
    }
    Ok(())
}

/// Adds a callback to what a signature ends with.
pub(super) fn link(signature: &mut Signature, callback: &Value) -> Result<(), CanvasError> {
    match signature.kind {
        Kind::Chord => {
            let mut body = signature.take_body()?;
            link(&mut body, callback)?;
            signature.set_body(body);
        }
        Kind::Group => {
            // As in Celery: after the first task, and without its value.
            let mut tasks = signature.take_tasks()?;
            if let Some(first) = tasks.first_mut() {
                let mut callback = Signature::read(callback.clone())?;
                callback.immutable = true;
                link(first, &callback.into_value())?;
            }
            signature.set_tasks(tasks);
        }
        _ => signature.append("link", callback),
    }
    Ok(())
}

/// The keyword arguments for each part of a header.
fn kwargs_of_header(kwargs: &mut Map, call: Map) -> Result<Map, CanvasError> {
    let own = kwargs.shift_remove("kwargs").unwrap_or_default();
    let mut own = signature::object(own, "`kwargs` of a chord's header")?;
    own.extend(call);
    Ok(own)
}

/// Takes options out that are not null.
fn take(options: &mut Map, keys: &[&str]) -> Map {
    let taken = keys.iter().filter_map(|key| options.shift_remove_entry(*key));
    taken.filter(|(_, value)| !value.is_null()).collect()
}
