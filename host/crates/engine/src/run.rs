//! One run: a fresh store, the limits, the call, the bill.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use umbel_task::call::Call;
use umbel_task::name::PluginVersion;
use umbel_task::outcome::{Cost, Ended, Outcome};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::Outbox;
use wasmtime::component::{ComponentExportIndex, InstancePre, Val};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::arguments::bind;
use crate::config::{Flavour, Shared};
use crate::cpu::CpuClock;
use crate::deadlines::Deadlines;
use crate::ending::{broken, returned};
use crate::grants::Granted;
use crate::meter::Meter;
use crate::profile::Profiler;
use crate::shape::{Function, Give};
use crate::state::State;

/// All a task needs to run.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) flavour: Arc<Flavour>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) export: ComponentExportIndex,
    pub(crate) function: Function,
    pub(crate) policy: TaskPolicy,
    pub(crate) granted: Arc<Granted>,
    pub(crate) version: PluginVersion,
}

/// The worker wants the run to end.
#[derive(Debug)]
pub(crate) struct Stopped;

/// All that may end a run before it returns, shared by the run and by whoever watches it.
pub(crate) struct Bounds {
    pub(crate) stop: CancellationToken,
    pub(crate) deadlines: Deadlines,
    pub(crate) cpu: CpuClock,
    pub(crate) meter: Arc<Meter>,
}

