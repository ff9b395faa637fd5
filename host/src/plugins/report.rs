//! What a running worker says of its plugins.

use umbel_engine::LoadedTask;
use umbel_value::{Map, Value};

use super::happening::Counts;
use super::slot::Slot;
use super::state::State;
use crate::fault::redact;

/// Each plugin version with what it did, what was refused, and how often anything happened.
pub(crate) fn report(state: &State, counts: &Counts) -> Value {
    let mut plugins = Vec::new();
    for (owner, slots) in state.owners() {
        let weights = state.weights(&owner, &slots);
        let of_several = slots.len() > 1;
        for (slot, weight) in slots.iter().zip(weights) {
            plugins.push(plugin(owner.name(), slot, of_several.then_some(weight)));
        }
    }
    let counts = counts.read().map(|(name, count)| (name, Value::from(count)));
    Value::from([("plugins", Value::from(plugins)), ("counts", Value::from(counts))])
}

fn plugin(name: &str, slot: &Slot, weight: Option<u32>) -> Value {
    let serving = slot.serving.as_ref();
    let tasks: Vec<Value> =
        serving.iter().flat_map(|serving| &serving.plugin.tasks).map(|one| task(one)).collect();
    let refused = slot.refused.as_ref().map(|refused| {
        Value::from([
            ("why", Value::from(redact(&refused.why))),
            ("version", refused.digest.clone().into()),
            ("at", refused.at.to_string().into()),
        ])
    });
    let mut shown: Map = [
        ("plugin", Value::from(name)),
        ("file", slot.wanted.source.file.display().to_string().into()),
        ("version", serving.map(|serving| serving.plugin.version.digest.to_string()).into()),
        ("since", serving.map(|serving| serving.since.to_string()).into()),
        ("tasks", tasks.into()),
        ("refused", refused.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    if let Some(weight) = weight {
        shown.insert("weight".to_owned(), u64::from(weight).into());
    }
    Value::Map(shown)
}

fn task(task: &LoadedTask) -> Value {
    let runs = task.runs();
    Value::from([
        ("name", task.signature().name.as_str().into()),
        ("signature", task.signature().to_string().into()),
        ("running", runs.running.into()),
        ("runs", runs.ended.into()),
        ("failures", runs.failed.into()),
    ])
}
