//! The interfaces of `umbel:task` as guests call them, one file each.

mod context;
mod log;
mod progress;
mod tasks;

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::umbel::task;
use crate::state::State;

pub(crate) use progress::BadProgress;

/// Offers every interface of `umbel:task` to guests.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    task::types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    task::context::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    task::progress::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    task::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    task::tasks::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    Ok(())
}

impl task::types::Host for State {}
