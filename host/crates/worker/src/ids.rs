//! Ids of what a message's run sends: the same when the run is repeated, so that what was sent
//! before can be told from what is new.

use umbel_protocol::message::Message;
use uuid::Uuid;

/// Gives the ids of one run, in order.
#[derive(Debug)]
pub(crate) struct Ids {
    run: String,
    given: u32,
}

impl Ids {
    /// `door` keeps those apart that are drawn at different moments of one run.
    pub(crate) fn of(message: &Message, door: &str) -> Ids {
        Ids { run: format!("{}/{}/{door}", message.id, message.retries), given: 0 }
    }

    pub(crate) fn next(&mut self) -> String {
        self.given += 1;
        let name = format!("{}/{}", self.run, self.given);
        Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
    }
}

/// Drawn at random, once and for all.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b0f_4b0c_9c1e_4d2a_8f57_02c6_5d1b_a3e8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_run_gives_the_same_ids_and_its_retry_others() {
        let mut message = Message::new("tasks.add", Vec::new(), Default::default());
        let draw = |message: &Message, door| {
            let mut ids = Ids::of(message, door);
            [ids.next(), ids.next()]
        };
        let first = draw(&message, "out");
        assert_eq!(draw(&message, "out"), first);
        assert_ne!(first[0], first[1]);
        assert_ne!(draw(&message, "end"), first);
        message.retries = 1;
        assert_ne!(draw(&message, "out"), first);
    }
}
