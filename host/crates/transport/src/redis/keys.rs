//! The names of everything we touch on the server, with the operator's prefix before each.

use umbel_protocol::names;

/// Builds names; the prefix is put before each literally, as kombu does.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Keys {
        Keys { prefix: prefix.to_owned() }
    }

    /// The list of a queue's messages of one priority.
    pub(super) fn list(&self, queue: &str, priority: u8) -> String {
        match step(priority) {
            0 => format!("{}{queue}", self.prefix),
            step => format!("{}{queue}{}{step}", self.prefix, names::SEPARATOR),
        }
    }

    pub(super) fn unacked(&self) -> String {
        format!("{}{}", self.prefix, names::UNACKED)
    }

    pub(super) fn unacked_index(&self) -> String {
        format!("{}{}", self.prefix, names::UNACKED_INDEX)
    }

    /// What a consumer took last; ours, not kombu's.
    pub(super) fn last_take(&self, consumer: &str) -> String {
        format!("{}{}.umbel.{consumer}", self.prefix, names::UNACKED)
    }

    /// Messages that were put aside, by their letter's id; ours, not kombu's.
    pub(super) fn dead(&self) -> String {
        format!("{}umbel.dead", self.prefix)
    }

    /// The ids of those, by when.
    pub(super) fn dead_order(&self) -> String {
        format!("{}umbel.dead.order", self.prefix)
    }

    /// The last run of each scheduled entry; ours, not kombu's.
    pub(super) fn timetable(&self) -> String {
        format!("{}umbel.beat", self.prefix)
    }

    /// Who sends what is scheduled.
    pub(super) fn lead(&self) -> String {
        format!("{}umbel.beat.lead", self.prefix)
    }

    /// Where those who listen to an exchange hear what is said to it.
    pub(super) fn channel(&self, database: i64, exchange: &str, key: &str) -> String {
        format!("{}{}", self.prefix, names::fanout_channel(database, exchange, key))
    }

    pub(super) fn binding(&self, exchange: &str) -> String {
        format!("{}{}", self.prefix, names::binding_key(exchange))
    }

    pub(super) fn permanent_binding(&self, exchange: &str) -> String {
        format!("{}{}", self.prefix, names::permanent_binding_key(exchange))
    }
}

/// The priority step that a priority is served in: the largest that is not above it.
fn step(priority: u8) -> u8 {
    names::PRIORITY_STEPS.into_iter().rev().find(|step| *step <= priority).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Keys, step};

    #[test]
    fn priorities_are_served_in_four_steps() {
        let given = [(0, 0), (1, 0), (2, 0), (3, 3), (5, 3), (6, 6), (8, 6), (9, 9), (12, 9)];
        for (priority, wanted) in given {
            assert_eq!(step(priority), wanted, "priority {priority}");
        }
    }

    #[test]
    fn the_prefix_stands_before_every_name_as_it_is() {
        let keys = Keys::new("pfx:");
        assert_eq!(keys.list("celery", 0), "pfx:celery");
        assert_eq!(keys.list("celery", 5), "pfx:celery\u{6}\u{16}3");
        assert_eq!(keys.unacked(), "pfx:unacked");
        assert_eq!(keys.unacked_index(), "pfx:unacked_index");
        assert_eq!(keys.dead(), "pfx:umbel.dead");
        assert_eq!(keys.channel(3, "x", ""), "pfx:/3.x");
        assert_eq!(keys.binding("celery"), "pfx:_kombu.binding.celery");
        assert_eq!(keys.permanent_binding("celery"), "pfx:_kombu.binding_permanent.celery");
    }
}
