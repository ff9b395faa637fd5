//! The queues that are counted under their own names: those that are taken from.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Remote control may add queues as long as it likes; beyond these they share a name.
const MOST: usize = 256;

/// What the rest goes by.
const OTHERS: &str = "(other)";

#[derive(Debug)]
pub(super) struct Queues {
    by_name: RwLock<HashMap<Box<str>, Arc<Queue>>>,
    others: Arc<Queue>,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Box<str>,
    malformed: AtomicU64,
}

impl Default for Queues {
    fn default() -> Self {
        Self { by_name: RwLock::default(), others: Arc::new(Queue::new(OTHERS)) }
    }
}

impl Queues {
    /// What is counted of this queue. `taken` is asked about names that were never heard.
    pub(super) fn of(&self, name: &str, taken: impl Fn(&str) -> bool) -> Arc<Queue> {
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(queue) = known {
            return queue;
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.len() >= MOST || !taken(name) {
            return Arc::clone(&self.others);
        }
        Arc::clone(by_name.entry(name.into()).or_insert_with(|| Arc::new(Queue::new(name))))
    }

    /// Every queue of which there is something to tell, sorted.
    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let others = Some(&self.others).filter(|others| others.malformed_so_far() > 0);
        let mut all: Vec<_> = by_name.values().chain(others).cloned().collect();
        drop(by_name);
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

impl Queue {
    fn new(name: &str) -> Self {
        Self { name: name.into(), malformed: AtomicU64::new(0) }
    }

    pub(super) fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn malformed_so_far(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queues_that_are_taken_from_have_a_name_and_not_endlessly_many() {
        let queues = Queues::default();
        let name = |name: &str| queues.of(name, |name| name.starts_with('q')).name.to_string();
        assert_eq!((name("q1").as_str(), name("made-up").as_str()), ("q1", OTHERS));
        for number in 0..2 * MOST {
            name(&format!("q{number}"));
        }
        assert_eq!((name("q1").as_str(), name("q9999").as_str()), ("q1", OTHERS));
        assert_eq!(queues.all().len(), MOST);
    }
}
