//! The one task behind a subscription: takes, settles, renews leases, each as one batch at a time.
//!
//! What becomes ready while a batch is under way leaves with the next, so that a busy consumer
//! groups by itself and an idle one does not wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, RedisError, RedisResult, Value};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tracing::warn;
use umbel_protocol::names;

use super::connection::{
    Fault, Link, Live, fault, is_missing_script, is_passing, is_refusal, new_batch, once,
};
use super::record::{returned, split};
use super::{Shared, scripts, unacked};
use crate::broker::BrokerError;
use crate::delivery::{Settle, Settlement, Tag};

/// How many messages one take moves at most, and how many tags one call names.
const BATCH: usize = 500;

/// How many bytes of messages one take moves at most, and one message more.
const BYTES: usize = 4 << 20;

/// An idle consumer looks by itself this often, should a wake-up have been lost.
const POLL: Duration = Duration::from_secs(1);

/// The same where the server cannot wake us.
const POLL_WITHOUT_PUSH: Duration = Duration::from_millis(20);

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
    requeues: Vec<Settled>,
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
    poll_at: Instant,
    pause: Option<Instant>,
}

struct Settled {
    tag: Arc<str>,
    done: Option<oneshot::Sender<Result<(), BrokerError>>>,
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

/// What each command of a batch is, in the batch's order.
enum Step {
    Ack(usize),
    Renew,
    Take,
    Length,
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
            Settlement::Requeue => self.requeues.push(settled),
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
        self.window.saturating_sub(self.held.len().saturating_sub(self.acks.len()))
    }

    /// How many to take now; `Some(0)` only asks what became of a take that was not answered.
    fn wanted(&self) -> Option<usize> {
        let free = if self.stopped { 0 } else { self.free().min(BATCH) };
        let take = self.unanswered.is_some() || (free > 0 && self.supply != Supply::Dry);
        take.then_some(free)
    }

    fn has_work(&self) -> bool {
        !self.acks.is_empty()
            || !self.requeues.is_empty()
            || !self.give_backs.is_empty()
            || self.unanswered.is_some()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.has_work() || self.wanted().is_some() || self.renew_at <= now
    }

    /// One exchange with the server. An error is final for this subscription.
    async fn batch(&mut self) -> Result<(), Fault> {
        self.pause = None;
        self.send_back().await?;
        let mut live = self.link.live().await?;
        if self.generation != Some(live.generation) {
            self.pushes = live.pushes && self.track(&mut live).await;
            self.generation = Some(live.generation);
            self.supply = Supply::Unknown;
        }
        let (pipeline, steps) = self.plan();
        if steps.is_empty() {
            return Ok(());
        }
        match once(&mut live, &pipeline).await {
            Ok(answers) if answers.iter().any(is_missing_script) => {
                if let Err(why) = self.link.reload(&live).await {
                    self.link.lost(&live, &why);
                }
                Ok(())
            }
            Ok(answers) => self.digest(steps, answers),
            // Whatever was under way is sent again: settling twice changes nothing, and a take
            // goes by its number.
            Err(why) => {
                self.link.lost(&live, &why);
                Ok(())
            }
        }
    }

    /// Asks the server to push when a list that we looked at changes.
    async fn track(&self, live: &mut Live) -> bool {
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("NOLOOP");
        match tracking.query_async::<()>(&mut live.connection).await {
            Ok(()) => true,
            Err(why) => {
                warn!(error = %why, "the Redis server cannot wake us; looking often instead");
                false
            }
        }
    }

    fn plan(&mut self) -> (Pipeline, Vec<Step>) {
        let (mut pipeline, mut steps) = (new_batch(), Vec::new());
        let keys = [self.shared.keys.unacked(), self.shared.keys.unacked_index()];
        for acks in self.acks.chunks(BATCH) {
            let mut call = scripts::call(&scripts::ACK, keys.iter().map(String::as_str));
            for ack in acks {
                call.arg(&*ack.tag);
            }
            pipeline.add_command(call);
            steps.push(Step::Ack(acks.len()));
        }
        if self.renew_at <= Instant::now() {
            let tags: Vec<&Arc<str>> = self.held.keys().collect();
            for tags in tags.chunks(BATCH) {
                let mut call = scripts::call(&scripts::RENEW, [keys[1].as_str()].into_iter());
                for tag in tags {
                    call.arg(&***tag);
                }
                pipeline.add_command(call);
                steps.push(Step::Renew);
            }
            self.renew_at = Instant::now() + self.shared.options.visibility_timeout / 3;
        }
        if let Some(wanted) = self.wanted() {
            pipeline.add_command(self.take(wanted));
            steps.push(Step::Take);
            if self.pushes && self.supply == Supply::Unknown {
                for list in &self.lists {
                    pipeline.cmd("LLEN").arg(list);
                    steps.push(Step::Length);
                }
            }
        }
        (pipeline, steps)
    }

