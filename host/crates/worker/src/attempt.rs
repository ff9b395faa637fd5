//! Hops 4 to 8 for one message, top to bottom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Span, debug, warn};
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::record::State;
use umbel_task::call::{Call, DeliveryInfo};
use umbel_task::outcome::{Ended, Outcome};
use umbel_task::policy::{Acks, Handling};
use umbel_task::runner::Task;
use umbel_transport::broker::{BrokerError, DeadLetter, Held};
use umbel_transport::delivery::{Receipt, Settlement};

use crate::admit::{Refusal, expired};
use crate::carry::{Carrier, Halt, insist};
use crate::exception;
use crate::hop::Hop;
use crate::inflight::{Place, Stage};
use crate::observe::{End, Run, Story, Times};
use crate::outbox::RunOutbox;
use crate::parked;
use crate::tell::{Ending, Ran};
use crate::turn::Turn;
use crate::verdict::{self, Facts, Last, Sent, Verdict, verdict, watched};
use crate::worker::{Worker, spread};

/// A message on its way from admission to settlement.
pub(crate) struct Attempt {
    pub(crate) message: Arc<Message>,
    /// As it came: what goes back to the broker is not ours to write anew.
    pub(crate) raw: RawMessage,
    pub(crate) queue: Arc<str>,
    pub(crate) route: Route,
    /// It was in somebody's care before: its result may be stored already.
    pub(crate) redelivered: bool,
    /// How often it was delivered without coming to an end.
    pub(crate) deliveries: u32,
    /// `None` once it is acknowledged early.
    pub(crate) receipt: Option<Receipt>,
    pub(crate) times: Times,
}

impl Attempt {
    /// Runs the message when its turn comes and sees its end through. Whatever ends early gives the
    /// message back.
    pub(crate) async fn run(mut self, worker: &Arc<Worker>, eta: Option<jiff::Timestamp>) {
        let Some(place) = self.enter(worker).await else { return self.give_back(worker).await };
        let (task, places) = match self.turn(worker, &place, eta).await {
            Turn::Run(task, places) => (task, places),
            Turn::Gone => {
                let Attempt { message, queue, times, .. } = self;
                return observe(worker, &message, &queue, End::Delayed, times, None);
            }
            Turn::Back => return self.give_back(worker).await,
            Turn::Refuse(why) => return self.refuse(worker, &why).await,
        };
        let handling = &task.policy().handling;
        match self.stored_success(worker, handling).await {
            Ok(None) => {}
            Ok(Some(result)) => {
                let verdict = verdict::repeated(&self.message, result);
                return self.end(worker, handling, verdict, None).await;
            }
            Err(_) => return self.give_back(worker).await,
        }
        // What waits for a slot keeps no version from going.
        drop(task);
        let Some(slot) = worker.slot().await else { return self.give_back(worker).await };
        let task = match self.obsolete(worker, &place) {
            Some(why) => Err(why),
            None => self.task(worker).ok_or(Refusal::Unregistered),
        };
        let task = match task {
            Ok(task) => task,
            Err(why) => {
                drop(slot);
                return self.refuse(worker, &why).await;
            }
        };
        let handling = &task.policy().handling;
        if handling.acks == Acks::Early {
            // At most once: if the broker did not hear of it, the message comes again and runs then.
            if let Err(error) = self.ack_early().await {
                return debug!(id = %self.message.id, "not run: {error}");
            }
            place.entry.acknowledge();
        }
        worker.passed(Hop::Slot, &self.message.task);
        Span::current().record("plugin", tracing::field::display(task.version()));
        self.times.started = Some(Instant::now());
        let (ended, sent) = self.execute(worker, &place, &*task).await;
        drop((slot, places));
        self.times.ran = Some(Instant::now());
        let fault = ended.outcome.fault();
        worker.passed(Hop::Run, &self.message.task);

        let verdict = match sent {
            Ok(sent) => self.judge(worker, &place, handling, ended.outcome, sent),
            Err(Halt::Impossible(why)) => {
                verdict::unsendable(&self.message, handling, why, &self.facts(worker, false))
            }
            Err(Halt::Interrupted) => return self.give_back(worker).await,
        };
        worker.passed(Hop::Judge, &self.message.task);
        let ran = Ran { cost: &ended.cost, version: task.version(), fault };
        self.end(worker, handling, verdict, Some(ran)).await;
    }

    /// The task as it is now: a reload may bring another version, or take it away.
    pub(crate) fn task(&self, worker: &Worker) -> Option<Arc<dyn Task>> {
        worker.runner.find_for(&self.message.task, &self.message.id)
    }

