//! Signals become the two stages of stopping, or a reload.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;
use umbel_worker::{Plugins, Shutdown};

/// Which signals arrived, for a worker that is about to run.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    /// Somebody sits before it, who may go away.
    terminal: bool,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    pub(crate) fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            terminal: io::stdin().is_terminal(),
        })
    }

    /// The first TERM or INT drains; a second one, or QUIT, aborts; one more returns: nothing is
    /// waited for any longer. HUP reads plugins and configuration again, unless it says that the
    /// terminal is gone: then it drains.
    pub(crate) async fn obey(
        mut self,
        shutdown: Shutdown,
        plugins: &dyn Plugins,
        say: impl Fn(&str),
    ) {
        let mut aborting = false;
        loop {
            let (quit, interrupt) = tokio::select! {
                _ = self.terminate.recv() => (false, false),
                _ = self.interrupt.recv() => (false, true),
                _ = self.hangup.recv() => {
                    if !self.terminal || io::stdin().is_terminal() {
                        info!("SIGHUP: reading plugins and configuration again");
                        plugins.reload();
                        continue;
                    }
                    (false, false)
                }
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
