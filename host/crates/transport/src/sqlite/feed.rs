//! A consumer's own task: takes messages into its window, settles, keeps the lease alive.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alive::{self, Sign};
use super::database::{Database, Failure};
use super::queue::{self, Claim, Holder, Taken};
use crate::broker::BrokerError;
use crate::delivery::{Settle, Settlement, Tag};

/// How long after a failed transaction the next one is tried.
const PAUSE: Duration = Duration::from_millis(500);

/// What a consumer tells its feed.
#[derive(Debug)]
pub(super) enum Command {
    /// Answers how many deliveries there are too many.
    Resize { window: u16, excess: oneshot::Sender<usize> },
    /// These were not handed out. When the consumer has ended, whatever else was not is given back
    /// before `done` is told.
    GiveBack { claims: Vec<Claim>, done: Option<oneshot::Sender<()>> },
}

/// Who a consumer is to others.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) holder: i64,
    pub(super) sign: Option<Sign>,
    pub(super) lease_ms: i64,
}

pub(super) struct Feed {
    database: Arc<Database>,
    closed: CancellationToken,
    own: Identity,
    queues: Arc<[String]>,
    window: usize,
    buffer: mpsc::UnboundedSender<Taken>,

    /// Taken and neither settled nor given back.
    unsettled: usize,
    /// Which queue is asked first.
    turn: usize,
    /// A queue may have a message that we have room for.
    look: bool,
    /// When the next delay ends.
    due: Option<Instant>,
    /// Holders that died, or whose lease ran out.
    dead: Vec<Holder>,
    /// Holders whose lease is over by the wall clock: the end it had, and since when we see that.
    overdue: HashMap<i64, (i64, Instant)>,
    renewed: Instant,
    settles: Vec<Settle>,
    returns: Vec<Claim>,
    /// Told once `returns` is empty.
    returned: Vec<oneshot::Sender<()>>,
}

/// What one transaction does.
struct Round {
    holder: i64,
    alive: Option<String>,
    /// The lease in milliseconds, if it is to run from now.
    renew: Option<i64>,
    dead: Vec<Holder>,
    path: PathBuf,
    settles: Vec<(Claim, Settlement)>,
    returns: Vec<Claim>,
    queues: Arc<[String]>,
    turn: usize,
    take: usize,
}

struct Done {
    /// For each settlement: the delivery was still ours.
    settled: Vec<bool>,
    taken: Vec<Taken>,
}