    /// Ends a message that does not run.
    pub(crate) async fn refuse(self, worker: &Arc<Worker>, why: &Refusal) {
        if *why == Refusal::Unregistered && worker.config.park_unknown {
            return self.park(worker).await;
        }
        let task = self.task(worker);
        let handling = task.map(|task| task.policy().handling.clone()).unwrap_or_default();
        let verdict = verdict::refusal(&self.message, &handling, why, &self.facts(worker, false));
        self.end(worker, &handling, verdict, None).await;
    }

    /// Kept until its task is here. Nothing is stored: it has not ended.
    async fn park(self, worker: &Worker) {
        worker.tally.ended(&self.message, &Ending::Parked, None);
        let Attempt { message, raw, queue, receipt, times, .. } = self;
        bury(worker, raw, &queue, receipt, parked::reason(&message.task), true).await;
        observe(worker, &message, &queue, End::Parked, times, None);
    }

    /// Back to the queue, untouched.
    pub(crate) async fn give_back(self, worker: &Worker) {
        worker.tally.ended(&self.message, &Ending::Returned, None);
        let Attempt { message, queue, receipt, times, .. } = self;
        settle(receipt, Settlement::Requeue, &message.id).await;
        observe(worker, &message, &queue, End::Returned, times, None);
    }

    /// Gives the message to the broker until `at`; false if the broker cannot, and we keep it.
    pub(crate) async fn delay(&mut self, worker: &Worker, at: jiff::Timestamp) -> bool {
        let Some(receipt) = self.receipt.take() else { return false };
        let message = std::mem::take(&mut self.raw);
        let held = Held { message, queue: Arc::clone(&self.queue), receipt };
        match worker.broker.delay(held, at).await {
            Ok(()) => true,
            Err(kept) => {
                if let Some(error) = kept.error {
                    warn!(id = %self.message.id, "the broker does not keep it until {at}: {error}");
                }
                self.raw = kept.held.message;
                self.receipt = Some(kept.held.receipt);
                false
            }
        }
    }

    /// Waits until no other message of the same id is in our care; `None` if the worker drains.
    async fn enter(&mut self, worker: &Arc<Worker>) -> Option<Place> {
        loop {
            match worker.inflight.enter(
                &self.message,
                &self.route,
                self.redelivered,
                &worker.shutdown,
            ) {
                Ok(place) => return Some(place),
                Err(occupied) => {
                    // Whatever the broker says: it was delivered before.
                    self.redelivered = true;
                    let _place = worker.held.enter();
                    tokio::select! {
                        () = occupied.left() => {}
                        () = worker.shutdown.draining() => return None,
                    }
                }
            }
        }
    }

    /// The result of a run before this one, if it succeeded and that is enough.
    async fn stored_success(
        &self,
        worker: &Worker,
        handling: &Handling,
    ) -> Result<Option<umbel_value::Value>, Halt> {
        let asked = self.redelivered && !handling.repeat_succeeded;
        let Some(store) = worker.store.as_ref().filter(|_| asked) else { return Ok(None) };
        let id = &self.message.id;
        let stored =
            insist(worker, "whether it ran before is not known yet", || store.get(id)).await?;
        let success = stored.filter(|record| record.state == State::Success);
        Ok(success.map(|record| record.result))
    }

    /// Asked once more right before the run.
    fn obsolete(&self, worker: &Worker, place: &Place) -> Option<Refusal> {
        if expired(&self.message, worker.now()) {
            return Some(Refusal::Expired);
        }
        place.entry.revoked.is_cancelled().then_some(Refusal::Revoked)
    }

    async fn execute(
        &self,
        worker: &Arc<Worker>,
        place: &Place,
        task: &dyn Task,
    ) -> (Ended, Result<Sent, Halt>) {
        let handling = &task.policy().handling;
        let outbox = RunOutbox::new(worker, &self.message, &self.route, task, self.redelivered);
        place.entry.enter_stage(Stage::Running(worker.now()));
        worker.tally.began(&self.message);
        if let Some(observer) = &worker.observer {
            observer.started(&self.message);
        }
        if handling.track_started {
            outbox.started();
        }
        let stop = place.entry.stop.clone();
        let ended = task.run(self.call(worker), outbox.handle(), stop).await;
        let sent = outbox.close().await;
        (ended, sent)
    }

