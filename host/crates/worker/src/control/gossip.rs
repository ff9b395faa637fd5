//! What the other workers tell of themselves, and the elections among them (PROTOCOL 8.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use umbel_protocol::canvas;
use umbel_protocol::event::{self, Event, Heard, News};
use umbel_protocol::message::Message;
use umbel_transport::broker::{BrokerError, Listener};
use umbel_transport::reconnect::Backoff;
use umbel_value::{Map, Value};

use crate::carry::{lend, take_step};
use crate::worker::{Worker, spread};

/// Elections that may be under way; the oldest are forgotten first.
const ELECTIONS: usize = 100;

/// Candidates of one election, and workers that are known.
const WORKERS: usize = 10_000;

/// What is known of the others.
#[derive(Debug, Default)]
pub(crate) struct Gossip(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Until when each counts as alive.
    alive: HashMap<String, Instant>,
    elections: IndexMap<String, Election>,
}

#[derive(Debug, Default)]
struct Election {
    candidates: Vec<Candidate>,
    /// Who has heard of it.
    heard: Vec<String>,
    /// We are to find out who won.
    ours: bool,
}

/// The earliest by its clock wins.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    clock: u64,
    /// `node.pid`
    name: String,
    topic: String,
    action: Value,
}

impl Gossip {
    /// Everybody will hear of it; who wins is found out when all have.
    fn begin(&self, id: &str) {
        let mut state = self.state();
        state.election(id).ours = true;
    }

    fn is_candidate(&self, id: &str, candidate: Candidate) {
        let mut state = self.state();
        let election = state.election(id);
        if election.candidates.len() < WORKERS {
            election.candidates.push(candidate);
        }
    }

    /// The winner, once everybody who lives has heard of the election.
    fn has_heard(&self, id: &str, node: String, own: &str) -> Option<Candidate> {
        let mut state = self.state();
        let now = Instant::now();
        state.alive.retain(|_, until| *until > now);
        let others = state.alive.keys().filter(|node| *node != own).count();
        let election = state.elections.get_mut(id)?;
        if !election.ours {
            return None;
        }
        if !election.heard.contains(&node) && election.heard.len() < WORKERS {
            election.heard.push(node);
        }
        if election.heard.len() <= others {
            return None;
        }
        let Election { candidates, .. } = state.elections.shift_remove(id)?;
        candidates.into_iter().min_by(|one, other| {
            one.clock.cmp(&other.clock).then_with(|| one.name.cmp(&other.name))
        })
    }

    fn is_alive(&self, node: String, every: f64) {
        // Silent for twice as long as it said: gone.
        let patience = Duration::try_from_secs_f64(every.max(0.0) * 2.0);
        let patience = patience.unwrap_or(Duration::MAX).min(Duration::from_secs(3600));
        let mut state = self.state();
        if state.alive.len() < WORKERS || state.alive.contains_key(&node) {
            state.alive.insert(node, Instant::now() + patience);
        }
    }