impl Feed {
    pub(super) fn new(
        database: Arc<Database>,
        closed: CancellationToken,
        own: Identity,
        queues: Arc<[String]>,
        window: u16,
        buffer: mpsc::UnboundedSender<Taken>,
    ) -> Feed {
        Feed {
            database,
            closed,
            own,
            queues,
            window: window.into(),
            buffer,
            unsettled: 0,
            turn: 0,
            look: true,
            due: None,
            dead: Vec::new(),
            overdue: HashMap::new(),
            renewed: Instant::now(),
            settles: Vec::new(),
            returns: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Ends when the broker is closed, or when the consumer and all its receipts are gone.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut receipts: mpsc::UnboundedReceiver<Settle>,
    ) {
        let mut changes = self.database.changes();
        let closed = self.closed.clone();
        let lease = Duration::from_millis(self.own.lease_ms.unsigned_abs());
        let mut tick = tokio::time::interval(
            (lease / 4).clamp(Duration::from_millis(20), Duration::from_secs(1)),
        );
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut alive = true;
        while alive {
            tokio::select! {
                biased;
                () = closed.cancelled() => break,
                settle = receipts.recv() => match settle {
                    Some(settle) => self.settles.push(settle),
                    // The consumer and all its receipts are gone.
                    None => alive = false,
                },
                Some(command) = commands.recv() => self.obey(command),
                _ = changes.changed(), if self.is_idle() => self.look(&mut changes).await,
                () = until(self.due), if self.is_idle() => self.look = true,
                _ = tick.tick() => {
                    self.watch_others().await;
                    self.look(&mut changes).await;
                }
                () = std::future::ready(()), if self.has_work() => {}
            }
            while let Ok(settle) = receipts.try_recv() {
                self.settles.push(settle);
            }
            while let Ok(command) = commands.try_recv() {
                self.obey(command);
            }
            while self.has_work() && !closed.is_cancelled() {
                if self.round(&mut changes).await {
                    break;
                }
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
        self.leave().await;
    }

    /// Room, and nothing known to put there.
    fn is_idle(&self) -> bool {
        !self.look && self.unsettled < self.window && !self.buffer.is_closed()
    }

    fn free(&self) -> usize {
        if self.buffer.is_closed() { 0 } else { self.window.saturating_sub(self.unsettled) }
    }

    fn has_work(&self) -> bool {
        !self.settles.is_empty()
            || !self.returns.is_empty()
            || !self.returned.is_empty()
            || !self.dead.is_empty()
            || self.must_renew()
            || (self.look && self.free() > 0)
    }

    fn must_renew(&self) -> bool {
        let third = Duration::from_millis(self.own.lease_ms.unsigned_abs() / 3);
        self.unsettled > 0 && self.renewed.elapsed() >= third
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Resize { window, excess } => {
                self.window = window.into();
                let _ = excess.send(self.unsettled.saturating_sub(self.window));
                self.look = true;
            }
            Command::GiveBack { claims, done } => {
                self.returns.extend(claims);
                self.returned.extend(done);
            }
        }
    }

    /// Asks the file without locking it.
    async fn look(&mut self, changes: &mut watch::Receiver<u64>) {
        changes.mark_unchanged();
        let queues = self.queues.clone();
        // If this fails, the transaction will tell.
        let looked = self
            .database
            .read(move |file| Ok((queue::is_waiting(file, &queues)?, queue::next_due_ms(file)?)));
        let (waiting, due) = looked.await.unwrap_or((true, None));
        let left = due.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        self.due = left.map(|left| Instant::now() + left);
        self.look = self.look || waiting || left == Some(Duration::ZERO);
    }

    /// A lease that is over by the wall clock says little: the clock may have jumped. Who lives renews
    /// it within a third of its length, so who has not after half of it is given up.
    async fn watch_others(&mut self) {
        let holder = self.own.holder;
        let path = self.database.path().to_owned();
        let suspects = self.database.read(move |file| {
            let others = queue::others(file, holder)?.into_iter().map(|other| {
                let name = other.alive.as_ref();
                (name.is_some_and(|name| alive::is_gone(&path, name)), other)
            });
            Ok(others.filter(|(gone, other)| *gone || other.expired).collect::<Vec<_>>())
        });
        let patience = Duration::from_millis(self.own.lease_ms.unsigned_abs() / 2);
        let before = std::mem::take(&mut self.overdue);
        self.dead.clear();
        for (gone, other) in suspects.await.unwrap_or_default() {
            let known = before.get(&other.id).filter(|(until, _)| *until == other.until);
            let since = known.map_or_else(Instant::now, |(_, since)| *since);
            self.overdue.insert(other.id, (other.until, since));
            if gone || since.elapsed() >= patience {
                self.dead.push(other);
            }
        }
    }

    /// One transaction; `false` if it failed and all is still to do.
    async fn round(&mut self, changes: &mut watch::Receiver<u64>) -> bool {
        // Whatever is committed after this wakes us again.
        changes.mark_unchanged();
        let started = Instant::now();
        let freed = self.settles.len() + self.returns.len();
        let take = match self.look && !self.buffer.is_closed() {
            true => (self.window + freed).saturating_sub(self.unsettled),
            false => 0,
        };
        let round = Round {
            holder: self.own.holder,
            alive: self.own.sign.as_ref().map(|sign| sign.name().to_owned()),
            renew: (self.must_renew() || take > 0).then_some(self.own.lease_ms),
            dead: self.dead.clone(),
            path: self.database.path().to_owned(),
            settles: self.settles.iter().map(|settle| (claim(settle), settle.how)).collect(),
            returns: self.returns.clone(),
            queues: self.queues.clone(),
            turn: self.turn,
            take,
        };
        if take > 0 {
            // The commit of this round wakes us to look when the next one is due.
            self.due = None;
        }
        let renews = round.renew.is_some();
        match self.database.write(move |file| round.run(file)).await {
            Ok(done) => {
                if renews {
                    self.renewed = started;
                }
                self.dead.clear();
                self.turn = (self.turn + 1) % self.queues.len().max(1);
                // Fewer than asked for: nothing is left, and any news wakes us.
                if take > 0 {
                    self.look = done.taken.len() == take;
                }
                self.finish(done);
                true
            }
            Err(Failure::Closed) => {
                self.closed.cancel();
                true
            }
            Err(error) => {
                let error = error.broker(self.database.path());
                tracing::warn!(%error, "cannot use the queue file; trying again");
                false
            }
        }
    }

    fn finish(&mut self, done: Done) {
        self.unsettled = self.unsettled.saturating_sub(self.settles.len() + self.returns.len());
        for (settle, ours) in self.settles.drain(..).zip(done.settled) {
            if let Some(tell) = settle.done {
                let _ = tell.send(if ours { Ok(()) } else { Err(BrokerError::Stale) });
            }
        }
        self.returns.clear();
        self.unsettled += done.taken.len();
        for taken in done.taken {
            // The consumer ended meanwhile.
            if let Err(refused) = self.buffer.send(taken) {
                self.returns.push(refused.0.claim());
            }
        }
        if self.returns.is_empty() {
            self.tell_returned();
        }
    }

    fn tell_returned(&mut self) {
        for tell in self.returned.drain(..) {
            // Whoever stopped the consumer need not wait for it.
            let _ = tell.send(());
        }
    }

    /// Everything that is still held goes back.
    async fn leave(mut self) {
        let holder = self.own.holder;
        let settles = std::mem::take(&mut self.settles);
        let claims: Vec<_> = settles.iter().map(|settle| (claim(settle), settle.how)).collect();
        let returns = std::mem::take(&mut self.returns);
        let gone = self.database.write(move |file| {
            for (claim, how) in claims {
                queue::settle(file, holder, claim, how)?;
            }
            returns.into_iter().try_for_each(|claim| queue::give_back(file, holder, claim))?;
            queue::release(file, holder, false)
        });
        // If this fails the lease runs out.
        let gone = gone.await;
        for settle in settles {
            if let Some(tell) = settle.done {
                let _ = tell.send(gone.as_ref().map(|_| ()).map_err(|_| BrokerError::Stale));
            }
        }
        self.tell_returned();
    }
}

impl Round {
    fn run(self, file: &rusqlite::Connection) -> rusqlite::Result<Done> {
        if let Some(lease_ms) = self.renew {
            queue::renew(file, self.holder, self.alive.as_deref(), lease_ms)?;
        }
        for other in self.dead {
            if !queue::is_silent(file, &other)? {
                continue;
            }
            queue::release(file, other.id, true)?;
            if let Some(name) = other.alive {
                alive::clear(&self.path, &name);
            }
        }
        let settled = self
            .settles
            .into_iter()
            .map(|(claim, how)| queue::settle(file, self.holder, claim, how))
            .collect::<rusqlite::Result<_>>()?;
        for claim in self.returns {
            queue::give_back(file, self.holder, claim)?;
        }
        if self.take > 0 {
            queue::end_delays(file)?;
        }
        let taken = queue::take(file, self.holder, &self.queues, self.turn, self.take)?;
        Ok(Done { settled, taken })
    }
}

impl Taken {
    pub(super) fn claim(&self) -> Claim {
        Claim { id: self.id, deliveries: self.deliveries }
    }
}

impl Claim {
    /// What a receipt says that it settles.
    pub(super) fn of(tag: &Tag, generation: u32) -> Claim {
        let id = match tag {
            Tag::Number(number) => i64::try_from(*number).unwrap_or(-1),
            // Never made by this transport; no message has this number.
            Tag::Text(_) => -1,
        };
        Claim { id, deliveries: generation }
    }
}

fn claim(settle: &Settle) -> Claim {
    Claim::of(&settle.tag, settle.generation)
}

/// Until then; for ever without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
