//! WASI 0.3 beside 0.2: the same surroundings, grants and meter. Clocks and randomness are counted
//! here; files and sockets in `grants`, which puts its own calls in the place of these.

use std::time::Duration;

use wasmtime::component::{Accessor, HasData, Linker};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p3::bindings::clocks::{monotonic_clock, system_clock, types as clock_types};
use wasmtime_wasi::p3::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomView;

use crate::state::State;

/// The run itself, for interfaces that look at its meter.
struct Run;

impl HasData for Run {
    type Data<'a> = Counted<'a>;
}

/// One run's state for one host call.
struct Counted<'a>(&'a mut State);

/// Adds every interface of WASI 0.3 that a task may have.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p3::{cli, filesystem, sockets};
    cli::add_to_linker(linker)?;
    filesystem::add_to_linker(linker)?;
    clock_types::add_to_linker::<State, Run>(linker, counted)?;
    monotonic_clock::add_to_linker::<State, Run>(linker, counted)?;
    system_clock::add_to_linker::<State, Run>(linker, counted)?;
    random::add_to_linker::<State, Run>(linker, counted)?;
    insecure::add_to_linker::<State, Run>(linker, counted)?;
    insecure_seed::add_to_linker::<State, Run>(linker, counted)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    sockets::add_to_linker(linker)
}

fn counted(state: &mut State) -> Counted<'_> {
    Counted(state)
}

impl clock_types::Host for Counted<'_> {}

impl system_clock::Host for Counted<'_> {
    fn now(&mut self) -> wasmtime::Result<system_clock::Instant> {
        system_clock::Host::now(&mut self.0.clocks())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<clock_types::Duration> {
        system_clock::Host::get_resolution(&mut self.0.clocks())
    }
}

impl monotonic_clock::Host for Counted<'_> {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Mark> {
        monotonic_clock::Host::now(&mut self.0.clocks())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<clock_types::Duration> {
        monotonic_clock::Host::get_resolution(&mut self.0.clocks())
    }
}

impl<U> monotonic_clock::HostWithStore<U> for Run {
    async fn wait_until(
        store: &Accessor<U, Self>,
        when: monotonic_clock::Mark,
    ) -> wasmtime::Result<()> {
        let now = store.with(|mut access| monotonic_clock::Host::now(&mut access.get()))?;
        tokio::time::sleep(Duration::from_nanos(when.saturating_sub(now))).await;
        Ok(())
    }

    async fn wait_for(
        store: &Accessor<U, Self>,
        how_long: clock_types::Duration,
    ) -> wasmtime::Result<()> {
        store.with(|mut access| access.get().0.meter.host_call());
        tokio::time::sleep(Duration::from_nanos(how_long)).await;
        Ok(())
    }
}

impl random::Host for Counted<'_> {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.meter.random(length)?;
        random::Host::get_random_bytes(self.0.random(), length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.0.meter.random(size_of::<u64>() as u64)?;
        random::Host::get_random_u64(self.0.random())
    }
}

impl insecure::Host for Counted<'_> {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.meter.random(length)?;
        insecure::Host::get_insecure_random_bytes(self.0.random(), length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.0.meter.random(size_of::<u64>() as u64)?;
        insecure::Host::get_insecure_random_u64(self.0.random())
    }
}

impl insecure_seed::Host for Counted<'_> {
    fn get_insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        insecure_seed::Host::get_insecure_seed(self.0.random())
    }
}
