//! One run of an entry, known by the entry and the moment it was due.

use jiff::Timestamp;
use uuid::Uuid;

/// A run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The entry's name.
    pub entry: String,
    /// When it was to run; not when it did.
    pub due: Timestamp,
}

impl Tick {
    /// The id of its task: the same whoever sends it, and however often.
    pub fn id(&self) -> String {
        let name = format!("{}/{}", self.due.as_microsecond(), self.entry);
        Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
    }
}

/// Drawn at random, once and for all.
const NAMESPACE: Uuid = Uuid::from_u128(0x3c5a_7f1e_90d4_4b8e_a1c2_6e0f_94d7_52b9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_has_one_id_and_shares_it_with_no_other() {
        let tick = |entry: &str, second| Tick {
            entry: entry.to_owned(),
            due: Timestamp::from_second(second).expect("in range"),
        };
        assert_eq!(tick("a", 1).id(), tick("a", 1).id());
        assert_ne!(tick("a", 1).id(), tick("a", 2).id());
        assert_ne!(tick("a", 1).id(), tick("b", 1).id());
    }
}
