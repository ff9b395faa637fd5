//! Remote control: hears what is asked of every worker and answers, beside the path of messages and
//! however busy it is (PROTOCOL section 7).

mod commands;
mod gossip;
mod inspect;
mod mingle;
mod plugins;
mod pool;
mod revoke;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use umbel_protocol::control::{Answer, Request, reply};
use umbel_transport::broker::{BrokerError, Listener};
use umbel_transport::reconnect::Backoff;
use umbel_value::Value;

use crate::worker::{Worker, spread};

pub(crate) use self::gossip::Gossip;
pub use self::plugins::Plugins;

/// The listening tasks of one worker.
pub(crate) struct Control {
    listening: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Control {
    /// Listens no more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.listening {
            if let Err(panic) = task.await {
                error!("remote control failed: {panic}");
            }
        }
    }
}

/// A Lamport clock (PROTOCOL 6.4).
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

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
    let mut control = Control { listening: Vec::new(), stop };
    if worker.config.gossip {
        control.spawn(worker, gossip::listen(Arc::clone(worker)));
    }
    if !worker.config.control {
        return control;
    }
    let (listener, heard) = (Arc::clone(worker), CancellationToken::new());
    let hears = heard.clone();
    control.spawn(worker, async move {
        let _at_the_latest = hears.clone().drop_guard();
        listen(&listener, &hears).await;
    });
    if tokio::time::timeout(PATIENCE, heard.cancelled()).await.is_err() {
        warn!("remote control is not available yet; going on without");
    }
    if worker.config.mingle {
        control.spawn(worker, mingle::say_hello(Arc::clone(worker)));
    }
    control
}

impl Control {
    /// Until it ends by itself, or nobody listens any more.
    fn spawn(&mut self, worker: &Worker, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.listening.push(worker.io.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        }));
    }
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

/// Requests that are carried out at a time; further ones wait.
const AT_ONCE: usize = 64;

/// Answers each by itself: one that has to wait for something keeps no other waiting. Those that
/// wait for nothing are carried out in their order.
async fn answer_all(worker: &Arc<Worker>, listener: &mut dyn Listener) -> Result<(), BrokerError> {
    let mut answers = FuturesUnordered::new();
    loop {
        let raw = tokio::select! {
            biased;
            Some(()) = answers.next() => continue,
            raw = listener.next(), if answers.len() < AT_ONCE => raw?,
        };
        let Some(raw) = raw else { return Ok(()) };
        if let Some(Answer { node, value }) = Answer::decode(&raw, &worker.config.node) {
            mingle::absorb(worker, &node, &value);
            continue;
        }
        let Some(request) = Request::decode(&raw) else {
            debug!("something on the control exchange is no request");
            continue;
        };
        if request.addresses(&worker.config.node) {
            answers.push(answer(worker, request));
        }
    }
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
