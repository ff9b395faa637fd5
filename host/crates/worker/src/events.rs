//! Events on their way to whoever listens. Told events wait in a bounded queue and leave in batches;
//! what does not fit is dropped and counted, so that no task ever waits for a monitor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use umbel_protocol::event::{self, Event, Pulse, Stamp, Written};
use umbel_transport::broker::BrokerError;

use crate::control::Clock;
use crate::worker::Worker;

/// Events that may wait.
const MOST: usize = 16_384;

/// Bytes of events that may wait.
const MOST_BYTES: usize = 16 << 20;

/// Events that leave at once.
const BATCH: usize = 500;

/// How long the first event of a batch waits for others.
const LINGER: Duration = Duration::from_millis(10);

/// How long the last ones may take.
const LAST: Duration = Duration::from_secs(2);

/// How often drops are told in the log.
const TELL: Duration = Duration::from_secs(60);

/// Where events are told.
#[derive(Debug)]
pub(crate) struct Events {
    node: String,
    pid: u32,
    /// They leave this process.
    live: AtomicBool,
    /// Told from the start to the end, whatever remote control says.
    always: bool,
    /// Events of tasks are wanted.
    of_tasks: AtomicBool,
    clock: Arc<Clock>,
    now: fn() -> Timestamp,
    queue: mpsc::Sender<Written>,
    waiting: Mutex<Option<mpsc::Receiver<Written>>>,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// What became of a wish to hear of tasks, or not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    Now,
    Already,
    /// There is nobody to tell.
    Unavailable,
}

impl Events {
    pub(crate) fn new(
        node: &str,
        of_tasks: bool,
        clock: Arc<Clock>,
        now: fn() -> Timestamp,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(MOST);
        Self {
            node: node.to_owned(),
            pid: std::process::id(),
            live: AtomicBool::new(false),
            always: of_tasks,
            of_tasks: AtomicBool::new(of_tasks),
            clock,
            now,
            queue,
            waiting: Mutex::new(Some(waiting)),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether anybody wants to hear of tasks.
    pub(crate) fn of_tasks(&self) -> bool {
        self.of_tasks.load(Ordering::Relaxed) && self.live.load(Ordering::Relaxed)
    }

    /// Tells of a task, if that is wanted. Never waits.
    pub(crate) fn task(&self, event: &Event<'_>) {
        if self.of_tasks() {
            self.tell(event);
        }
    }

    /// Tells of the worker. Never waits.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if !self.live.load(Ordering::Relaxed) {
            return;
        }
        let written = event.write(&Stamp {
            node: &self.node,
            pid: self.pid,
            clock: self.clock.tick(),
            at: (self.now)(),
            software: "umbel",
            version: env!("CARGO_PKG_VERSION"),
        });
        let size = written.size();
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before + size > MOST_BYTES || self.queue.try_send(written).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that nobody will hear of.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// As remote control wishes. Who was told to send from the start is not switched, as in Celery.
    pub(crate) fn switch(&self, on: bool) -> Switched {
        if !self.live.load(Ordering::Relaxed) {
            return Switched::Unavailable;
        }
        if self.always || self.of_tasks.swap(on, Ordering::Relaxed) == on {
            return Switched::Already;
        }
        Switched::Now
    }
}

/// The publishing task of one worker, and its heart.
pub(crate) struct Publishing {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

/// Starts to publish what is told, and to give signs of life.
pub(crate) async fn start(worker: &Arc<Worker>) -> Publishing {
    let stop = CancellationToken::new();
    let Some(waiting) = worker.events.waiting.lock().await.take() else {
        return Publishing { tasks: Vec::new(), stop };
    };
    worker.events.live.store(true, Ordering::Relaxed);
    let mut tasks = vec![worker.io.spawn(publish(Arc::clone(worker), waiting, stop.clone()))];
    if let Some(every) = worker.config.heartbeat {
        worker.events.tell(&Event::Online(pulse(worker, every)));
        tasks.push(worker.io.spawn(beat(Arc::clone(worker), every, stop.clone())));
    }
    Publishing { tasks, stop }
}

impl Publishing {
    /// Publishes what waits, if that is possible at all, and ends.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(panic) = task.await {
                error!("events failed: {panic}");
            }
        }
    }
}

