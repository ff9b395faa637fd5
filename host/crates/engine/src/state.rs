//! What a store holds for one run.

use std::sync::Arc;

use umbel_task::call::Call;
use umbel_task::policy::Sandbox;
use umbel_task::runner::{Outbox, Source};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capture::Journal;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::run::Bounds;

/// One run's own data. Nothing in it outlives the run or is seen by another one.
pub(crate) struct State {
    pub(crate) call: Arc<Call>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) journal: Journal,
    pub(crate) limits: Limits,
    /// What the run uses of the host.
    pub(crate) meter: Arc<Meter>,
    pub(crate) bounds: Arc<Bounds>,
    /// Bytes a result or a progress note may have.
    pub(crate) output: u64,
    /// Bytes the run may still send in tasks.
    pub(crate) sendable: u64,
    handles: ResourceTable,
    /// Made when the guest first asks for something of WASI.
    wasi: Option<Box<WasiCtx>>,
}

impl State {
    pub(crate) fn new(
        call: Arc<Call>,
        outbox: Arc<dyn Outbox>,
        sandbox: &Sandbox,
        bounds: Arc<Bounds>,
    ) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(sandbox.handles as usize);
        Self {
            call,
            journal: Journal::new(outbox.clone(), sandbox.log),
            outbox,
            limits: Limits::new(sandbox),
            meter: bounds.meter.clone(),
            bounds,
            output: sandbox.output,
            sendable: sandbox.output,
            handles,
            wasi: None,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Every call of WASI's passes here.
        self.meter.host_call();
        let journal = &self.journal;
        // No arguments, no environment, no directory, no network: clocks, random numbers and
        // captured output are all there is.
        let wasi = self.wasi.get_or_insert_with(|| {
            Box::new(
                WasiCtx::builder()
                    .stdout(journal.stream(Source::Stdout))
                    .stderr(journal.stream(Source::Stderr))
                    .allow_tcp(false)
                    .allow_udp(false)
                    .max_random_size(MOST_RANDOM)
                    .build(),
            )
        });
        WasiCtxView { ctx: wasi, table: &mut self.handles }
    }
}

/// Bytes of randomness one host call may ask for.
const MOST_RANDOM: u64 = 1 << 20;
