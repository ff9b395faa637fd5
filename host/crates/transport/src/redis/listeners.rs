//! Who waits for which result on one shared subscription.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

/// Channels that nobody listens to any more stay subscribed until there are this many: whoever asks
/// again and again must not race with an unsubscription of his own.
const IDLE: usize = 256;

/// Who waits for what is told on which channel.
#[derive(Default)]
pub(super) struct Listeners {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    places: HashMap<String, Vec<Place>>,
    /// Subscribed, and nobody listens.
    idle: HashSet<String>,
    numbers: u64,
}

struct Place {
    number: u64,
    told: mpsc::UnboundedSender<Heard>,
}

/// What comes over a subscription.
pub(super) enum Heard {
    Message(Vec<u8>),
    /// The connection is gone: subscribe again, and look what was missed.
    Lost,
}

impl Listeners {
    /// Hands a push message to those it concerns.
    pub(super) fn hear(&self, push: PushInfo) {
        let state = self.state();
        match push.kind {
            PushKind::Disconnection => {
                for place in state.places.values().flatten() {
                    let _ = place.told.send(Heard::Lost);
                }
            }
            PushKind::Message => {
                let mut data = push.data.into_iter();
                let (Some(Value::BulkString(channel)), Some(Value::BulkString(text))) =
                    (data.next(), data.next())
                else {
                    return;
                };
                let channel = String::from_utf8_lossy(&channel);
                for place in state.places.get(&*channel).into_iter().flatten() {
                    let _ = place.told.send(Heard::Message(text.clone()));
                }
            }
            _ => {}
        }
    }

    /// A place at a channel; the caller subscribes. Also gives channels to unsubscribe from before.
    pub(super) fn listen(self: &Arc<Self>, channel: &str) -> (Listening, Vec<String>) {
        let (told, heard) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.numbers += 1;
        let number = state.numbers;
        state.places.entry(channel.to_owned()).or_default().push(Place { number, told });
        state.idle.remove(channel);
        let stale = match state.idle.len() > IDLE {
            true => state.idle.drain().collect(),
            false => Vec::new(),
        };
        drop(state);
        let listening =
            Listening { listeners: self.clone(), channel: channel.to_owned(), number, heard };
        (listening, stale)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener's place; given up when dropped.
pub(super) struct Listening {
    listeners: Arc<Listeners>,
    channel: String,
    number: u64,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Listening {
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = self.listeners.state();
        let Some(places) = state.places.get_mut(&self.channel) else { return };
        places.retain(|place| place.number != self.number);
        if places.is_empty() {
            state.places.remove(&self.channel);
            state.idle.insert(std::mem::take(&mut self.channel));
        }
    }
}
