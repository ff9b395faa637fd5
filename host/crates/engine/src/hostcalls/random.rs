//! `wasi:random` with its bytes counted.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::random::{insecure, random};
use wasmtime_wasi::random::WasiRandomCtx;

use crate::meter::Meter;
use crate::state::State;

/// Randomness as one run draws it.
struct Drawn<'a> {
    from: &'a mut WasiRandomCtx,
    meter: Arc<Meter>,
}

struct Draws;

impl HasData for Draws {
    type Data<'a> = Drawn<'a>;
}

/// Puts the counted interfaces in the place of WASI's own.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    random::add_to_linker::<State, Draws>(linker, drawn)?;
    insecure::add_to_linker::<State, Draws>(linker, drawn)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn drawn(state: &mut State) -> Drawn<'_> {
    let meter = state.meter.clone();
    Drawn { from: state.ctx().ctx.random(), meter }
}

impl random::Host for Drawn<'_> {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.meter.random(length)?;
        self.from.get_random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.meter.random(size_of::<u64>() as u64)?;
        self.from.get_random_u64()
    }
}

impl insecure::Host for Drawn<'_> {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.meter.random(length)?;
        self.from.get_insecure_random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.meter.random(size_of::<u64>() as u64)?;
        self.from.get_insecure_random_u64()
    }
}