    fn take(&mut self, wanted: usize) -> redis::Cmd {
        let again = self.unanswered.is_some();
        let number = *self.unanswered.get_or_insert_with(|| {
            self.takes += 1;
            self.takes
        });
        let own = [self.shared.keys.unacked(), self.shared.keys.unacked_index()];
        let keys: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain([self.record.as_str()])
            .chain(self.lists.iter().map(String::as_str))
            .collect();
        let mut call = scripts::call(&scripts::TAKE, keys.into_iter());
        call.arg(wanted)
            .arg(BYTES)
            .arg(format!("{}-{number}", self.id))
            // Longer than any reconnect that leaves the messages ours.
            .arg(self.shared.options.visibility_timeout.as_secs().max(1))
            .arg(self.queues.len())
            .arg(self.turn)
            .arg(u8::from(again));
        for queue in &self.queues {
            call.arg(&**queue);
        }
        call
    }

    fn digest(&mut self, steps: Vec<Step>, answers: Vec<RedisResult<Value>>) -> Result<(), Fault> {
        let mut waiting = None;
        let mut outcome = Ok(());
        let mut settled = Vec::new();
        let mut acks = std::mem::take(&mut self.acks).into_iter();
        for (step, answer) in steps.into_iter().zip(answers) {
            match (step, answer) {
                (Step::Ack(count), Ok(_)) => settled.extend(acks.by_ref().take(count)),
                (Step::Ack(count), Err(why)) => {
                    self.acks.extend(acks.by_ref().take(count));
                    outcome = outcome.and(self.excuse(why));
                }
                (Step::Take, Ok(answer)) => self.receive(answer),
                (Step::Length, Ok(Value::Int(length))) => {
                    waiting = Some(waiting.unwrap_or(0) + length);
                }
                (Step::Renew | Step::Length, Ok(_)) => {}
                (Step::Take | Step::Renew | Step::Length, Err(why)) => {
                    outcome = outcome.and(self.excuse(why));
                }
            }
        }
        for ack in settled {
            self.held.remove(&ack.tag);
            if let Some(done) = ack.done {
                let _ = done.send(Ok(()));
            }
        }
        // Nothing came between the take and the lengths: the next change is pushed.
        if waiting == Some(0) && self.supply == Supply::Unknown {
            self.supply = Supply::Dry;
            self.poll_at = Instant::now() + POLL;
        }
        outcome
    }

    fn excuse(&mut self, why: RedisError) -> Result<(), Fault> {
        if is_passing(&why) {
            warn!(error = %why, "the Redis server says \"not now\"");
            self.pause = Some(Instant::now() + PAUSE);
            return Ok(());
        }
        Err(match is_refusal(&why) {
            true => fault(why),
            false => Fault::Other("cannot consume from the Redis server".into(), why.into()),
        })
    }

    fn receive(&mut self, answer: Value) {
        self.unanswered = None;
        let Value::Array(fields) = answer else { return };
        let mut fields = fields.into_iter();
        let state = match fields.next() {
            Some(Value::Int(state)) => state,
            _ => 0,
        };
        while let (Some(Value::Int(list)), Some(tag), Some(text)) =
            (fields.next(), fields.next(), fields.next())
        {
            let (Value::BulkString(tag), Value::BulkString(mut text)) = (tag, text) else {
                continue;
            };
            let list = usize::try_from(list).unwrap_or(0) % self.lists.len();
            if state == 2
                && let Some((envelope, _)) = split(&text)
            {
                text = envelope.to_vec();
            }
            let tag: Arc<str> = String::from_utf8_lossy(&tag).into();
            self.turn = (list + 1) % self.queues.len();
            self.takes += 1;
            self.held.insert(tag.clone(), (self.takes, list));
            let taken = Taken { list, tag, text };
            match self.stopped {
                true => self.give_backs.push(taken),
                false => {
                    if let Err(mpsc::error::SendError(Ok(taken))) = self.ready.send(Ok(taken)) {
                        self.give_backs.push(taken);
                    }
                }
            }
        }
        self.supply = match (state, self.supply, self.pushes) {
            (0, _, false) => {
                self.poll_at = Instant::now() + POLL_WITHOUT_PUSH;
                Supply::Dry
            }
            (0, _, true) => Supply::Unknown,
            (1, ..) => Supply::Flowing,
            _ => Supply::Unknown,
        };
    }

