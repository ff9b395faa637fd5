//! Hop 7: a verdict is carried out. Publish → store → count into chords → tell who is to hear of a
//! failure. Whatever is away is waited for; only being cut off ends the waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};
use umbel_protocol::canvas::{self, Plan, Sender, Step};
use umbel_protocol::message::{Message, Route};
use umbel_protocol::record::{Exception, ResultRecord};
use umbel_transport::broker::BrokerError;
use umbel_transport::reconnect::Backoff;
use umbel_transport::results::{Claim, Reply, ResultStore, StoreError};
use umbel_value::Value;

use crate::chord::Joining;
use crate::hop::Hop;
use crate::ids::Ids;
use crate::record;
use crate::verdict::{Errbacks, Lost, Part, Verdict};
use crate::worker::{Worker, spread};
use crate::{errback, exception};

/// Why a verdict was not carried out to its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The worker was cut off.
    Interrupted,
    /// It can never be done; the caller is to see this.
    Impossible(Exception),
}

/// Carries out what follows from one message.
pub(crate) struct Carrier<'a> {
    pub(crate) worker: &'a Arc<Worker>,
    pub(crate) message: &'a Arc<Message>,
    /// The message may have been carried out before: what it sends may have been sent.
    pub(crate) repeated: bool,
    pub(crate) ids: Ids,
}

/// One thing that is still to be done.
#[derive(Debug)]
pub(crate) enum Work {
    Store(Box<ResultRecord>),
    Join(Part),
    Errbacks(Errbacks),
    EndChord(Claim),
}

impl Work {
    /// A lost task's record, part and error callbacks, in this order.
    pub(crate) fn of_lost(lost: Lost) -> impl Iterator<Item = Work> {
        let Lost { record, part, errbacks } = lost;
        [Work::Store(Box::new(record))]
            .into_iter()
            .chain(part.map(Work::Join))
            .chain(errbacks.map(Work::Errbacks))
    }
}

impl<'a> Carrier<'a> {
    /// `door` is that of [`Ids::of`].
    pub(crate) fn new(
        worker: &'a Arc<Worker>,
        message: &'a Arc<Message>,
        door: &'static str,
    ) -> Self {
        Self { worker, message, repeated: false, ids: Ids::of(message, door) }
    }

    /// Everything but telling and settling. The order is the delivery contract.
    pub(crate) async fn carry_out(&mut self, verdict: &Verdict) -> Result<(), Halt> {
        for step in &verdict.steps {
            self.step(step).await?;
        }
        self.passed(Hop::Publish);
        if let Some(record) = &verdict.record {
            self.store(record).await?;
        }
        self.passed(Hop::Store);
        let Verdict { part, lost, errbacks, .. } = verdict;
        let mut work: VecDeque<Work> = part.clone().map(Work::Join).into_iter().collect();
        work.extend(lost.iter().cloned().flat_map(Work::of_lost));
        work.extend(errbacks.clone().map(Work::Errbacks));
        self.finish(work).await?;
        self.passed(Hop::Join);
        Ok(())
    }

    /// Until nothing is left to do; a completed chord brings more.
    async fn finish(&mut self, mut work: VecDeque<Work>) -> Result<(), Halt> {
        while let Some(next) = work.pop_front() {
            match next {
                Work::Store(record) => self.store(&record).await?,
                Work::Join(part) => {
                    for more in Joining::of(self, &part).run().await?.into_iter().rev() {
                        work.push_front(more);
                    }
                }
                Work::Errbacks(errbacks) => self.tell_of_failure(&errbacks).await?,
                Work::EndChord(claim) => self.end_chord(&claim, false).await?,
            }
        }
        Ok(())
    }

