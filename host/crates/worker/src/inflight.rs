//! Which messages are in our care, by their tasks' ids: two messages of one id never run at the same
//! time, and a revocation reaches whoever it names, waiting or running.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use umbel_protocol::message::{Message, Route};

use crate::shutdown::Shutdown;

/// Every message between admission and its end.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    entered: AtomicU64,
}

/// One message in our care.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Arc<Message>,
    /// Where it was published to.
    pub(crate) route: Route,
    pub(crate) redelivered: bool,
    /// Whoever came earlier has a smaller one.
    number: u64,
    acknowledged: AtomicBool,
    /// Cancelled when somebody revokes the task: it is not to start.
    pub(crate) revoked: CancellationToken,
    /// Cancelled when its run is to end at once.
    pub(crate) stop: CancellationToken,
    stage: Mutex<Stage>,
    left: CancellationToken,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    /// For a slot, or for its turn.
    Waiting,
    /// For this instant.
    Held(Timestamp),
    /// Since then.
    Running(Timestamp),
}

/// The presence of one message; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    inflight: Arc<Inflight>,
    pub(crate) entry: Arc<Entry>,
}

/// Tells when the message in the way has left.
#[derive(Debug)]
pub(crate) struct Occupied(CancellationToken);

impl Occupied {
    pub(crate) async fn left(&self) {
        self.0.cancelled().await;
    }
}

impl Entry {
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Relaxed);
    }

    /// It is not to start; with `terminate`, it is to end if it did.
    pub(crate) fn revoke(&self, terminate: bool) {
        self.revoked.cancel();
        if terminate {
            self.stop.cancel();
        }
    }
}

impl Inflight {
    /// Takes the place of the message's id, unless another message of the same id is there.
    pub(crate) fn enter(
        self: &Arc<Self>,
        message: &Arc<Message>,
        route: &Route,
        redelivered: bool,
        shutdown: &Shutdown,
    ) -> Result<Place, Occupied> {
        let mut entries = self.entries();
        if let Some(there) = entries.get(&message.id) {
            return Err(Occupied(there.left.clone()));
        }
        let entry = Arc::new(Entry {
            message: Arc::clone(message),
            route: route.clone(),
            redelivered,
            number: self.entered.fetch_add(1, Ordering::Relaxed),
            acknowledged: AtomicBool::new(false),
            revoked: CancellationToken::new(),
            stop: shutdown.stop_token(),
            stage: Mutex::new(Stage::Waiting),
            left: CancellationToken::new(),
        });
        entries.insert(message.id.clone(), Arc::clone(&entry));
        Ok(Place { inflight: Arc::clone(self), entry })
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries().get(id).cloned()
    }

    /// All of them, in the order in which they came.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<Arc<Entry>> = self.entries().values().cloned().collect();
        all.sort_unstable_by_key(|entry| entry.number);
        all
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        // Nothing panics while it is held; if something did, the map is still whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inflight.entries().remove(&self.entry.message.id);
        self.entry.left.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_message_of_an_id_enters_when_the_first_has_left() {
        let (inflight, shutdown) = (Arc::new(Inflight::default()), Shutdown::new());
        let message = Arc::new(Message::new("tasks.add", Vec::new(), Default::default()));
        let enter = || inflight.enter(&message, &Route::queue("celery"), false, &shutdown);
        let first = enter().expect("nobody is there");
        let Err(occupied) = enter() else { panic!("it is taken") };
        drop(first);
        occupied.left().await;
        assert!(enter().is_ok());
    }
}
