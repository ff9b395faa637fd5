//! Signals become the two stages of stopping.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use umbel_worker::Shutdown;

/// Which signals arrived, for a worker that is about to run.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    pub(crate) fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The first TERM, INT or HUP drains; a second one, or QUIT, aborts; one more returns: nothing is
    /// waited for any longer.
    pub(crate) async fn obey(mut self, shutdown: Shutdown, say: impl Fn(&str)) {
        let mut aborting = false;
        loop {
            let (quit, interrupt) = tokio::select! {
                _ = self.terminate.recv() => (false, false),
                _ = self.interrupt.recv() => (false, true),
                _ = self.hangup.recv() => (false, false),
                _ = self.quit.recv() => (true, false),
            };
            if aborting {
                return say("worker: Hard shutdown (MainProcess)");
            }
            if quit || shutdown.is_draining() {
                say("worker: Cold shutdown (MainProcess)");
                shutdown.abort();
                aborting = true;
                continue;
            }
            if interrupt {
                say("worker: Hitting Ctrl+C again will initiate cold shutdown, cutting running \
                     tasks off!");
            }
            say("worker: Warm shutdown (MainProcess)");
            shutdown.drain();
        }
    }
}
