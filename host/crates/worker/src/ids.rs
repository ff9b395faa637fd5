//! Ids of what a message's run sends: the same when the run is repeated, so that what was sent
//! before can be told from what is new.

use std::sync::Arc;

use umbel_protocol::message::Message;
use uuid::Uuid;

/// Gives the ids of one run, in order. Most runs need none: nothing is written before the first.
#[derive(Debug)]
pub(crate) struct Ids {
    message: Arc<Message>,
    door: &'static str,
    given: u32,
}

impl Ids {
    /// `door` keeps those apart that are drawn at different moments of one run.
    pub(crate) fn of(message: &Arc<Message>, door: &'static str) -> Ids {
        Ids { message: Arc::clone(message), door, given: 0 }
    }

    pub(crate) fn next(&mut self) -> String {
        self.given += 1;
        let Message { id, retries, .. } = &*self.message;
        let name = format!("{id}/{retries}/{}/{}", self.door, self.given);
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
            let mut ids = Ids::of(&Arc::new(message.clone()), door);
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
