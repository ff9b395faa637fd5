//! A subscription: what its owner holds. The work is done by its [driver](super::driver).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{PushInfo, PushKind};
use tokio::sync::{Notify, mpsc, oneshot};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{RawMessage, Route};

use super::connection::{Fault, Link};
use super::driver::{Command, Driver, Taken};
use super::record::handed_out;
use super::{Shared, publish};
use crate::broker::{BrokerError, Consumer};
use crate::delivery::{Delivery, Receipt, Settle, Tag};

/// How long `stop` waits for a server that does not answer. What it could not give back comes
/// again when its lease ends.
const STOPPING: Duration = Duration::from_secs(10);

pub(super) struct RedisConsumer {
    shared: Arc<Shared>,
    queues: Vec<Arc<str>>,
    ready: mpsc::UnboundedReceiver<Result<Taken, BrokerError>>,
    commands: mpsc::UnboundedSender<Command>,
    settles: mpsc::UnboundedSender<Settle>,
    stopped: bool,
}

/// Declares the queues, connects, and starts the driver.
pub(super) async fn start(
    shared: &Arc<Shared>,
    queues: &[String],
    window: u16,
) -> Result<RedisConsumer, Fault> {
    if shared.closing.is_cancelled() {
        return Err(Fault::Closed);
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for queue in queues {
        if !names.iter().any(|name| **name == **queue) {
            publish::declare(shared, queue).await?;
            names.push(queue.as_str().into());
        }
    }
    if names.is_empty() {
        return Err(Fault::Other("cannot consume".into(), "no queue was named".into()));
    }
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    let on_push = Arc::new(move |push: PushInfo| {
        if matches!(push.kind, PushKind::Invalidate | PushKind::Disconnection) {
            waker.notify_one();
        }
    });
    let master = shared.options.master_name.as_deref();
    let link = Link::open(shared.link.address(), master, Some(on_push)).await?;
    let link = link.watched(&shared.presence);
    // Unbounded, all three: none holds more than the window's deliveries and a few commands.
    let (taken, ready) = mpsc::unbounded_channel();
    let (commands, orders) = mpsc::unbounded_channel();
    let (settles, settled) = mpsc::unbounded_channel();
    let driver = Driver::new(
        shared.clone(),
        link,
        &names,
        usize::from(window),
        wake,
        taken,
        orders,
        settled,
    );
    shared.tasks.spawn(driver.run());
    Ok(RedisConsumer {
        shared: shared.clone(),
        queues: names,
        ready,
        commands,
        settles,
        stopped: false,
    })
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        if self.stopped {
            return Ok(None);
        }
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => Err(BrokerError::Closed),
            taken = self.ready.recv() => match taken {
                Some(taken) => Ok(Some(self.delivery(taken?))),
                None => Err(BrokerError::Closed),
            },
        }
    }

    async fn resize(&mut self, window: u16) -> Result<(), BrokerError> {
        let resize = Command::Resize(usize::from(window));
        self.commands.send(resize).map_err(|_| BrokerError::Closed)
    }

    async fn stop(&mut self) -> Result<(), BrokerError> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let stopping = async {
            self.order(Command::Stop).await;
            let mut back = Vec::new();
            while let Ok(taken) = self.ready.try_recv() {
                back.extend(taken.ok());
            }
            self.order(|done| Command::GiveBack(back, Some(done))).await;
        };
        let stopped = tokio::time::timeout(STOPPING, stopping).await;
        stopped.map_err(|late| Fault::Unreachable(late.into()).broker(self.shared.link.address()))
    }
}

impl RedisConsumer {
    /// Returns when the driver has done it, or is gone.
    async fn order(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, told) = oneshot::channel();
        if self.commands.send(command(done)).is_ok() {
            let _ = told.await;
        }
    }

    fn delivery(&self, taken: Taken) -> Delivery {
        let queue = self.queues[taken.list % self.queues.len()].clone();
        let receipt = Receipt::new(Tag::Text(taken.tag), 0, self.settles.clone());
        match Envelope::from_json(&taken.text) {
            Ok(envelope) => {
                let deliveries = handed_out(&taken.text, &envelope);
                Delivery {
                    message: envelope.message,
                    route: envelope.route,
                    queue,
                    redelivered: envelope.redelivered || deliveries > 0,
                    deliveries: Some(deliveries),
                    receipt,
                }
            }
            // Not for us to throw away: whoever decodes it will say what it is not.
            Err(_) => Delivery {
                message: RawMessage { body: taken.text.into(), ..RawMessage::default() },
                route: Route::queue(&queue),
                queue,
                redelivered: false,
                deliveries: None,
                receipt,
            },
        }
    }
}

impl Drop for RedisConsumer {
    fn drop(&mut self) {
        let (done, _) = oneshot::channel();
        let _ = self.commands.send(Command::Stop(done));
        // From here on the driver keeps what it takes, to give it back.
        self.ready.close();
        let mut back = Vec::new();
        while let Ok(taken) = self.ready.try_recv() {
            back.extend(taken.ok());
        }
        let _ = self.commands.send(Command::GiveBack(back, None));
    }
}
