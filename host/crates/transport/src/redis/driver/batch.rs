//! One exchange with the server: what goes into it, and what its answers change.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::{Pipeline, RedisError, RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;
use umbel_value::json::write_text;

use super::{BATCH, Driver, PAUSE, Settled, Supply, Taken};
use crate::redis::connection::{
    Fault, Live, fault, is_missing_script, is_passing, is_refusal, new_batch, once,
};
use crate::redis::record::{split, unseen};
use crate::redis::scripts;

/// How many bytes of messages one take moves at most, and one message more.
const BYTES: usize = 4 << 20;

/// A message of more bytes than this would leave its size with the connection.
const LARGE: usize = 2 * BYTES;

/// An idle consumer looks by itself this often, should a wake-up have been lost.
const POLL: Duration = Duration::from_secs(1);

/// The same where the server cannot wake us.
const POLL_WITHOUT_PUSH: Duration = Duration::from_millis(20);

/// What each command of a batch is, in the batch's order.
enum Step {
    Ack(usize),
    Delay(usize),
    Renew,
    Take,
    Length,
}

impl Driver {
    /// One exchange with the server. An error is final for this subscription.
    pub(super) async fn batch(&mut self) -> Result<(), Fault> {
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
            Ok(answers) => {
                self.link.look_for_a_master(&live, &answers);
                self.digest(steps, answers)?;
                if std::mem::take(&mut self.read_much) {
                    self.link.renew().await;
                }
                Ok(())
            }
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
        // Before the delays, which set another score.
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
        for delays in self.delays.chunks(BATCH) {
            pipeline.add_command(self.delay(delays));
            steps.push(Step::Delay(delays.len()));
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

    fn delay(&self, delays: &[(Settled, Timestamp)]) -> redis::Cmd {
        let keys = [self.shared.keys.unacked(), self.shared.keys.unacked_index()];
        let mut call = scripts::call(&scripts::DELAY, keys.iter().map(String::as_str));
        call.arg(self.shared.options.visibility_timeout.as_secs_f64());
        // As a span: the server's clock may differ from ours.
        let now = Timestamp::now();
        for (delay, at) in delays {
            let (_, list) = self.held.get(&delay.tag).copied().unwrap_or_default();
            let mut queue = Vec::new();
            write_text(&self.queues[list % self.queues.len()], &mut queue);
            call.arg(&*delay.tag).arg(at.duration_since(now).as_secs_f64()).arg(queue);
        }
        call
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
        let mut delays = std::mem::take(&mut self.delays).into_iter();
        for (step, answer) in steps.into_iter().zip(answers) {
            match (step, answer) {
                (Step::Ack(count), Ok(_)) => settled.extend(acks.by_ref().take(count)),
                (Step::Ack(count), Err(why)) => {
                    self.acks.extend(acks.by_ref().take(count));
                    outcome = outcome.and(self.excuse(why));
                }
                (Step::Delay(count), Ok(_)) => {
                    settled.extend(delays.by_ref().take(count).map(|(delay, _)| delay));
                    self.shared.sooner.notify_one();
                }
                (Step::Delay(count), Err(why)) => {
                    self.delays.extend(delays.by_ref().take(count));
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
        for settled in settled {
            self.held.remove(&settled.tag);
            settled.tell();
        }
        // Nothing came between the take and the lengths: the next change is pushed.
        if waiting == Some(0) && self.supply == Supply::Unknown {
            self.supply = Supply::Dry;
            self.poll_at = Instant::now() + POLL;
        }
        outcome
    }

    pub(super) fn excuse(&mut self, why: RedisError) -> Result<(), Fault> {
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
            self.read_much |= text.len() > LARGE;
            let list = usize::try_from(list).unwrap_or(0) % self.lists.len();
            if state == 2
                && let Some((envelope, ..)) = split(&text)
            {
                text = unseen(envelope);
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
}
