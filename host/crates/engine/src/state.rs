//! What a store holds for one run.

use std::sync::Arc;
use std::time::Duration;

use umbel_task::call::Call;
use umbel_task::policy::Sandbox;
use umbel_task::runner::Outbox;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capture::Journal;
use crate::grants::{Granted, Opened};
use crate::limits::Limits;
use crate::meter::Meter;
use crate::profile::Profiler;
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
    pub(crate) granted: Arc<Granted>,
    /// How long it took until the function could be called.
    pub(crate) instantiated: Duration,
    pub(crate) profiler: Option<Arc<Profiler>>,
    /// The CPU time that was used when the profiler looked last.
    pub(crate) looked_at: Duration,
    handles: ResourceTable,
    /// Made when the guest first asks for something of WASI.
    wasi: Option<Box<(WasiCtx, Opened)>>,
}

impl State {
    pub(crate) fn new(
        call: Arc<Call>,
        outbox: Arc<dyn Outbox>,
        sandbox: &Sandbox,
        bounds: Arc<Bounds>,
        granted: Arc<Granted>,
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
            granted,
            instantiated: Duration::ZERO,
            profiler: None,
            looked_at: Duration::ZERO,
            handles,
            wasi: None,
        }
    }

    /// WASI, and what this run has opened of its grants. Every call of WASI's passes here.
    pub(crate) fn surroundings(&mut self) -> (WasiCtxView<'_>, &mut Opened) {
        self.meter.host_call();
        self.opened()
    }

    /// The same for who is called by one that has counted.
    pub(crate) fn opened(&mut self) -> (WasiCtxView<'_>, &mut Opened) {
        let (granted, journal, meter) = (&self.granted, &self.journal, &self.meter);
        let wasi = self.wasi.get_or_insert_with(|| Box::new(granted.open(journal, meter)));
        let (ctx, opened) = &mut **wasi;
        (WasiCtxView { ctx, table: &mut self.handles }, opened)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.surroundings().0
    }
}
