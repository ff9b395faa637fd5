//! Remote control: hears what is asked of every worker and answers, beside the path of messages and
//! however busy it is (PROTOCOL section 7).

mod commands;
mod plugins;
mod revoke;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use umbel_protocol::control::{Answer, Request, reply};
use umbel_transport::broker::{BrokerError, Listener};
use umbel_transport::reconnect::Backoff;
use umbel_value::Value;

use crate::worker::{Worker, spread};

pub use self::plugins::Plugins;

/// The listening task of one worker.
pub(crate) struct Control {
    listening: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Control {
    /// Listens no more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Some(listening) = self.listening
            && let Err(panic) = listening.await
        {
            error!("remote control failed: {panic}");
        }
    }
}

/// A Lamport clock (PROTOCOL 6.4).
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// After hearing another one's clock.
    pub(crate) fn adjust(&self, other: u64) -> u64 {
        let later = |own: u64| Some(own.max(other).saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        before.map_or(other, |own| own.max(other).saturating_add(1))
    }
}

/// Starts listening, unless the configuration says otherwise. Returns when what is said from now on
/// is heard, or when that takes too long to wait for.
pub(crate) async fn start(worker: &Arc<Worker>) -> Control {
    let stop = CancellationToken::new();
    if !worker.config.control {
        return Control { listening: None, stop };
    }
    let hears = CancellationToken::new();
    let (listener, stopping, heard) = (Arc::clone(worker), stop.clone(), hears.clone());
    let listening = worker.io.spawn(async move {
        let _at_the_latest = heard.clone().drop_guard();
        tokio::select! {
            () = listen(&listener, &heard) => {}
            () = stopping.cancelled() => {}
        }
    });
    if tokio::time::timeout(PATIENCE, hears.cancelled()).await.is_err() {
        warn!("remote control is not available yet; going on without");
    }
    Control { listening: Some(listening), stop }
}

/// How long the start of a worker waits for remote control.
const PATIENCE: Duration = Duration::from_secs(3);

async fn listen(worker: &Arc<Worker>, hears: &CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        match worker.broker.listen(&worker.config.node).await {
            Ok(mut listener) => {
                hears.cancel();
                backoff.reset();
                match answer_all(worker, &mut *listener).await {
                    Ok(()) => return,
                    Err(error) => warn!("remote control is interrupted: {error}"),
                }
            }
            Err(BrokerError::Unsupported(what)) => return debug!("no {what} on this broker"),
            Err(BrokerError::Closed) => return,
            Err(error) => warn!("remote control is not available yet: {error}"),
        }
        tokio::time::sleep(backoff.next(spread())).await;
    }
}

async fn answer_all(worker: &Arc<Worker>, listener: &mut dyn Listener) -> Result<(), BrokerError> {
    while let Some(raw) = listener.next().await? {
        let Some(request) = Request::decode(&raw) else {
            debug!("something on the control exchange is no request");
            continue;
        };
        if request.addresses(&worker.config.node) {
            answer(worker, request).await;
        }
    }
    Ok(())
}

async fn answer(worker: &Arc<Worker>, request: Request) {
    worker.clock.tick();
    if let Some(clock) = request.clock {
        worker.clock.adjust(clock);
    }
    let value = commands::obey(worker, &request).await;
    let Some(value) = value else { return };
    let Some(route) = &request.reply_to else {
        return tell_the_asker(worker, &request, value).await;
    };
    let message = reply(&worker.config.node, request.ticket.as_deref(), worker.clock.tick(), value);
    if let Err(error) = worker.broker.publish(route, &message).await {
        warn!("a reply to `{}` was not sent: {error}", request.method);
    }
}

/// For one who has no mailbox for replies, but listens.
async fn tell_the_asker(worker: &Worker, request: &Request, value: Value) {
    let Some(asker) = request.answer_to() else { return };
    let answer = Answer { node: worker.config.node.clone(), value };
    if let Err(error) = worker.broker.broadcast(&answer.encode(asker)).await {
        warn!("an answer to `{}` was not sent: {error}", request.method);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_always_later_than_what_it_heard() {
        let clock = Clock::default();
        assert_eq!(clock.tick(), 1);
        assert_eq!(clock.adjust(9), 10);
        assert_eq!(clock.adjust(3), 11);
        assert_eq!(clock.tick(), 12);
    }
}