    /// Plans a canvas on behalf of the message.
    pub(crate) fn plan<T>(&mut self, make: impl FnOnce(&mut Sender<'_>) -> T) -> T {
        let ids = &mut self.ids;
        lend(self.worker, self.message, &mut || ids.next(), make)
    }

    pub(crate) async fn send_all(&mut self, plan: &Plan) -> Result<(), Halt> {
        for step in &plan.steps {
            self.step(step).await?;
        }
        Ok(())
    }

    pub(crate) async fn step(&self, step: &Step) -> Result<(), Halt> {
        take_step(self.worker, self.message, step, self.repeated).await
    }

    pub(crate) async fn store(&self, record: &ResultRecord) -> Result<(), Halt> {
        put(self.worker, record, &reply(self.message, &record.id)).await
    }

    pub(crate) async fn end_chord(&self, claim: &Claim, sent: bool) -> Result<(), Halt> {
        let Some(store) = &self.worker.store else { return Ok(()) };
        insist(self.worker, "the chord is not closed yet", || store.end_chord(claim, sent)).await
    }

    /// Those of our own that take the failure itself are called here, the others get a message.
    async fn tell_of_failure(&mut self, errbacks: &Errbacks) -> Result<(), Halt> {
        let (inline, messages): (Vec<Value>, Vec<Value>) = errbacks
            .signatures
            .iter()
            .cloned()
            .partition(|one| errback::is_inline(self.worker, one));
        for signature in &inline {
            let id = self.ids.next();
            errback::call(self.worker, self.message, errbacks, signature, id).await;
        }
        if messages.is_empty() {
            return Ok(());
        }
        let plan = self.plan(|sender| canvas::errbacks(&errbacks.failed, &messages, sender));
        match plan {
            Ok(plan) => self.send_all(&plan).await,
            Err(why) => {
                error!(id = %errbacks.failed, "the error callbacks cannot be sent: {why}");
                Ok(())
            }
        }
    }

    pub(crate) fn passed(&self, hop: Hop) {
        self.worker.passed(hop, &self.message.task);
    }
}

/// Where the caller of this message waits for the result of `id`.
pub(crate) fn reply(message: &Message, id: &str) -> Reply {
    let own = id == message.id;
    let correlation_id = message.correlation_id.as_ref().filter(|_| own);
    Reply {
        reply_to: message.reply_to.clone().filter(|queue| !queue.is_empty()),
        correlation_id: correlation_id.map_or(id, String::as_str).to_owned(),
    }
}

/// Lends what a canvas needs that is sent on behalf of a message.
pub(crate) fn lend<T>(
    worker: &Worker,
    parent: &Message,
    ids: &mut dyn FnMut() -> String,
    make: impl FnOnce(&mut Sender<'_>) -> T,
) -> T {
    make(&mut Sender {
        parent: Some(parent),
        origin: &worker.config.node,
        now: worker.now(),
        route: &|task| worker.config.route(task),
        ids,
        content: parent.content,
    })
}

/// Does one step of a canvas, however long broker or store are away.
pub(crate) async fn take_step(
    worker: &Worker,
    parent: &Message,
    step: &Step,
    repeated: bool,
) -> Result<(), Halt> {
    match step {
        Step::Send { route, message } => {
            let mut message = message.clone();
            if let Some(depth) = parent.headers.get(DEPTH)
                && !message.headers.contains_key(DEPTH)
            {
                message.headers.insert(DEPTH.to_owned(), depth.clone());
            }
            if repeated {
                message.headers.insert(REPEATED.to_owned(), true.into());
            }
            if let Some(observer) = &worker.observer {
                observer.sending(parent, &mut message.headers);
            }
            publish(worker, route, &message).await
        }
        Step::Size { group, size } => {
            let store = chords(worker)?;
            insist(worker, "the chord is not begun yet", || store.begin_chord(group, *size)).await
        }
        Step::Keep { group, tuple } => {
            let store = chords(worker)?;
            insist(worker, "the group is not kept yet", || store.save_group(group, tuple)).await
        }
    }
}

/// Header of tasks that tasks sent: how many generations there were.
pub(crate) const DEPTH: &str = "umbel_depth";

/// Header of what may have been sent before under the same id: whoever takes it looks first whether
/// it is done.
pub const REPEATED: &str = "umbel_repeated";

/// A store that counts chords; there is none without a result backend.
pub(crate) fn chords(worker: &Worker) -> Result<&Arc<dyn ResultStore>, Halt> {
    worker.store.as_ref().ok_or_else(|| unsupported(&StoreError::Unsupported("chords")))
}

/// Sends a message, however long the broker is away.
async fn publish(worker: &Worker, route: &Route, message: &Message) -> Result<(), Halt> {
    let mut raw = message.encode();
    raw.properties.expiration = message.expiration(worker.now());
    let mut backoff = Backoff::default();
    let mut refused = 0;
    loop {
        match worker.broker.publish(route, &raw).await {
            Ok(()) => return Ok(()),
            Err(error @ (BrokerError::Conflict { .. } | BrokerError::Other { .. })) => {
                refused += 1;
                if refused > REFUSALS {
                    error!(id = %message.id, "`{}` cannot be sent: {error}", message.task);
                    return Err(Halt::Impossible(Exception::new(
                        "kombu.exceptions",
                        "OperationalError",
                        format!("cannot send `{}`: {error}", message.task),
                    )));
                }
                warn!(id = %message.id, "`{}` is not sent yet: {error}", message.task);
            }
            Err(error) => warn!(id = %message.id, "`{}` is not sent yet: {error}", message.task),
        }
        pause(worker, &mut backoff).await?;
    }
}

/// How often a broker may refuse a message before that is its last word.
const REFUSALS: u32 = 3;

/// Stores a record, however long the store is away. What can never be stored becomes a failure that
/// says so.
pub(crate) async fn put(worker: &Worker, record: &ResultRecord, reply: &Reply) -> Result<(), Halt> {
    let Some(store) = &worker.store else { return Ok(()) };
    let mut replaced = None;
    let mut backoff = Backoff::default();
    loop {
        let record = replaced.as_ref().unwrap_or(record);
        match store.put(record, reply).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Unstorable { what }) if replaced.is_none() => {
                error!(id = %record.id, "the result cannot be stored: {what}");
                replaced = Some(record::unstorable(record, &what));
                continue;
            }
            Err(error) => warn!(id = %record.id, "the result is not stored yet: {error}"),
        }
        pause(worker, &mut backoff).await?;
    }
}

/// Asks the store until it answers.
pub(crate) async fn insist<T, F: Future<Output = Result<T, StoreError>>>(
    worker: &Worker,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, Halt> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error @ (StoreError::Unsupported(_) | StoreError::Unstorable { .. })) => {
                return Err(unsupported(&error));
            }
            Err(error) => warn!("{what}: {error}"),
        }
        pause(worker, &mut backoff).await?;
    }
}

fn unsupported(error: &StoreError) -> Halt {
    Halt::Impossible(exception::builtin("NotImplementedError", error.to_string()))
}

pub(crate) async fn pause(worker: &Worker, backoff: &mut Backoff) -> Result<(), Halt> {
    let wait = backoff.next(spread()).max(Duration::from_millis(100));
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = worker.shutdown.aborting() => Err(Halt::Interrupted),
    }
}
