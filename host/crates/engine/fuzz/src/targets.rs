//! What is done with an input, and what must come of it.

use std::time::{Duration, Instant};

use umbel_task::outcome::Outcome;
use umbel_value::Value;

use crate::chance::Chance;
use crate::lab::{Lab, READER_FAILS};
use crate::types::Types;

pub(crate) type Target = (&'static str, fn(&mut Lab, &mut Chance) -> Result<(), String>);

pub(crate) const ALL: &[Target] = &[("values", values), ("loader", loader), ("wit", wit)];

/// More time than the reader may take.
const QUICK: Duration = Duration::from_secs(2);

/// Values of one generated type.
const VALUES: usize = 40;

/// A value of a generated type goes through a component and comes back; one of another type is
/// refused.
fn values(lab: &mut Lab, chance: &mut Chance) -> Result<(), String> {
    let mut types = Types::default();
    let ty = types.generate(chance, 4);
    let text = types.echo(ty);
    let binary = wat::parse_str(&text).map_err(|why| format!("is no component: {why}\n{text}"))?;
    let plugin = lab.load(&binary).map_err(|why| format!("does not load: {why}\n{text}"))?;
    let Some(task) = plugin.tasks.first() else {
        // A type too large to be described.
        return Ok(());
    };
    for _ in 0..VALUES {
        let value = types.value(ty, chance);
        let outcome = lab.run(task, vec![Value::List(vec![value.clone()])]);
        let (back, wanted) = match outcome {
            // A list of u8 is bytes.
            Outcome::Done(back @ Value::Bytes(_)) => (back, types.as_bytes(&value)),
            Outcome::Done(Value::List(mut items)) if items.len() == 1 => (items.remove(0), value),
            // A busy machine.
            Outcome::OverLimit(..) => continue,
            other => return Err(format!("gives {other:?} for {}\n{text}", value.to_json())),
        };
        if back.to_json() != wanted.to_json() {
            return Err(format!("gives {} for {}\n{text}", back.to_json(), wanted.to_json()));
        }
    }
    let stranger = types.generate(chance, 3);
    for _ in 0..VALUES {
        let value = types.value(stranger, chance);
        let outcome = lab.run(task, vec![Value::List(vec![value.clone()])]);
        if !matches!(outcome, Outcome::Done(_) | Outcome::Failed(_) | Outcome::OverLimit(..)) {
            return Err(format!("gives {outcome:?} for the stranger {}\n{text}", value.to_json()));
        }
    }
    Ok(())
}

/// A component with changes loads or does not; what loads runs to an end.
fn loader(lab: &mut Lab, chance: &mut Chance) -> Result<(), String> {
    let bytes = mutated(lab, chance);
    let Ok(plugin) = lab.load(&bytes) else { return Ok(()) };
    for task in plugin.tasks.iter().take(3) {
        lab.run(task, Vec::new());
    }
    Ok(())
}

/// The reader of interfaces alone, on what the compiler takes: a load validates before it reads. What
/// is not validated may keep the reader busy for minutes. Where it fails, the load is to say so.
fn wit(lab: &mut Lab, chance: &mut Chance) -> Result<(), String> {
    let bytes = mutated(lab, chance);
    match lab.load(&bytes) {
        Err(error) if error.to_string().contains("cannot be compiled") => return Ok(()),
        Err(error) if error.to_string().contains(READER_FAILS) => return Ok(()),
        _ => {}
    }
    let began = Instant::now();
    let read = std::panic::catch_unwind(|| umbel_engine::count_tasks(&bytes));
    match (read, began.elapsed()) {
        (Err(_), _) => Err("makes the reader panic".to_owned()),
        (_, took) if took > QUICK => Err(format!("keeps the reader busy for {took:?}")),
        _ => Ok(()),
    }
}

/// A seed, or a component of generated types, with a few changes.
fn mutated(lab: &mut Lab, chance: &mut Chance) -> Vec<u8> {
    let other = &lab.seeds[chance.below(lab.seeds.len())];
    let mut bytes = lab.seeds[chance.below(lab.seeds.len())].clone();
    if chance.once_in(2) {
        let mut types = Types::default();
        let ty = types.generate(chance, 4);
        bytes = wat::parse_str(types.echo(ty)).unwrap_or(bytes);
    }
    chance.spoil(&mut bytes, other);
    lab.last.clone_from(&bytes);
    bytes
}
