//! The one place that makes a wasmtime engine, and what an operator may decide about it.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::nice;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use umbel_task::grants::keyvalue::KeyValueStores;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::backtrace::MOST_FRAMES;
use crate::cache::Cache;
use crate::ceiling::Ceiling;
use crate::compile::{Compiler, Target};
use crate::grants::{self, Resolver, System};
use crate::hostcalls;
use crate::load::{self, LoadError, Plugin, PluginSource};
use crate::state::State;
use crate::ticker::Ticker;
use crate::wasi3;

/// What the whole engine is sized for. One of it per process.
#[derive(Clone)]
pub struct EngineConfig {
    /// Folder for compiled code; created private to this user. `None`: nothing is kept.
    pub cache: Option<PathBuf>,
    /// Folder for the directories of single runs; the system's own for temporary files by default.
    pub scratch: Option<PathBuf>,
    /// Runs at once; more wait. Address space for so many instances is reserved, not used.
    pub concurrency: u32,
    /// Threads that run guests.
    pub threads: usize,
    /// What the largest runs may use; room is reserved for it.
    pub ceiling: Ceiling,
    /// Who compiles. `None`: this process itself, which a hostile component can then exhaust.
    pub compiler: Option<Arc<dyn Compiler>>,
    /// Where granted key-value stores come from. `None`: there are none.
    pub keyvalue: Option<Arc<dyn KeyValueStores>>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache: None,
            scratch: None,
            concurrency: 64,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            ceiling: Ceiling::default(),
            compiler: None,
            keyvalue: None,
        }
    }
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The compile cache's folder is missing, not private or not writable.
    #[error("{0}")]
    Cache(String),
    /// The system refuses the address space or the threads that were asked for.
    #[error(
        "cannot set up the engine for {concurrency} runs at once: {why}\n\
         help: lower the concurrency, or raise the process's limit on address space"
    )]
    Size { concurrency: u32, why: String },
}

/// Compiles and runs components. Cheap to clone; when the last clone and the last task it loaded
/// are dropped, its threads end.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Reserves memory and starts the threads that run guests.
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        Self::resolving(config, Arc::new(System))
    }

    /// Like `new`, with names that come from elsewhere than the system.
    pub fn resolving(
        config: &EngineConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, EngineError> {
        Ok(Self { shared: Arc::new(Shared::new(config, resolver)?) })
    }

    /// Reads, compiles (or takes from the cache), checks and links one component file. Blocks,
    /// for seconds if a large component has to be compiled.
    pub fn load(&self, source: &PluginSource) -> Result<Plugin, LoadError> {
        load::load(&self.shared, source)
    }

    /// Ends every run and the threads that run guests; later runs end as `Outcome::Stopped`.
    pub fn close(&self) {
        self.shared.close();
    }
}

/// What every loaded task needs of the engine.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) resolver: Arc<dyn Resolver>,
    plain: Arc<Flavour>,
    /// Made when the first plugin needs its fuel counted.
    metered: Mutex<Option<Arc<Flavour>>>,
    pub(crate) ticker: Ticker,
    /// As many as a pool has room for, so that no run ever finds it full.
    pub(crate) slots: Semaphore,
    /// Cancelled when the engine closes.
    pub(crate) closed: CancellationToken,
    pub(crate) guests: Handle,
    runtime: Mutex<Option<Runtime>>,
}

/// One wasmtime engine and what belongs to it. Code of one does not run on the other.
pub(crate) struct Flavour {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiler: Option<Arc<dyn Compiler>>,
    pub(crate) target: Target,
    /// Fuel is counted.
    pub(crate) metered: bool,
}

impl Flavour {
    fn new(config: &EngineConfig, metered: bool) -> Result<Self, EngineError> {
        let size = |e: wasmtime::Error| config.too_much(format!("{e:#}"));
        let target = Target { stack: config.ceiling.stack, metered };
        let mut settings = compiling(&target);
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
        // Else a stack that once was deep would stay resident for good.
        settings.async_stack_zeroing(true);
        let engine = wasmtime::Engine::new(&settings).map_err(size)?;
        let cache = match &config.cache {
            Some(folder) => {
                Some(Cache::open(folder, fingerprint(&engine)).map_err(EngineError::Cache)?)
            }
            None => None,
        };
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(size)?;
        wasi3::add_to_linker(&mut linker).map_err(size)?;
        hostcalls::add_to_linker(&mut linker).map_err(size)?;
        grants::add_to_linker(&mut linker).map_err(size)?;
        Ok(Self { engine, linker, cache, compiler: config.compiler.clone(), target, metered })
    }
}

impl EngineConfig {
    fn too_much(&self, why: String) -> EngineError {
        EngineError::Size { concurrency: self.concurrency, why }
    }
}

