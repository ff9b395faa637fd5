//! Messages waiting for their time, outside slots and beside the window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

/// How many deliveries wait; intake widens the window by as many, up to the limit.
#[derive(Debug)]
pub(crate) struct Held {
    count: AtomicUsize,
    limit: usize,
    changed: Notify,
}

/// One waiting delivery; counted until it is dropped.
pub(crate) struct Place<'a>(&'a Held);

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit, changed: Notify::new() }
    }

    /// By how many the window is wider: those beyond the limit stay within it.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed).min(self.limit)
    }

    /// Whoever waits from now on should wait elsewhere.
    pub(crate) fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.limit
    }

    /// Returns when the count has changed since the last call. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The window is another one for another reason.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn enter(&self) -> Place<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// Waits until `at`. Looks at the wall clock again every few seconds, so that a clock set back or
/// forward is noticed.
pub(crate) async fn until(at: Timestamp, now: fn() -> Timestamp) {
    loop {
        let left = Duration::try_from(at.duration_since(now())).unwrap_or(Duration::ZERO);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

const LOOK: Duration = Duration::from_secs(5);
