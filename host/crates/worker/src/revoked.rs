//! Which tasks were revoked: by id or by stamp (PROTOCOL 7.4).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;
use umbel_protocol::message::Message;
use umbel_value::Value;

/// Ids to remember at most, as Celery does; the oldest are forgotten first.
const MOST: usize = 50_000;

/// How long an id is remembered once there are too many.
const MEMORY: Duration = Duration::from_secs(3 * 3600);

/// The tasks that are not to run here.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    ids: IndexMap<String, Instant>,
    stamps: IndexMap<String, Vec<Value>>,
}

impl Revoked {
    pub(crate) fn add(&self, id: &str) {
        let mut lists = self.lists();
        lists.ids.insert(id.to_owned(), Instant::now());
        while lists.ids.len() > MOST {
            lists.ids.shift_remove_index(0);
        }
        let old = |since: &Instant| since.elapsed() > MEMORY;
        while lists.ids.len() > MOST / 2 && lists.ids.first().is_some_and(|(_, since)| old(since)) {
            lists.ids.shift_remove_index(0);
        }
    }

    /// Every task stamped with one of the values under the name.
    pub(crate) fn add_stamp(&self, name: &str, values: Vec<Value>) {
        self.lists().stamps.entry(name.to_owned()).or_default().extend(values);
    }

    /// Whether this message is not to run.
    pub(crate) fn holds(&self, message: &Message) -> bool {
        let lists = self.lists();
        lists.ids.contains_key(&message.id)
            || lists.stamps.iter().any(|(name, values)| stamped(message, name, values))
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.lists().ids.keys().cloned().collect()
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of the message's stamps of that name is one of the values.
pub(crate) fn stamped(message: &Message, name: &str, values: &[Value]) -> bool {
    match message.stamps.get(name) {
        Some(Value::List(stamps)) => stamps.iter().any(|stamp| values.contains(stamp)),
        Some(stamp) => values.contains(stamp),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_revoked_by_its_id_or_by_one_of_its_stamps() {
        let revoked = Revoked::default();
        let mut message = Message::new("tasks.add", Vec::new(), Default::default());
        message.stamps.insert("tenant".to_owned(), vec![Value::from("a"), "b".into()].into());
        assert!(!revoked.holds(&message));
        revoked.add_stamp("tenant", vec!["c".into()]);
        assert!(!revoked.holds(&message));
        revoked.add_stamp("tenant", vec!["b".into()]);
        assert!(revoked.holds(&message));
        message.stamps.clear();
        assert!(!revoked.holds(&message));
        revoked.add(&message.id);
        assert!(revoked.holds(&message));
    }

    #[test]
    fn the_oldest_ids_are_forgotten_when_there_are_too_many() {
        let revoked = Revoked::default();
        for number in 0..=MOST {
            revoked.add(&number.to_string());
        }
        assert_eq!(revoked.ids().len(), MOST);
        assert_eq!(revoked.ids()[0], "1");
    }
}
