//! The sweep: messages that were abandoned, and delayed ones whose time has come, go back to their
//! lists. Every worker sweeps; the scripts see to it that each message goes back once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, Value};
use tokio::time::Instant;
use tracing::{info, warn};
use umbel_protocol::message::Route;

use super::connection::{Fault, new_batch};
use super::publish::{commanded, targets};
use super::record::{Why, returned, split};
use super::{Shared, scripts};

/// How many messages, and bytes of them, one look gives.
const BATCH: usize = 200;
const BYTES: usize = 4 << 20;

/// How long a sweep has to put back what a look gave it, in seconds, before others may.
const GRACE: u32 = 5;

/// The server's clock may run ahead of ours by so many seconds from one look to the next.
const JUMP: f64 = 5.0;

/// How long nothing is taken for abandoned after the server's clock jumped ahead: every worker has
/// noticed by then, and renewed what it holds.
const AFTER_JUMP: Duration = Duration::from_secs(4);

/// The server's clock at a moment of ours.
#[derive(Clone, Copy)]
struct Clock {
    server: f64,
    at: Instant,
}

struct Sweep {
    shared: Arc<Shared>,
    clock: Option<Clock>,
    not_before: Instant,
}

/// What one look gave.
struct Look {
    /// Until the next message is due.
    next: Option<Duration>,
    /// What the messages can be put back with.
    score: String,
    due: Vec<(String, Vec<u8>)>,
}

/// Sweeps at once, whenever a message is due, and now and then, until the broker closes.
pub(super) async fn sweep_for_ever(shared: Arc<Shared>) {
    let closing = shared.closing.clone();
    let interval = shared.options.restore_interval();
    let mut sweep = Sweep { shared: shared.clone(), clock: None, not_before: Instant::now() };
    loop {
        let swept = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            swept = sweep.once() => swept,
        };
        let wait = match swept {
            Ok(next) => next.map_or(interval, |next| next.min(interval)),
            Err(Fault::Closed) => return,
            Err(why) => {
                warn!(error = ?why, "cannot look for abandoned messages");
                interval
            }
        };
        tokio::select! {
            biased;
            () = closing.cancelled() => return,
            () = shared.sooner.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Sweep {
    /// Puts back what is due; gives how long until the next one is.
    async fn once(&mut self) -> Result<Option<Duration>, Fault> {
        let mut abandoned = 0;
        let next = loop {
            let look = self.look().await?;
            if look.due.is_empty() {
                break look.next;
            }
            abandoned += self.restore(look).await?;
        };
        if abandoned > 0 {
            info!(count = abandoned, "gave abandoned messages back to their queues");
        }
        Ok(next)
    }

    async fn look(&mut self) -> Result<Look, Fault> {
        let now = Instant::now();
        let latest = match self.clock {
            _ if now < self.not_before => 0.0,
            Some(clock) => clock.server + now.duration_since(clock.at).as_secs_f64() + JUMP,
            None => f64::MAX,
        };
        let keys = [self.shared.keys.unacked(), self.shared.keys.unacked_index()];
        let mut look = scripts::call(&scripts::DUE, keys.iter().map(String::as_str));
        look.arg(self.shared.options.visibility_timeout.as_secs_f64());
        look.arg(BATCH).arg(BYTES).arg(GRACE).arg(latest);
        let (server, look) = read(one(&self.shared, look).await?)?;
        if server > latest && self.clock.is_some() && now >= self.not_before {
            warn!("the Redis server's clock jumped ahead; renewing leases before anything else");
            self.not_before = now + AFTER_JUMP;
            self.shared.renewals.send_modify(|count| *count += 1);
        }
        self.clock = Some(Clock { server, at: Instant::now() });
        if now < self.not_before {
            return Ok(Look { next: None, ..look });
        }
        Ok(look)
    }

    /// Gives how many of them had been abandoned.
    async fn restore(&self, look: Look) -> Result<usize, Fault> {
        let mut routes: HashMap<Route, Vec<String>> = HashMap::new();
        let (mut pipeline, mut delayed) = (new_batch(), Vec::new());
        for (tag, record) in &look.due {
            let Some((text, route, _)) = split(record) else {
                warn!(tag, "an unacknowledged message cannot be read; it stays where it is");
                continue;
            };
            let back = returned(text, Why::Restored);
            if !routes.contains_key(&route) {
                routes.insert(route.clone(), restore_targets(&self.shared, &route).await?);
            }
            let lists =
                routes[&route].iter().map(|queue| self.shared.keys.list(queue, back.priority));
            let lists: Vec<String> = lists.collect();
            let call = give_back(&self.shared, tag, &lists, "RPUSH", &back.text, &look.score);
            pipeline.add_command(call);
            delayed.push(back.delayed);
        }
        if pipeline.is_empty() {
            return Ok(0);
        }
        let answers = commanded(&self.shared.link, &pipeline).await?;
        let restored = answers.iter().zip(delayed);
        Ok(restored.filter(|(answer, delayed)| **answer == Value::Int(1) && !delayed).count())
    }
}

fn read(answer: Value) -> Result<(f64, Look), Fault> {
    let wrong = |why| Fault::Other("cannot read what is due".into(), Box::new(why));
    let fields = Vec::<Vec<u8>>::from_redis_value(answer).map_err(wrong)?;
    let mut fields = fields.into_iter();
    let mut text = || String::from_utf8_lossy(&fields.next().unwrap_or_default()).into_owned();
    let (server, next, score) = (text(), text(), text());
    let next = next.parse().ok().map(|seconds: f64| {
        Duration::try_from_secs_f64(seconds.max(0.001)).unwrap_or(Duration::MAX)
    });
    let mut due = Vec::new();
    while let (Some(tag), Some(record)) = (fields.next(), fields.next()) {
        due.push((String::from_utf8_lossy(&tag).into_owned(), record));
    }
    Ok((server.parse().unwrap_or(0.0), Look { next, score, due }))
}

/// Never empty: a message whose bindings are gone goes to the queue its key names.
async fn restore_targets(shared: &Shared, route: &Route) -> Result<Vec<String>, Fault> {
    let queues = match route.exchange.is_empty() {
        true => Vec::new(),
        false => targets(shared, route).await?,
    };
    Ok(if queues.is_empty() { vec![route.routing_key.clone()] } else { queues })
}

/// Puts a message back to one `side` of its lists; with a `score`, only if it still has that.
pub(super) fn give_back(
    shared: &Shared,
    tag: &str,
    lists: &[String],
    side: &str,
    text: &[u8],
    score: &str,
) -> Cmd {
    let own = [shared.keys.unacked(), shared.keys.unacked_index()];
    let keys: Vec<&str> = own.iter().chain(lists).map(String::as_str).collect();
    let mut call = scripts::call(&scripts::GIVE_BACK, keys.into_iter());
    call.arg(tag).arg(side).arg(text).arg(score);
    call
}

/// One command's answer.
pub(super) async fn one(shared: &Shared, command: Cmd) -> Result<Value, Fault> {
    let mut pipeline: Pipeline = new_batch();
    pipeline.add_command(command);
    Ok(commanded(&shared.link, &pipeline).await?.pop().unwrap_or(Value::Nil))
}