    fn is_gone(&self, node: &str) {
        self.state().alive.remove(node);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn election(&mut self, id: &str) -> &mut Election {
        if !self.elections.contains_key(id) && self.elections.len() >= ELECTIONS {
            self.elections.shift_remove_index(0);
        }
        self.elections.entry(id.to_owned()).or_default()
    }
}

/// Celery's `election`: who is to do something that only one worker is to do.
pub(crate) fn election(worker: &Worker, arguments: &Map) -> Value {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let (id, topic) = (text("id"), text("topic"));
    let action = arguments.get("action").cloned().unwrap_or_default();
    worker.gossip.begin(id);
    worker.events.tell(&Event::Elect { id, topic, action: &action });
    Value::Null
}

/// Listens to the other workers until the broker is closed.
pub(super) async fn listen(worker: Arc<Worker>) {
    let mut backoff = Backoff::default();
    loop {
        match worker.broker.overhear(event::OF_WORKERS).await {
            Ok(mut listener) => {
                backoff.reset();
                match hear_all(&worker, &mut *listener).await {
                    Ok(()) => return,
                    Err(error) => debug!("gossip is interrupted: {error}"),
                }
            }
            Err(BrokerError::Unsupported(what)) => return debug!("no {what} on this broker"),
            Err(BrokerError::Closed) => return,
            Err(error) => debug!("gossip is not available yet: {error}"),
        }
        tokio::time::sleep(backoff.next(spread())).await;
    }
}

async fn hear_all(worker: &Arc<Worker>, listener: &mut dyn Listener) -> Result<(), BrokerError> {
    while let Some(raw) = listener.next().await? {
        for event in event::open(&raw) {
            if let Some(heard) = Heard::of(&event) {
                hear(worker, heard).await;
            }
        }
    }
    Ok(())
}

async fn hear(worker: &Arc<Worker>, heard: Heard) {
    let Heard { node, pid, clock, what } = heard;
    match node == worker.config.node {
        true => worker.clock.tick(),
        false => worker.clock.adjust(clock),
    };
    match what {
        News::Alive { every } => worker.gossip.is_alive(node, every),
        News::Gone => worker.gossip.is_gone(&node),
        News::Elect { id, topic, action } => {
            let candidate = Candidate { clock, name: format!("{node}.{pid}"), topic, action };
            worker.gossip.is_candidate(&id, candidate);
            worker.events.tell(&Event::ElectAck { id: &id });
        }
        News::ElectAck { id } => {
            if let Some(winner) = worker.gossip.has_heard(&id, node, &worker.config.node) {
                settle(worker, &id, winner).await;
            }
        }
        News::Other => {}
    }
}

async fn settle(worker: &Arc<Worker>, id: &str, winner: Candidate) {
    let own = format!("{}.{}", worker.config.node, worker.vitals.pid);
    if winner.name != own {
        return info!("{} is elected for {id}", winner.name);
    }
    info!("elected for {id}");
    if winner.topic != "task" {
        return error!("an election has a topic that is unknown here: {}", winner.topic);
    }
    let nobody = Message::new("", Vec::new(), Map::new());
    let mut ids = || uuid::Uuid::new_v4().to_string();
    let plan = lend(worker, &nobody, &mut ids, |sender| {
        sender.parent = None;
        canvas::apply(&winner.action, &[], &Map::new(), sender)
    });
    let steps = match plan {
        Ok(plan) => plan.steps,
        Err(why) => return warn!("what the election was about cannot be sent: {why}"),
    };
    for step in steps {
        if take_step(worker, &nobody, &step, false).await.is_err() {
            return warn!("what the election was about is not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(clock: u64, name: &str) -> Candidate {
        Candidate { clock, name: name.to_owned(), topic: "task".to_owned(), action: Value::Null }
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wins_once_everybody_alive_has_heard() {
        let gossip = Gossip::default();
        gossip.is_alive("b".to_owned(), 2.0);
        gossip.is_alive("gone".to_owned(), 2.0);
        gossip.is_gone("gone");
        gossip.begin("e");
        gossip.is_candidate("e", candidate(9, "a.1"));
        gossip.is_candidate("e", candidate(4, "b.2"));
        gossip.is_candidate("e", candidate(4, "c.2"));
        assert_eq!(gossip.has_heard("e", "a".to_owned(), "a"), None, "b has not");
        assert_eq!(gossip.has_heard("e", "a".to_owned(), "a"), None, "and still has not");
        assert_eq!(gossip.has_heard("e", "b".to_owned(), "a"), Some(candidate(4, "b.2")));
        assert_eq!(gossip.has_heard("e", "b".to_owned(), "a"), None, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_too_long_is_not_waited_for() {
        let gossip = Gossip::default();
        gossip.is_alive("b".to_owned(), 2.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        gossip.begin("e");
        gossip.is_candidate("e", candidate(1, "a.1"));
        assert!(gossip.has_heard("e", "a".to_owned(), "a").is_some());
    }
}
