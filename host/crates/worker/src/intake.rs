//! Hops 1 to 3: take, decode, admit. Never waits for a slot or a store.

use std::sync::Arc;

use tracing::{error, info};
use umbel_protocol::message::{DecodeError, Message};
use umbel_transport::broker::{BrokerError, Consumer};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::results::Reply;

use crate::admit::{Admission, Facts, admit};
use crate::attempt::{Attempt, settle, store_or_wait};
use crate::hold;
use crate::verdict;
use crate::worker::{Worker, now};

/// Takes until the worker drains or the broker refuses for good.
pub(crate) async fn take_all(
    worker: &Arc<Worker>,
    consumer: &mut Box<dyn Consumer>,
) -> Result<(), BrokerError> {
    loop {
        tokio::select! {
            biased;
            () = worker.shutdown.draining() => return Ok(()),
            () = worker.held.changed() => consumer.resize(worker.window()).await?,
            delivery = consumer.next() => match delivery? {
                Some(delivery) => take(worker, delivery),
                None => return Ok(()),
            },
        }
    }
}

/// Decides what becomes of one delivery and sends it on its way.
fn take(worker: &Arc<Worker>, delivery: Delivery) {
    let Delivery { message: raw, route, queue, redelivered, receipt, .. } = delivery;
    let message = match Message::decode(&raw) {
        Ok(message) => Arc::new(message),
        Err(why) => {
            worker.tally.malformed(&queue, &why);
            let reply = reply_of(&raw.properties, &why);
            let worker = Arc::clone(worker);
            return worker.clone().track(async move {
                if let Some((record, reply)) = reply
                    && !store_or_wait(&worker, &record, &reply).await
                {
                    return settle(Some(receipt), Settlement::Requeue, &record.id).await;
                }
                settle(Some(receipt), Settlement::Discard, "").await;
            });
        }
    };
    worker.tally.received(&message);
    let task = worker.runner.find(&message.task);
    let facts = Facts { now: now(), registered: task.is_some() };
    let admission = admit(&message, facts);
    let attempt = Attempt { message, route, redelivered, receipt: Some(receipt) };
    let worker = Arc::clone(worker);
    match (admission, task) {
        (Admission::Run, Some(task)) => worker.clone().track(async move {
            attempt.run(&worker, task).await;
        }),
        (Admission::Hold(eta), Some(_)) => worker.clone().track(async move {
            let place = worker.held.enter();
            let due = hold::until(eta, &worker.shutdown).await;
            drop(place);
            // A reload may have brought another version, or taken the task away.
            match worker.runner.find(&attempt.message.task) {
                Some(task) if due => attempt.run(&worker, task).await,
                _ => attempt.give_back(&worker).await,
            }
        }),
        (Admission::Refuse(why), _) => worker.clone().track(async move {
            attempt.refuse(&worker, &why).await;
        }),
        // `admit` refuses what has no task.
        (_, None) => drop(attempt),
    }
}

/// A caller who can be told what is wrong with the message is told.
fn reply_of(
    properties: &umbel_protocol::message::Properties,
    why: &DecodeError,
) -> Option<(umbel_protocol::record::ResultRecord, Reply)> {
    let DecodeError::Invalid { what, id: Some(id), .. } = why else { return None };
    let reply = Reply {
        reply_to: properties.reply_to.clone().filter(|queue| !queue.is_empty()),
        correlation_id: properties.correlation_id.as_ref().unwrap_or(id).clone(),
    };
    Some((verdict::invalid(id, what, now()), reply))
}

/// Waits until the work in hand has ended, or the patience of the operator.
pub(crate) async fn drain(worker: &Arc<Worker>) -> u64 {
    worker.tracker.close();
    info!("draining: {} in hand", worker.tracker.len());
    tokio::select! {
        () = worker.tracker.wait() => return 0,
        () = tokio::time::sleep(worker.config.drain_timeout) => {
            info!("cutting off {} after {:?}", worker.tracker.len(), worker.config.drain_timeout);
            worker.shutdown.abort();
        }
        () = worker.shutdown.aborting() => {}
    }
    match tokio::time::timeout(GRACE, worker.tracker.wait()).await {
        Ok(()) => 0,
        Err(_) => {
            let stuck = worker.tracker.len() as u64;
            error!("{stuck} did not end; their messages are delivered again");
            stuck
        }
    }
}

/// After being cut off, a run has this long to end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);
