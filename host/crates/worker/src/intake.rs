//! Hops 1 to 3: take, decode, admit. Never waits for a slot or a store.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{Instrument, error, info};
use umbel_protocol::message::{DecodeError, Message, Properties};
use umbel_protocol::record::ResultRecord;
use umbel_task::runner::Task;
use umbel_transport::broker::{BrokerError, Consumer};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::results::Reply;

use crate::admit::{Admission, Facts, admit};
use crate::attempt::{Attempt, bury, settle};
use crate::carry::{REPEATED, put};
use crate::hop::Hop;
use crate::observe::Times;
use crate::record;
use crate::tell;
use crate::worker::Worker;

/// Takes until the worker drains or the broker refuses for good. There may be no queue to take from.
pub(crate) async fn take_all(
    worker: &Arc<Worker>,
    consumer: &mut Option<Box<dyn Consumer>>,
) -> Result<(), BrokerError> {
    let mut orders = worker.queues.inbox().ok_or(BrokerError::Closed)?;
    loop {
        tokio::select! {
            biased;
            () = worker.shutdown.draining() => return Ok(()),
            Some(order) = orders.recv() => tokio::select! {
                () = order.carry_out(worker, consumer) => {}
                () = worker.shutdown.draining() => return Ok(()),
            },
            () = worker.held.changed() => if let Some(consumer) = consumer {
                consumer.resize(worker.window()).await?;
            },
            delivery = next(consumer) => match delivery? {
                Some(delivery) => take(worker, delivery),
                None => return Ok(()),
            },
        }
    }
}

async fn next(consumer: &mut Option<Box<dyn Consumer>>) -> Result<Option<Delivery>, BrokerError> {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => std::future::pending().await,
    }
}

/// Decides what becomes of one delivery and sends it on its way.
fn take(worker: &Arc<Worker>, delivery: Delivery) {
    let Delivery { message: raw, route, queue, redelivered, deliveries, receipt } = delivery;
    let worker = Arc::clone(worker);
    worker.passed_raw(Hop::Take, &raw);
    let message = match Message::decode_accepting(&raw, &worker.config.accept) {
        Ok(message) => Arc::new(message),
        Err(why) => {
            worker.tally.malformed(&queue, &why);
            if let Some(observer) = &worker.observer {
                observer.malformed(&queue);
            }
            let told = reply_of(&raw.properties, &why, worker.now());
            return Arc::clone(&worker).track(async move {
                if let Some((record, reply)) = told
                    && put(&worker, &record, &reply).await.is_err()
                {
                    return settle(Some(receipt), Settlement::Requeue, &record.id).await;
                }
                bury(&worker, raw, &queue, Some(receipt), why.to_string(), false).await;
            });
        }
    };
    worker.passed(Hop::Decode, &message.task);
    let span = tell::span(&message);
    span.in_scope(|| worker.tally.received(&message));
    if let Some(observer) = &worker.observer {
        observer.received(&message, &queue);
    }
    let deliveries = deliveries.unwrap_or(0);
    let task = worker.runner.find_for(&message.task, &message.id);
    let admission = admit(&message, facts(&worker, &message, deliveries, task.as_deref()));
    let receipt = Some(receipt);
    let redelivered = redelivered || message.headers.contains_key(REPEATED);
    let times = Times::begin(worker.now(), raw.published());
    let tracked = Arc::clone(&worker);
    let attempt = Attempt { message, raw, queue, route, redelivered, deliveries, receipt, times };
    worker.passed(Hop::Admit, &attempt.message.task);
    if !matches!(admission, Admission::Refuse(_)) {
        worker.tally.accepted(&attempt.message);
    }
    let work = async move {
        match admission {
            Admission::Run => attempt.run(&worker, None).await,
            Admission::Hold(eta) => attempt.run(&worker, Some(eta)).await,
            Admission::Refuse(why) => attempt.refuse(&worker, &why).await,
        }
    };
    tracked.track(work.instrument(span));
}

fn facts(worker: &Worker, message: &Message, deliveries: u32, task: Option<&dyn Task>) -> Facts {
    Facts {
        now: worker.now(),
        registered: task.is_some(),
        revoked: worker.revoked.holds(message),
        deliveries,
        deliveries_limit: task.and_then(|task| task.policy().handling.deliveries),
    }
}

/// A caller who can be told what is wrong with the message is told.
fn reply_of(
    properties: &Properties,
    why: &DecodeError,
    now: Timestamp,
) -> Option<(ResultRecord, Reply)> {
    let DecodeError::Invalid { what, id: Some(id), .. } = why else { return None };
    let reply = Reply {
        reply_to: properties.reply_to.clone().filter(|queue| !queue.is_empty()),
        correlation_id: properties.correlation_id.as_ref().unwrap_or(id).clone(),
    };
    Some((record::invalid(id, what, now), reply))
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
