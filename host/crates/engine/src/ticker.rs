//! The epoch's clock: a thread that interrupts running guests so that they yield, once in a while
//! and when the time of one of them is up. It sleeps for good while no guest runs.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a guest runs before it makes room for another one.
pub(crate) const TICK: Duration = Duration::from_millis(4);

/// Between two ticks, however many guests end one after the other.
const SHORTEST: Duration = Duration::from_micros(250);

/// Ticks without a guest before the thread parks. Waking it costs a system call.
const LINGER: u32 = 25;

/// Ticks after the stop for guests that still run.
const LAST: u32 = 50;

/// Stops and joins its thread on `stop` and on drop.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: thread::Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Guests on a thread right now; one that sleeps is not.
    running: AtomicUsize,
    /// When the time of the first of them is up, in nanoseconds after `start`.
    due: AtomicU64,
    start: Instant,
    /// Nanoseconds between two ticks.
    interval: AtomicU64,
    /// Whose epochs it raises.
    engines: Mutex<Vec<wasmtime::Engine>>,
    parked: AtomicBool,
    stopped: AtomicBool,
}

/// A guest is on a thread for as long as this lives.
pub(crate) struct Running<'a>(&'a Ticker);

impl Ticker {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let theirs = shared.clone();
        let handle =
            thread::Builder::new().name("umbel-ticker".to_owned()).spawn(move || theirs.tick())?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Mutex::new(Some(handle)) })
    }

    /// From now on for the guests of this engine too.
    pub(crate) fn add(&self, engine: wasmtime::Engine) {
        self.shared.engines().push(engine);
    }

    /// Ticks are so far apart from now on.
    pub(crate) fn hasten(&self, interval: Duration) {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        self.shared.interval.store(nanos, Ordering::Relaxed);
    }

    /// A guest computes from now on, until `due` at the latest.
    pub(crate) fn running(&self, due: Instant) -> Running<'_> {
        self.shared.due.fetch_min(self.shared.nanos(due), Ordering::SeqCst);
        let before = self.shared.running.fetch_add(1, Ordering::SeqCst);
        if before == 0 && self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(self)
    }

    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // A thread that panicked has ended as well.
            let _ = handle.join();
        }
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            running: AtomicUsize::new(0),
            due: AtomicU64::new(u64::MAX),
            start: Instant::now(),
            interval: AtomicU64::new(TICK.as_nanos() as u64),
            engines: Mutex::default(),
            parked: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Until the next tick.
    fn pause(&self) -> Duration {
        let left = self.due.load(Ordering::SeqCst).saturating_sub(self.nanos(Instant::now()));
        let tick = Duration::from_nanos(self.interval.load(Ordering::Relaxed)).max(SHORTEST);
        Duration::from_nanos(left).clamp(SHORTEST, tick)
    }

    fn engines(&self) -> MutexGuard<'_, Vec<wasmtime::Engine>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut idle = 0;
        let mut last = LAST;
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                // Guests that still compute notice the end by a tick; a stuck host call does not.
                last -= 1;
                if last == 0 || self.running.load(Ordering::SeqCst) == 0 {
                    return;
                }
            }
            idle = if self.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > LINGER {
                // First say so, then look again: a guest that starts now sees one or is seen.
                self.parked.store(true, Ordering::SeqCst);
                while self.running.load(Ordering::SeqCst) == 0
                    && !self.stopped.load(Ordering::SeqCst)
                {
                    thread::park();
                }
                self.parked.store(false, Ordering::SeqCst);
                idle = 0;
            }
            thread::sleep(self.pause());
            // Whoever runs yields at this tick, and says again until when.
            self.due.store(u64::MAX, Ordering::SeqCst);
            self.engines().iter().for_each(wasmtime::Engine::increment_epoch);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop();
    }
}