    fn judge(
        &self,
        worker: &Arc<Worker>,
        place: &Place,
        handling: &Handling,
        outcome: Outcome,
        sent: Sent,
    ) -> Verdict {
        let terminated = place.entry.revoked.is_cancelled();
        let facts = self.facts(worker, terminated);
        let unwritable = match &outcome {
            Outcome::Done(value) if watched(&self.message, handling) => {
                worker.store.as_ref().and_then(|store| store.refuses(value))
            }
            _ => None,
        };
        if let Some(why) = unwritable {
            // Before anything is sent that would follow a success.
            let why = exception::unwritable(why);
            return verdict::unsendable(&self.message, handling, why, &facts);
        }
        Carrier::new(worker, &self.message, "next")
            .plan(|sender| verdict(&self.message, handling, outcome, sent, &facts, sender))
    }

    fn facts<'a>(&'a self, worker: &'a Worker, terminated: bool) -> Facts<'a> {
        let recorder = worker.recorder(&self.route);
        Facts {
            now: worker.now(),
            route: &self.route,
            spread: spread(),
            recorder,
            terminated,
            results_shown: tracing::enabled!(tracing::Level::INFO) || worker.events.of_tasks(),
        }
    }

    /// Hops 7 and 8: publish, store, count in, tell, settle. The order is the delivery contract.
    async fn end(
        self,
        worker: &Arc<Worker>,
        handling: &Handling,
        mut verdict: Verdict,
        ran: Option<Ran<'_>>,
    ) {
        loop {
            let mut carrier = Carrier::new(worker, &self.message, "end");
            carrier.repeated = self.redelivered;
            match carrier.carry_out(&verdict).await {
                Ok(()) => break,
                Err(Halt::Interrupted) => return self.give_back(worker).await,
                Err(Halt::Impossible(why)) if verdict.steps.is_empty() => {
                    warn!(id = %self.message.id, "its end is not recorded whole: {why}");
                    break;
                }
                Err(Halt::Impossible(why)) => {
                    let facts = self.facts(worker, false);
                    verdict = verdict::unsendable(&self.message, handling, why, &facts);
                }
            }
        }
        worker.tally.ended(&self.message, &verdict.ending, ran.as_ref());
        let Attempt { message, raw, queue, receipt, mut times, .. } = self;
        times.recorded = Some(Instant::now());
        match verdict.last {
            Last::Ack => settle(receipt, Settlement::Ack, &message.id).await,
            Last::Requeue => settle(receipt, Settlement::Requeue, &message.id).await,
            Last::Reject => settle(receipt, Settlement::Reject, &message.id).await,
            Last::Bury { reason, parked } => {
                bury(worker, raw, &queue, receipt, reason, parked).await;
            }
        }
        worker.passed(Hop::Settle, &message.task);
        let run = ran.as_ref().map(Ran::run);
        observe(worker, &message, &queue, verdict.ending.end(), times, run);
    }

    /// Acknowledges before the run. What settles afterwards settles nothing.
    async fn ack_early(&mut self) -> Result<(), BrokerError> {
        match self.receipt.take() {
            Some(receipt) => receipt.settle(Settlement::Ack).await,
            None => Ok(()),
        }
    }

    fn call(&self, worker: &Worker) -> Call {
        let message = &*self.message;
        let text = |time: &Option<umbel_protocol::time::Timestamp>| {
            time.as_ref().map(|time| time.text.clone())
        };
        let set = worker.flow.time_limits(&message.task);
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
            time_limit: limit(message.time_limit).or(set.hard),
            soft_time_limit: limit(message.soft_time_limit).or(set.soft),
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

/// Tells whoever measures, when everything is done.
fn observe(
    worker: &Worker,
    message: &Message,
    queue: &str,
    end: End,
    mut times: Times,
    run: Option<Run<'_>>,
) {
    if let Some(observer) = &worker.observer {
        times.settled = Some(Instant::now());
        observer.settled(&Story { message, queue, end, times, run });
    }
}

/// A limit that is not a positive number is none, as in Celery.
fn limit(seconds: Option<f64>) -> Option<Duration> {
    seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Puts a message aside, with the reason.
pub(crate) async fn bury(
    worker: &Worker,
    message: RawMessage,
    queue: &str,
    receipt: Option<Receipt>,
    reason: String,
    parked: bool,
) {
    let Some(receipt) = receipt else { return };
    let letter = DeadLetter {
        id: String::new(),
        queue: queue.to_owned(),
        reason,
        at: worker.now(),
        parked,
        message,
    };
    match worker.broker.bury(letter, receipt).await {
        Ok(()) | Err(BrokerError::Stale) => {}
        Err(error) => warn!(queue, "a message could not be put aside: {error}"),
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
