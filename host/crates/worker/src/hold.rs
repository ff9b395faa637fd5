//! Messages waiting for their time, outside slots and beside the window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::shutdown::Shutdown;
use crate::worker::now;

/// How many deliveries wait; intake widens the window by as many.
#[derive(Debug, Default)]
pub(crate) struct Held {
    count: AtomicUsize,
    changed: Notify,
}

/// One waiting delivery; counted until it is dropped.
pub(crate) struct Place<'a>(&'a Held);

impl Held {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns when the count has changed since the last call. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
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

/// Waits until `eta`; false if the worker drains first. Looks at the wall clock again every minute,
/// so that a clock set back or forward is noticed.
pub(crate) async fn until(eta: Timestamp, shutdown: &Shutdown) -> bool {
    loop {
        let left = Duration::try_from(eta.duration_since(now())).unwrap_or(Duration::ZERO);
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(Duration::from_secs(60))) => {}
            () = shutdown.draining() => return false,
        }
    }
}
