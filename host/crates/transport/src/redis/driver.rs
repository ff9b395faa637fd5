//! The one task behind a subscription: takes, settles, renews leases, each as one batch at a time.
//!
//! What becomes ready while a batch is under way leaves with the next, so that a busy consumer
//! groups by itself and an idle one does not wait.

mod back;
mod batch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;
use umbel_protocol::names;

use super::Shared;
use super::connection::{Fault, Link};
use super::record::Why;
use crate::broker::BrokerError;
use crate::delivery::{Settle, Settlement, Tag};

/// How many messages one take moves at most, and how many tags one call names.
const BATCH: usize = 500;

/// How long to wait when the server said "not now".
const PAUSE: Duration = Duration::from_millis(250);

/// How long a batch under way may take once the broker closes, and how long the last ones may.
const LAST_BATCH: Duration = Duration::from_secs(2);
const LAST_WORK: Duration = Duration::from_secs(5);

/// A message as it was taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// Which list it came from; modulo the number of queues, which queue.
    pub list: usize,
    pub tag: Arc<str>,
    pub text: Vec<u8>,
}

/// What the owner of the subscription wants.
pub(super) enum Command {
    Resize(usize),
    /// Answered when nothing will be handed over any more.
    Stop(oneshot::Sender<()>),
    /// Messages that nobody saw.
    GiveBack(Vec<Taken>, Option<oneshot::Sender<()>>),
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    link: Link,
    queues: Vec<Arc<str>>,
    lists: Vec<String>,
    /// The key of the record of the last take, which is also what its numbers begin with.
    record: String,
    id: String,
    wake: Arc<Notify>,
    ready: mpsc::UnboundedSender<Result<Taken, BrokerError>>,
    commands: mpsc::UnboundedReceiver<Command>,
    settles: mpsc::UnboundedReceiver<Settle>,
    window: usize,
    /// Taken and not settled: when, as a running number, and from which list.
    held: HashMap<Arc<str>, (u64, usize)>,
    acks: Vec<Settled>,
    delays: Vec<(Settled, Timestamp)>,
    requeues: Vec<(Settled, Why)>,
    give_backs: Vec<Taken>,
    given_back: Vec<oneshot::Sender<()>>,
    stops: Vec<oneshot::Sender<()>>,
    stopped: bool,
    /// Owner and receipts are gone.
    deserted: bool,
    supply: Supply,
    /// The number of a take that was not answered.
    unanswered: Option<u64>,
    takes: u64,
    /// The queue whose turn it is.
    turn: usize,
    generation: Option<u32>,
    pushes: bool,
    renew_at: Instant,
    /// Changes when every lease must be renewed now.
    renewals: watch::Receiver<u64>,
    poll_at: Instant,
    pause: Option<Instant>,
    /// The last exchange moved something large.
    read_much: bool,
}

