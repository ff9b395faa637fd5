//! Between admission and the slot: a message waits for its time, its rate and its room. Outside slots
//! and, up to a cap, beside the window; beyond the cap the broker keeps it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use umbel_task::runner::Task;

use crate::admit::Refusal;
use crate::attempt::Attempt;
use crate::flow::Places;
use crate::hold;
use crate::inflight::{Place, Stage};
use crate::worker::Worker;

/// How a wait ended.
pub(crate) enum Turn {
    /// It is this message's turn.
    Run(Arc<dyn Task>, Places),
    /// The broker has it.
    Gone,
    /// The worker drains.
    Back,
    Refuse(Refusal),
}

/// A broker counts in seconds: what is due sooner is not worth the way.
const WORTH: Duration = Duration::from_millis(1500);

/// How long the broker keeps what waits for a room that is full.
const FULL: Duration = Duration::from_secs(2);

/// Deliveries without an end before a message is run beside no other of its kind.
const SUSPECT: u32 = 2;

impl Attempt {
    pub(crate) async fn turn(
        &mut self,
        worker: &Arc<Worker>,
        place: &Place,
        eta: Option<Timestamp>,
    ) -> Turn {
        if let Some(eta) = eta
            && let Some(over) = self.until(worker, place, eta).await
        {
            return over;
        }
        let Some(task) = self.task(worker) else { return Turn::Refuse(Refusal::Unregistered) };
        let handling = &task.policy().handling;
        if worker.flow.rate(&self.message.task, handling.rate_limit).is_some()
            && let Some(over) = self.pace(worker, place, handling.rate_limit).await
        {
            return over;
        }
        let mut rooms = worker.flow.rooms(&self.message.task, &task.version().plugin, handling);
        if self.deliveries >= SUSPECT {
            // It may be what took its worker down; then it shall not take the innocent with it again.
            rooms.push(Arc::clone(&worker.suspects));
        }
        match self.room(worker, place, rooms).await {
            Ok(places) => Turn::Run(task, places),
            Err(over) => over,
        }
    }

    /// Waits for an instant; `None` when it has come.
    async fn until(&mut self, worker: &Worker, place: &Place, at: Timestamp) -> Option<Turn> {
        place.entry.enter_stage(Stage::Held(at));
        let left = Duration::try_from(at.duration_since(worker.now())).unwrap_or(Duration::ZERO);
        if worker.held.is_full() && left > WORTH && self.delay(worker, at).await {
            return Some(Turn::Gone);
        }
        let _place = worker.held.enter();
        let over = tokio::select! {
            () = hold::until(at, worker.config.clock) => None,
            () = place.entry.revoked.cancelled() => Some(Turn::Refuse(Refusal::Revoked)),
            () = worker.shutdown.draining() => Some(Turn::Back),
        };
        place.entry.enter_stage(Stage::Waiting);
        over
    }

    /// Waits for the task's rate; `None` when a token is ours.
    async fn pace(
        &mut self,
        worker: &Worker,
        place: &Place,
        own: Option<umbel_task::policy::Rate>,
    ) -> Option<Turn> {
        let task = self.message.task.clone();
        let wait = worker.flow.wait(&task, own);
        if worker.held.is_full() && wait > WORTH && self.delay(worker, soon(worker, wait)).await {
            return Some(Turn::Gone);
        }
        let wait = worker.flow.reserve(&task, own);
        if wait.is_zero() {
            return None;
        }
        let _place = worker.held.enter();
        tokio::select! {
            () = tokio::time::sleep(wait) => None,
            () = place.entry.revoked.cancelled() => Some(Turn::Refuse(Refusal::Revoked)),
            () = worker.shutdown.draining() => Some(Turn::Back),
        }
    }

    /// Waits for a place in each room.
    async fn room(
        &mut self,
        worker: &Worker,
        place: &Place,
        rooms: Vec<Arc<Semaphore>>,
    ) -> Result<Places, Turn> {
        let mut places = Places::new();
        for room in rooms {
            if let Ok(free) = Arc::clone(&room).try_acquire_owned() {
                places.push(free);
                continue;
            }
            if worker.held.is_full() && self.delay(worker, soon(worker, FULL)).await {
                return Err(Turn::Gone);
            }
            let _place = worker.held.enter();
            tokio::select! {
                free = room.acquire_owned() => places.extend(free),
                () = place.entry.revoked.cancelled() => {
                    return Err(Turn::Refuse(Refusal::Revoked));
                }
                () = worker.shutdown.draining() => return Err(Turn::Back),
            }
        }
        Ok(places)
    }
}

fn soon(worker: &Worker, wait: Duration) -> Timestamp {
    worker.now().checked_add(wait).unwrap_or(Timestamp::MAX)
}
