//! Two stages of stopping: first let work end, then cut it off.

use tokio_util::sync::CancellationToken;

/// The wish to stop, shared by everything that must hear of it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Stage one: take nothing more, give back what has not started, let running tasks end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stage two: cut running tasks off; their messages go back to the broker.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Stage one was asked for.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Returns once stage one was asked for. Cancel safe.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once stage two was asked for. Cancel safe.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Cancelled by stage two: a running task's stop token.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.abort.child_token()
    }
}
