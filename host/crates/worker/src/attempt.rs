//! Hops 4 to 8 for one message, top to bottom.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, warn};
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::record::ResultRecord;
use umbel_task::call::{Call, DeliveryInfo};
use umbel_task::outcome::Cost;
use umbel_task::policy::Acks;
use umbel_task::runner::Task;
use umbel_transport::broker::BrokerError;
use umbel_transport::delivery::{Receipt, Settlement};
use umbel_transport::reconnect::Backoff;
use umbel_transport::results::{Reply, StoreError};

use crate::admit::{Refusal, expired};
use crate::outbox::{RunOutbox, Shared};
use crate::tell::Ending;
use crate::verdict::{self, Facts, Verdict, verdict};
use crate::worker::{Worker, now, spread};

/// A message on its way from admission to settlement.
pub(crate) struct Attempt {
    pub(crate) message: Arc<Message>,
    pub(crate) route: Route,
    pub(crate) redelivered: bool,
    /// `None` once it is acknowledged early.
    pub(crate) receipt: Option<Receipt>,
}

/// The worker was told to stop before something could be brought to its end.
struct Interrupted;

impl Attempt {
    /// Runs the message and sees its end through. Whatever ends early gives the message back.
    pub(crate) async fn run(mut self, worker: &Worker, task: Arc<dyn Task>) {
        let Some(slot) = worker.slot().await else {
            return self.give_back(worker).await;
        };
        if expired(&self.message, now()) {
            drop(slot);
            return self.refuse(worker, &Refusal::Expired).await;
        }
        let handling = &task.policy().handling;
        if handling.acks == Acks::Early {
            // At most once: if the broker did not hear of it, the message comes again and runs then.
            if let Err(error) = self.ack_early().await {
                return debug!(id = %self.message.id, "not run: {error}");
            }
        }

        let outbox = RunOutbox::new(
            Arc::clone(&self.message),
            self.reply(),
            worker.store.clone(),
            worker.io.clone(),
        );
        let stop = worker.shutdown.stop_token();
        let ended = task.run(self.call(), Arc::new(Shared(Arc::clone(&outbox))), stop).await;
        outbox.close().await;
        drop(slot);

        let facts = Facts { now: now(), route: &self.route, spread: spread() };
        let verdict = verdict(&self.message, handling, ended.outcome, &facts);
        self.carry_out(worker, verdict, Some(&ended.cost)).await;
    }

    /// Ends a message that does not run.
    pub(crate) async fn refuse(self, worker: &Worker, why: &Refusal) {
        let verdict = verdict::refusal(&self.message, why, now());
        self.carry_out(worker, verdict, None).await;
    }

    /// Back to the queue, untouched.
    pub(crate) async fn give_back(self, worker: &Worker) {
        worker.tally.ended(&self.message, &Ending::Returned, None);
        settle(self.receipt, Settlement::Requeue, &self.message.id).await;
    }

    /// Hops 7 and 8: publish, store, tell, settle. The order is the delivery contract.
    async fn carry_out(self, worker: &Worker, verdict: Verdict, cost: Option<&Cost>) {
        for (route, message) in &verdict.follow_ups {
            if publish(worker, route, message).await.is_err() {
                return self.give_back(worker).await;
            }
        }
        if let Some(record) = &verdict.record
            && store(worker, record, &self.reply()).await.is_err()
        {
            return self.give_back(worker).await;
        }
        worker.tally.ended(&self.message, &verdict.ending, cost);
        settle(self.receipt, verdict.settlement, &self.message.id).await;
    }

    /// Acknowledges before the run. What settles afterwards settles nothing.
    async fn ack_early(&mut self) -> Result<(), BrokerError> {
        match self.receipt.take() {
            Some(receipt) => receipt.settle(Settlement::Ack).await,
            None => Ok(()),
        }
    }

    fn reply(&self) -> Reply {
        let Message { id, reply_to, correlation_id, .. } = &*self.message;
        Reply {
            reply_to: reply_to.clone().filter(|queue| !queue.is_empty()),
            correlation_id: correlation_id.as_ref().unwrap_or(id).clone(),
        }
    }

    fn call(&self) -> Call {
        let message = &*self.message;
        let text = |time: &Option<umbel_protocol::time::Timestamp>| {
            time.as_ref().map(|time| time.text.clone())
        };
        Call {
            id: message.id.clone(),
            name: message.task.clone(),
            args: message.args.clone(),
            kwargs: message.kwargs.clone(),
            retries: message.retries,
            root_id: message.root_id.as_ref().unwrap_or(&message.id).clone(),
            parent_id: message.parent_id.clone(),
            group_id: message.group.clone(),
            group_index: message.group_index,
            eta: text(&message.eta),
            expires: text(&message.expires),
            time_limit: limit(message.time_limit),
            soft_time_limit: limit(message.soft_time_limit),
            reply_to: message.reply_to.clone(),
            correlation_id: message.correlation_id.as_ref().unwrap_or(&message.id).clone(),
            delivery: DeliveryInfo {
                exchange: self.route.exchange.clone(),
                routing_key: self.route.routing_key.clone(),
                priority: message.priority,
                redelivered: self.redelivered,
            },
            headers: message.custom_headers(),
            stamps: message.stamps.clone(),
        }
    }
}

/// A limit that is not a positive number is none, as in Celery.
fn limit(seconds: Option<f64>) -> Option<Duration> {
    seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Sends a follow-up, however long the broker is away, unless the worker is cut off.
async fn publish(worker: &Worker, route: &Route, message: &RawMessage) -> Result<(), Interrupted> {
    let mut backoff = Backoff::default();
    loop {
        match worker.broker.publish(route, message).await {
            Ok(()) => return Ok(()),
            Err(error) => warn!("a follow-up is not sent yet: {error}"),
        }
        pause(worker, &mut backoff).await?;
    }
}

/// Stores a record, however long the store is away, unless the worker is cut off. What can never be
/// stored becomes a failure that says so.
pub(crate) async fn store_or_wait(worker: &Worker, record: &ResultRecord, reply: &Reply) -> bool {
    store(worker, record, reply).await.is_ok()
}

async fn store(worker: &Worker, record: &ResultRecord, reply: &Reply) -> Result<(), Interrupted> {
    let Some(store) = &worker.store else { return Ok(()) };
    let mut replaced = None;
    let mut backoff = Backoff::default();
    loop {
        let record = replaced.as_ref().unwrap_or(record);
        match store.put(record, reply).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Unstorable { what }) if replaced.is_none() => {
                error!(id = %record.id, "the result cannot be stored: {what}");
                replaced = Some(verdict::unstorable(record, &what));
                continue;
            }
            Err(error) => warn!(id = %record.id, "the result is not stored yet: {error}"),
        }
        pause(worker, &mut backoff).await?;
    }
}

async fn pause(worker: &Worker, backoff: &mut Backoff) -> Result<(), Interrupted> {
    let wait = backoff.next(spread()).max(Duration::from_millis(100));
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = worker.shutdown.aborting() => Err(Interrupted),
    }
}

/// Tells the broker. A void receipt is no loss: the message comes again and its end is known.
pub(crate) async fn settle(receipt: Option<Receipt>, how: Settlement, id: &str) {
    let Some(receipt) = receipt else { return };
    match receipt.settle(how).await {
        Ok(()) => {}
        Err(BrokerError::Stale) => {
            debug!(id, "the connection was lost before the {how:?}; the broker delivers again");
        }
        Err(error) => warn!(id, "the message could not be settled: {error}"),
    }
}