impl Shared {
    fn new(config: &EngineConfig, resolver: Arc<dyn Resolver>) -> Result<Self, EngineError> {
        let plain = Arc::new(Flavour::new(config, false)?);
        let runtime = guest_runtime(config.threads).map_err(|e| config.too_much(e.to_string()))?;
        let ticker = Ticker::start().map_err(|e| config.too_much(e.to_string()))?;
        ticker.add(plain.engine.clone());
        if let Some(folder) = config.scratch.clone() {
            runtime.spawn_blocking(move || grants::sweep(&folder));
        }
        Ok(Self {
            ticker,
            plain,
            metered: Mutex::new(None),
            resolver,
            slots: Semaphore::new(config.concurrency.max(1) as usize),
            closed: CancellationToken::new(),
            guests: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            config: config.clone(),
        })
    }

    /// The engine for plugins whose fuel is counted, or for the others.
    pub(crate) fn flavour(&self, metered: bool) -> Result<Arc<Flavour>, EngineError> {
        if !metered {
            return Ok(self.plain.clone());
        }
        let mut made = self.metered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flavour) = &*made {
            return Ok(flavour.clone());
        }
        let flavour = Arc::new(Flavour::new(&self.config, true)?);
        self.ticker.add(flavour.engine.clone());
        *made = Some(flavour.clone());
        Ok(flavour)
    }

    pub(crate) fn ceiling(&self) -> &Ceiling {
        &self.config.ceiling
    }

    fn close(&self) {
        self.closed.cancel();
        // Guests that compute need the ticker to notice; it ends once none is left.
        self.ticker.stop();
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Waits for nothing, so it may be called from within any runtime, this one included.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// The threads that run guests. Timers and wake-ups are looked at often, because a guest that
/// computes holds its thread for a tick.
fn guest_runtime(threads: usize) -> std::io::Result<Runtime> {
    let number = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name_fn(move || format!("umbel-guest-{}", number.fetch_add(1, Ordering::Relaxed)))
        .enable_time()
        .enable_io()
        .on_thread_start(|| {
            // Refused, guests compete with everything else as equals: slower answers, no harm.
            let _ = nice(GUEST_NICENESS);
        })
        .event_interval(7)
        // A new run must not wait behind guests that never end: they are in the local queue.
        .global_queue_interval(1)
        .build()
}

/// Everything that decides whether compiled code fits this engine.
pub(crate) fn fingerprint(engine: &wasmtime::Engine) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Everything but the pool: enough to compile, in little address space.
pub(crate) fn compiling(target: &Target) -> Config {
    let stack = usize::try_from(target.stack).unwrap_or(usize::MAX >> 8);
    let mut settings = Config::new();
    settings
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(target.metered)
        .max_wasm_stack(stack)
        // Host calls run on the guest's stack, above what the guest itself may use.
        .async_stack_size(stack.saturating_add(HOST_STACK))
        .wasm_backtrace_max_frames(NonZeroUsize::new(MOST_FRAMES))
        // Function names come from the name section; line numbers would keep all of a plugin's
        // debugging information in memory.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .native_unwind_info(false);
    settings
}

/// How much guests stand back behind the worker's own threads, and behind a broker on the same machine.
const GUEST_NICENESS: i32 = 5;

/// Bytes of stack for host calls.
const HOST_STACK: usize = 1 << 20;

/// Bytes of address space a memory takes: 4 GiB of wasm's own plus guards.
const MEMORY_SLOT: u64 = 5 << 30;

/// Address space for all memories together; x86-64 has 128 TiB.
const ADDRESS_SPACE: u64 = 48 << 40;

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let runs = config.concurrency.max(1);
    let Ceiling { instances, tables, table_elements, .. } = config.ceiling;
    // As many for each run as the address space allows: composed components have several.
    let memories = ADDRESS_SPACE / (MEMORY_SLOT * u64::from(runs));
    let memories = u32::try_from(memories).unwrap_or(u32::MAX).clamp(1, config.ceiling.memories);
    let warm = u32::try_from(config.threads.max(1) * 2).unwrap_or(u32::MAX).max(8);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        .max_component_instance_size(16 << 20)
        .total_core_instances(runs.saturating_mul(instances))
        .max_core_instances_per_component(instances)
        .max_core_instance_size(16 << 20)
        .total_memories(runs.saturating_mul(memories))
        .max_memories_per_component(memories)
        .max_memories_per_module(memories)
        .max_memory_size(usize::try_from(config.ceiling.memory).unwrap_or(usize::MAX))
        .total_tables(runs.saturating_mul(tables))
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .table_elements(table_elements as usize)
        .total_stacks(runs)
        .total_gc_heaps(runs)
        .max_unused_warm_slots(warm)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .async_stack_keep_resident(KEEP_STACK)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Bytes of a memory that are wiped by copying rather than by giving the pages back: cheaper for
/// small guests, and no more than this stays resident for each warm slot.
const KEEP_MEMORY: usize = 512 << 10;

/// The same for a stack, from its beginning: an ordinary call goes no deeper, one that recurses without end does.
const KEEP_STACK: usize = 32 << 10;

/// The same for a table.
const KEEP_TABLE: usize = 64 << 10;