    /// Puts back what was not handed out, and what its holder asked to have delivered again.
    async fn send_back(&mut self) -> Result<(), Fault> {
        if !self.give_backs.is_empty() {
            // The last one first: each goes to the front.
            let calls = self.give_backs.iter().rev().map(|taken| {
                self.give_back(&taken.tag, &self.lists[taken.list], "RPUSH", &taken.text)
            });
            let pipeline = calls.fold(new_batch(), joined);
            let answers = self.link.send(&pipeline).await?;
            if let Some(why) = answers.into_iter().find_map(Result::err) {
                return self.excuse(why);
            }
            for taken in self.give_backs.drain(..) {
                self.held.remove(&taken.tag);
            }
        }
        while !self.requeues.is_empty() {
            self.requeue().await?;
            if self.pause.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A few at a time, for each is read and written whole.
    async fn requeue(&mut self) -> Result<(), Fault> {
        let some = &self.requeues[..self.requeues.len().min(16)];
        let unacked = self.shared.keys.unacked();
        let reads = some.iter().map(|requeue| {
            let mut read = redis::cmd("HGET");
            read.arg(&unacked).arg(&*requeue.tag);
            read
        });
        let answers = self.link.send(&reads.fold(new_batch(), joined)).await?;
        let mut pipeline = new_batch();
        let mut failed = None;
        for (requeue, answer) in some.iter().zip(answers) {
            let value = match answer {
                Ok(Value::BulkString(value)) => value,
                // Somebody took it for abandoned: it is back already.
                Ok(_) => continue,
                Err(why) => {
                    failed = Some(why);
                    continue;
                }
            };
            let Some((text, _)) = split(&value) else { continue };
            let back = returned(text);
            let (_, list) = self.held.get(&requeue.tag).copied().unwrap_or_default();
            let list = &self.lists[list];
            pipeline.add_command(self.give_back(&requeue.tag, list, "LPUSH", &back.text));
        }
        if !pipeline.is_empty() {
            let answers = self.link.send(&pipeline).await?;
            failed = failed.or(answers.into_iter().find_map(Result::err));
        }
        if let Some(why) = failed {
            return self.excuse(why);
        }
        let count = some.len();
        for requeue in self.requeues.drain(..count) {
            self.held.remove(&requeue.tag);
            if let Some(done) = requeue.done {
                let _ = done.send(Ok(()));
            }
        }
        self.look_again();
        Ok(())
    }

    fn give_back(&self, tag: &str, list: &str, side: &str, text: &[u8]) -> redis::Cmd {
        let keys = [self.shared.keys.unacked(), self.shared.keys.unacked_index()];
        let keys: Vec<&str> = keys.iter().map(String::as_str).chain([list]).collect();
        let mut call = scripts::call(&scripts::GIVE_BACK, keys.into_iter());
        call.arg(tag).arg(side).arg(text).arg("");
        call
    }

    /// Tells the owner that this subscription is over; what was handed out can still be settled.
    fn fail(&mut self, why: Fault) {
        self.unanswered = None;
        self.pause = Some(Instant::now() + PAUSE);
        if !std::mem::replace(&mut self.stopped, true) {
            let _ = self.ready.send(Err(why.broker(self.shared.link.address())));
        }
    }

    /// The last settlements; then everything still held goes back to the front.
    async fn finish(&mut self) {
        self.stopped = true;
        self.collect();
        while self.has_work() {
            if self.batch().await.is_err() {
                return;
            }
            if let Some(pause) = self.pause {
                tokio::time::sleep_until(pause).await;
            }
            self.collect();
        }
        self.answer();
        let mut held: Vec<_> = self.held.drain().collect();
        held.sort_by_key(|(_, (number, _))| std::cmp::Reverse(*number));
        for (tag, (_, list)) in held {
            let list = self.lists.get(list).map(String::as_str);
            if let Err(why) = unacked::restore(&self.shared, &tag, list, None).await {
                warn!(error = ?why, "could not give a message back; it comes again");
                return;
            }
        }
    }
}

fn joined(mut pipeline: Pipeline, command: redis::Cmd) -> Pipeline {
    pipeline.add_command(command);
    pipeline
}
