//! The worker tells one observer; here it tells several.

use std::sync::Arc;

use umbel_protocol::message::Message;
use umbel_value::Map;
use umbel_worker::{Observer, Story};

/// One observer that tells all of these; `None` if there are none.
pub(crate) fn together(mut observers: Vec<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
    match observers.len() {
        0 | 1 => observers.pop(),
        _ => Some(Arc::new(Several(observers))),
    }
}

struct Several(Vec<Arc<dyn Observer>>);

impl Observer for Several {
    fn received(&self, message: &Message, queue: &str) {
        self.0.iter().for_each(|one| one.received(message, queue));
    }

    fn malformed(&self, queue: &str) {
        self.0.iter().for_each(|one| one.malformed(queue));
    }

    fn started(&self, message: &Message) {
        self.0.iter().for_each(|one| one.started(message));
    }

    fn sending(&self, parent: &Message, headers: &mut Map) {
        self.0.iter().for_each(|one| one.sending(parent, headers));
    }

    fn settled(&self, story: &Story<'_>) {
        self.0.iter().for_each(|one| one.settled(story));
    }
}
