//! The interfaces of `umbel:task` as guests call them, one file each.

mod context;
mod log;
mod progress;
mod random;
mod tasks;

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::umbel::task;
use crate::state::State;

pub(crate) use progress::BadProgress;

/// Offers every interface of `umbel:task` to guests, and those of WASI that are counted here.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    task::types::add_to_linker::<State, HasSelf<State>>(linker, counted)?;
    task::context::add_to_linker::<State, HasSelf<State>>(linker, counted)?;
    task::progress::add_to_linker::<State, HasSelf<State>>(linker, counted)?;
    task::log::add_to_linker::<State, HasSelf<State>>(linker, counted)?;
    task::tasks::add_to_linker::<State, HasSelf<State>>(linker, counted)?;
    random::add_to_linker(linker)?;
    Ok(())
}

/// Every call of `umbel:task` passes here.
fn counted(state: &mut State) -> &mut State {
    state.meter.host_call();
    state
}

impl task::types::Host for State {}