/// Runs on the guests' own threads and waits for the end. Cancel safe: a dropped future ends the
/// run.
pub(crate) async fn hand_over(
    core: Arc<Core>,
    call: Call,
    outbox: Arc<dyn Outbox>,
    stop: CancellationToken,
    profiler: Option<Arc<Profiler>>,
) -> Ended {
    let shared = core.shared.clone();
    let run = run(core, call, outbox, stop, profiler);
    let mut handle = AbortOnDrop(shared.guests.spawn(run));
    match (&mut handle.0).await {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => {
            // A guest cannot panic, only a host call on its behalf can.
            let reason = "a host call failed inside the worker".to_owned();
            unbilled(Outcome::Crashed { reason, traceback: None })
        }
        Err(_) => unbilled(Outcome::Stopped),
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<Ended>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs on the current thread's runtime, from waiting for a slot to the bill.
pub(crate) async fn run(
    core: Arc<Core>,
    call: Call,
    outbox: Arc<dyn Outbox>,
    stop: CancellationToken,
    profiler: Option<Arc<Profiler>>,
) -> Ended {
    let shared = &core.shared;
    let slot = tokio::select! {
        biased;
        slot = shared.slots.acquire() => slot,
        () = stop.cancelled() => return unbilled(Outcome::Stopped),
        () = shared.closed.cancelled() => return unbilled(Outcome::Stopped),
    };
    if stop.is_cancelled() || shared.closed.is_cancelled() {
        return unbilled(Outcome::Stopped);
    }
    let params = match bind(&core.function, &call.args, &call.kwargs) {
        Ok(params) => params,
        Err(failure) => return unbilled(Outcome::Failed(failure)),
    };
    let start = Instant::now();
    let sandbox = &core.policy.sandbox;
    let bounds = Arc::new(Bounds {
        stop,
        deadlines: Deadlines::new(&call, sandbox, start),
        cpu: CpuClock::new(sandbox.cpu()),
        meter: Arc::new(Meter::new(sandbox)),
    });
    let granted = core.granted.clone();
    let mut state = State::new(Arc::new(call), outbox, sandbox, bounds.clone(), granted);
    state.profiler = profiler;
    let mut store = store(&core, state);
    let ended = {
        let call = attempt(&core, &mut store, &params);
        watch(shared, call, &bounds).await
    };
    let (outcome, output) = match ended {
        Ok(val) => returned(&core.function.give, val, sandbox.output),
        Err(error) => (broken(&error, sandbox), 0),
    };
    let mut cost = bill(&core, &store, &bounds);
    (cost.output, cost.wall) = (output, start.elapsed());
    drop(store);
    drop(slot);
    Ended { outcome, cost }
}

/// What a run used, but for what is known of its result.
fn bill(core: &Core, store: &Store<State>, bounds: &Bounds) -> Cost {
    let State { limits, journal, instantiated, .. } = store.data();
    let dropped = bounds.meter.progress_dropped();
    if dropped > 0 {
        let most = core.policy.sandbox.progress;
        journal.warn(format!("{dropped} progress updates dropped beyond the limit of {most}"));
    }
    let fuel = core.flavour.metered.then(|| {
        let given = core.policy.sandbox.fuel.unwrap_or(u64::MAX);
        given.saturating_sub(store.get_fuel().unwrap_or(given))
    });
    let mut cost = Cost {
        cpu: bounds.cpu.used(),
        instantiate: *instantiated,
        memory: limits.peak(),
        fuel,
        log: journal.finish(),
        table_elements: limits.table_elements(),
        ..Cost::default()
    };
    bounds.meter.bill(&mut cost);
    cost
}

fn unbilled(outcome: Outcome) -> Ended {
    Ended { outcome, cost: Cost::default() }
}

fn store(core: &Core, state: State) -> Store<State> {
    let sandbox = &core.policy.sandbox;
    let mut store = Store::new(&core.flavour.engine, state);
    store.limiter(|state| &mut state.limits);
    // While a call lends them to the host, each counts twice.
    store.set_max_component_handles(2 * sandbox.handles as usize);
    if let Some(behind) = store.concurrent_resource_table() {
        behind.set_max_capacity(64 + sandbox.handles as usize * BEHIND_A_HANDLE);
    }
    store.set_hostcall_fuel(usize::try_from(host_call_bytes(core)).unwrap_or(usize::MAX));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(tick);
    if core.flavour.metered {
        store
            .set_fuel(sandbox.fuel.unwrap_or(u64::MAX))
            .expect("fuel is counted where metering is on");
    }
    store
}

/// What the host keeps for one handle at the most: a stream that is looked at is four.
const BEHIND_A_HANDLE: usize = 16;

/// Bytes one host call or one result may copy out of a guest, so that none takes long. An item of a
/// result's list costs what its box takes on the host's side; more items than fit into the result as
/// JSON are refused before one of them is looked at.
fn host_call_bytes(core: &Core) -> u64 {
    let output = core.policy.sandbox.output;
    let boxes = (core.function.give.half_boxes() * size_of::<Val>() / 2) as u64;
    output.saturating_mul(boxes.max(1)).saturating_add(1 << 20)
}

/// Called from inside a computing guest once a tick.
fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    look(&mut store);
    let bounds = &store.data().bounds;
    if bounds.stop.is_cancelled() {
        return Err(Stopped.into());
    }
    bounds.deadlines.check(Instant::now())?;
    bounds.cpu.check_running()?;
    bounds.meter.check()?;
    Ok(UpdateDeadline::Yield(1))
}

/// Shows the guest to its profiler, if it has one.
fn look(store: &mut StoreContextMut<'_, State>) {
    let Some(profiler) = store.data().profiler.clone() else { return };
    let used = store.data().bounds.cpu.used_running();
    let before = std::mem::replace(&mut store.data_mut().looked_at, used);
    profiler.look(&*store, used.saturating_sub(before));
}

async fn attempt(
    core: &Core,
    store: &mut Store<State>,
    params: &[Val],
) -> wasmtime::Result<Option<Val>> {
    let start = Instant::now();
    let instance = core.pre.instantiate_async(&mut *store).await?;
    store.data_mut().instantiated = start.elapsed();
    let func = instance
        .get_func(&mut *store, core.export)
        .ok_or_else(|| wasmtime::Error::msg("the export is not a function"))?;
    let mut results = [Val::Bool(false)];
    let gives = usize::from(core.function.give != Give::Nothing);
    func.call_async(&mut *store, params, &mut results[..gives]).await?;
    let [result] = results;
    Ok((gives == 1).then_some(result))
}

/// Polls a run, counting its CPU time, until it ends, a limit is reached or it is told to stop.
async fn watch<T>(
    shared: &Shared,
    call: impl Future<Output = wasmtime::Result<T>>,
    bounds: &Bounds,
) -> wasmtime::Result<T> {
    let Bounds { stop, deadlines, cpu, meter } = bounds;
    let mut call = pin!(call);
    let mut stopped = pin!(stop.cancelled());
    let mut closed = pin!(shared.closed.cancelled());
    let mut time_up = pin!(tokio::time::sleep_until(deadlines.next().into()));
    poll_fn(|cx| {
        let running = shared.ticker.running(deadlines.next());
        cpu.begin();
        let polled = call.as_mut().poll(cx);
        cpu.end();
        drop(running);
        if polled.is_ready() {
            return polled;
        }
        if stopped.as_mut().poll(cx).is_ready() || closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Stopped.into()));
        }
        // A guest that waits all the time passes few ticks.
        if let Err(up) = cpu.check() {
            return Poll::Ready(Err(up.into()));
        }
        if let Err(exceeded) = meter.check() {
            return Poll::Ready(Err(exceeded.into()));
        }
        loop {
            // The clock itself first: where guests keep all threads busy, timers fire late.
            if let Err(up) = deadlines.check(Instant::now()) {
                return Poll::Ready(Err(up.into()));
            }
            if time_up.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // That was the soft limit, which the guest has taken upon itself.
            time_up.as_mut().reset(deadlines.next().into());
        }
    })
    .await
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run was told to stop")
    }
}

impl std::error::Error for Stopped {}
