//! Spans on their way to the collector: a bounded queue, and what did not get through, counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tracing::warn;

/// How often losses are told of.
const PAUSE: Duration = Duration::from_secs(60);

/// How much waits, and what was lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    waiting: AtomicUsize,
    lost: AtomicU64,
    told: Mutex<Told>,
}

/// What was said of losses.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    lost: u64,
    /// What went wrong last.
    why: Option<String>,
}

impl Losses {
    /// What keeps spans from the collector, for the next time that losses are told of.
    pub(super) fn because(&self, why: String) {
        self.told().why = Some(why);
    }

    /// So many spans will never arrive.
    fn add(&self, spans: usize) {
        let lost = self.lost.fetch_add(spans as u64, Ordering::Relaxed) + spans as u64;
        let mut told = self.told();
        if told.at.is_none_or(|at| at.elapsed() >= PAUSE) {
            told.at = Some(Instant::now());
            told.tell(lost);
        }
    }

    /// Tells of what was lost and not told of yet, what still waits among it.
    pub(super) fn sum_up(&self) {
        let waiting = self.waiting.swap(0, Ordering::Relaxed) as u64;
        let lost = self.lost.fetch_add(waiting, Ordering::Relaxed) + waiting;
        let mut told = self.told();
        if lost > told.lost {
            told.tell(lost);
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Nothing panics while it is held; if something did, it is still whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn tell(&mut self, lost: u64) {
        let new = lost - std::mem::replace(&mut self.lost, lost);
        let why = self.why.as_deref().unwrap_or("more came than could be sent");
        warn!("traces: {new} spans are lost, {lost} since the start: {why}");
    }
}

/// Sends batches of spans from a thread of its own. With more than `room` of them waiting, further
/// ones are dropped.
pub(super) fn processor(exporter: Otlp, room: usize, losses: Arc<Losses>) -> Bounded {
    let exporter = Counting { inner: exporter, losses: Arc::clone(&losses) };
    let config = BatchConfigBuilder::default().with_max_queue_size(room).build();
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Bounded { inner, room, losses }
}

/// Drops what there is no room for, and counts it: the SDK keeps its own count to itself.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: BatchSpanProcessor,
    room: usize,
    losses: Arc<Losses>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.losses.waiting.fetch_add(1, Ordering::Relaxed) < self.room {
            return self.inner.on_end(span);
        }
        self.losses.waiting.fetch_sub(1, Ordering::Relaxed);
        self.losses.add(1);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts the spans of batches that do not get through.
#[derive(Debug)]
struct Counting {
    inner: Otlp,
    losses: Arc<Losses>,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let done = self.inner.export(batch).await;
        self.losses.waiting.fetch_sub(spans, Ordering::Relaxed);
        if done.is_err() {
            self.losses.add(spans);
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