/// Says that this worker goes: before its last tasks end, as Celery's do.
pub(crate) fn say_goodbye(worker: &Worker) {
    if let Some(every) = worker.config.heartbeat {
        worker.events.tell(&Event::Offline(pulse(worker, every)));
    }
}

fn pulse(worker: &Worker, every: Duration) -> Pulse {
    Pulse {
        every: every.as_secs_f64(),
        active: worker.slots.taken(),
        processed: worker.tally.begun(),
        load: worker.vitals.load(),
    }
}

/// Signs of life. The first one over a new connection says that the worker is there again.
async fn beat(worker: Arc<Worker>, every: Duration, stop: CancellationToken) {
    let presence = worker.broker.presence();
    let mut reconnects = presence.reconnects();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await; // at once
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = worker.shutdown.draining() => return,
            () = stop.cancelled() => return,
        }
        let (before, pulse) = (reconnects, pulse(&worker, every));
        reconnects = presence.reconnects();
        worker.events.tell(&match reconnects == before {
            true => Event::Heartbeat(pulse),
            false => Event::Online(pulse),
        });
    }
}

async fn publish(
    worker: Arc<Worker>,
    mut waiting: mpsc::Receiver<Written>,
    stop: CancellationToken,
) {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST).await;
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut told = tokio::time::Instant::now();
    let publishing = async {
        loop {
            let stopped = tokio::select! {
                biased;
                count = waiting.recv_many(&mut batch, BATCH) => count == 0,
                () = stop.cancelled() => true,
            };
            if stopped {
                return;
            }
            if batch.len() < BATCH && !stop.is_cancelled() {
                tokio::time::sleep(LINGER).await;
                while batch.len() < BATCH
                    && let Ok(event) = waiting.try_recv()
                {
                    batch.push(event);
                }
            }
            let size: usize = batch.iter().map(Written::size).sum();
            let done = send(&worker, &mut batch).await;
            worker.events.bytes.fetch_sub(size, Ordering::Relaxed);
            if let Err(Unwanted) = done {
                return;
            }
            if worker.events.dropped() > 0 && told.elapsed() >= TELL {
                told = tokio::time::Instant::now();
                warn!("{} events were dropped: the broker is slow", worker.events.dropped());
            }
        }
    };
    tokio::select! {
        () = publishing => {}
        () = late => {}
    }
    worker.events.live.store(false, Ordering::Relaxed);
}

/// Nobody will ever hear an event.
struct Unwanted;

async fn send(worker: &Worker, batch: &mut Vec<Written>) -> Result<(), Unwanted> {
    let messages = event::messages(&worker.config.node, batch.drain(..));
    for (route, message, count) in messages {
        match worker.broker.emit(&route, &message).await {
            Ok(()) => {}
            Err(BrokerError::Unsupported(what)) => {
                debug!("no {what} on this broker");
                return Err(Unwanted);
            }
            Err(BrokerError::Closed) => return Err(Unwanted),
            Err(error) => {
                let before = worker.events.dropped.fetch_add(count as u64, Ordering::Relaxed);
                if before == 0 {
                    warn!("events are not sent: {error}");
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_monitors_and_what_waits_for_them_is_bounded() {
        let clock = Arc::new(Clock::default());
        let events = Events::new("w1@lab", true, clock, Timestamp::now);
        events.task(&Event::Started("before anybody listens"));
        assert_eq!(events.dropped(), 0);
        events.live.store(true, Ordering::Relaxed);
        for _ in 0..MOST + 10 {
            events.task(&Event::Started("id"));
        }
        assert_eq!(events.dropped(), 10);
        let events = Events::new("w1@lab", true, Arc::new(Clock::default()), Timestamp::now);
        events.live.store(true, Ordering::Relaxed);
        let long = "x".repeat(16 << 10);
        for _ in 0..MOST {
            events.task(&Event::Succeeded { id: &long, result: &long, runtime: None, bill: None });
        }
        assert!(events.bytes.load(Ordering::Relaxed) <= MOST_BYTES);
        assert!(events.dropped() > 15_000);
    }
}