struct Settled {
    tag: Arc<str>,
    done: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

impl Settled {
    fn tell(self) {
        if let Some(done) = self.done {
            let _ = done.send(Ok(()));
        }
    }
}

/// What we know about the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    /// They hold more.
    Flowing,
    /// Nothing; look, and ask to be woken.
    Unknown,
    /// They were empty, and a change will wake us.
    Dry,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "the ends of three channels, once")]
    pub(super) fn new(
        shared: Arc<Shared>,
        link: Link,
        queues: &[Arc<str>],
        window: usize,
        wake: Arc<Notify>,
        ready: mpsc::UnboundedSender<Result<Taken, BrokerError>>,
        commands: mpsc::UnboundedReceiver<Command>,
        settles: mpsc::UnboundedReceiver<Settle>,
    ) -> Driver {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let steps = names::PRIORITY_STEPS.into_iter();
        let lists = steps
            .flat_map(|step| queues.iter().map(move |queue| (queue, step)))
            .map(|(queue, step)| shared.keys.list(queue, step))
            .collect();
        let now = Instant::now();
        Driver {
            renew_at: now + shared.options.visibility_timeout / 3,
            record: shared.keys.last_take(&id),
            renewals: shared.renewals.subscribe(),
            shared,
            link,
            queues: queues.to_vec(),
            lists,
            id,
            wake,
            ready,
            commands,
            settles,
            window,
            held: HashMap::new(),
            acks: Vec::new(),
            delays: Vec::new(),
            requeues: Vec::new(),
            give_backs: Vec::new(),
            given_back: Vec::new(),
            stops: Vec::new(),
            stopped: false,
            deserted: false,
            supply: Supply::Unknown,
            unanswered: None,
            takes: 0,
            turn: 0,
            generation: None,
            pushes: false,
            poll_at: now,
            pause: None,
            read_much: false,
        }
    }

    /// Works until the broker closes, the server refuses us, or nobody needs it any more.
    pub(super) async fn run(mut self) {
        let closing = self.shared.closing.clone();
        let too_late = async {
            closing.cancelled().await;
            tokio::time::sleep(LAST_BATCH).await;
        };
        tokio::pin!(too_late);
        while self.wait().await {
            let batch = tokio::select! {
                biased;
                batch = self.batch() => batch,
                () = &mut too_late => break,
            };
            if let Err(why) = batch {
                self.fail(why);
            }
            self.answer();
        }
        if tokio::time::timeout(LAST_WORK, self.finish()).await.is_err() {
            warn!(
                held = self.held.len(),
                "could not give everything back; it comes again when its lease ends"
            );
        }
        self.link.close();
    }

    /// Waits until there is something to do; `false` when there never will be.
    async fn wait(&mut self) -> bool {
        let closing = self.shared.closing.clone();
        loop {
            self.collect();
            if closing.is_cancelled() || (self.deserted && !self.has_work()) {
                return false;
            }
            let now = Instant::now();
            if self.pause.is_none_or(|pause| pause <= now) && self.is_due(now) {
                return true;
            }
            let wake_at = match self.pause {
                Some(pause) if pause > now => pause,
                _ if self.supply == Supply::Dry && !self.stopped => self.poll_at.min(self.renew_at),
                _ => self.renew_at,
            };
            tokio::select! {
                settle = self.settles.recv(), if !self.deserted => self.note(settle),
                Some(command) = self.commands.recv() => self.obey(command),
                () = self.wake.notified() => self.look_again(),
                Ok(()) = self.renewals.changed() => self.renew_at = Instant::now(),
                () = tokio::time::sleep_until(wake_at) => {
                    if self.poll_at <= Instant::now() {
                        self.look_again();
                    }
                }
                () = closing.cancelled() => {}
            }
        }
    }

    /// Takes in whatever is there already.
    fn collect(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        loop {
            match self.settles.try_recv() {
                Ok(settle) => self.note(Some(settle)),
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => return self.note(None),
            }
        }
    }

    fn note(&mut self, settle: Option<Settle>) {
        let Some(settle) = settle else {
            self.deserted = true;
            return;
        };
        let held = match settle.tag {
            Tag::Text(tag) if self.held.contains_key(&tag) => Some(tag),
            _ => None,
        };
        let Some(tag) = held else {
            if let Some(done) = settle.done {
                let _ = done.send(Err(BrokerError::Stale));
            }
            return;
        };
        let settled = Settled { tag, done: settle.done };
        match settle.how {
            Settlement::Ack | Settlement::Discard => self.acks.push(settled),
            Settlement::Delay(at) => self.delays.push((settled, at)),
            Settlement::Requeue => self.requeues.push((settled, Why::Requeued)),
            Settlement::Reject => self.requeues.push((settled, Why::Rejected)),
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Resize(window) => self.window = window,
            Command::Stop(done) => {
                self.stopped = true;
                self.stops.push(done);
                self.answer();
            }
            Command::GiveBack(taken, done) => {
                self.give_backs.extend(taken);
                self.given_back.extend(done);
                self.answer();
            }
        }
    }

    /// Tells those who wait for something that is true by now.
    fn answer(&mut self) {
        if self.unanswered.is_none() {
            for done in self.stops.drain(..) {
                let _ = done.send(());
            }
        }
        if self.give_backs.is_empty() {
            for done in self.given_back.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn look_again(&mut self) {
        if self.supply == Supply::Dry {
            self.supply = Supply::Unknown;
        }
    }

    fn free(&self) -> usize {
        let leaving = self.acks.len() + self.delays.len();
        self.window.saturating_sub(self.held.len().saturating_sub(leaving))
    }

    /// How many to take now; `Some(0)` only asks what became of a take that was not answered.
    fn wanted(&self) -> Option<usize> {
        let free = if self.stopped { 0 } else { self.free().min(BATCH) };
        let take = self.unanswered.is_some() || (free > 0 && self.supply != Supply::Dry);
        take.then_some(free)
    }

    fn has_work(&self) -> bool {
        !self.acks.is_empty()
            || !self.delays.is_empty()
            || !self.requeues.is_empty()
            || !self.give_backs.is_empty()
            || self.unanswered.is_some()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.has_work() || self.wanted().is_some() || self.renew_at <= now
    }

    /// Tells the owner that this subscription is over; what was handed out can still be settled.
    fn fail(&mut self, why: Fault) {
        self.unanswered = None;
        self.pause = Some(Instant::now() + PAUSE);
        if !std::mem::replace(&mut self.stopped, true) {
            let _ = self.ready.send(Err(why.broker(self.shared.link.address())));
        }
    }

    /// The last settlements; then everything still held goes back in good order.
    async fn finish(&mut self) {
        self.stopped = true;
        self.collect();
        if self.work_off().await.is_err() {
            return;
        }
        self.answer();
        let held = self.held.keys().cloned();
        let held = held.map(|tag| (Settled { tag, done: None }, Why::Requeued));
        self.requeues = held.collect();
        if let Err(why) = self.work_off().await {
            warn!(error = ?why, "could not give everything back; it comes again");
        }
    }

    /// Batches until nothing is left to do.
    async fn work_off(&mut self) -> Result<(), Fault> {
        while self.has_work() {
            self.batch().await?;
            if let Some(pause) = self.pause {
                tokio::time::sleep_until(pause).await;
            }
            self.collect();
        }
        Ok(())
    }
}
