//! Task messages as an unmodified Python client sends them.

use umbel_protocol::message::Message;
use umbel_value::{Map, Value};

/// A request with a fresh id and every other header as Celery's `send_task` sets it.
pub fn request(task: &str, args: Vec<Value>) -> Message {
    Message {
        origin: Some("gen4242@client".to_owned()),
        reply_to: Some("8d61a6d6-6a2f-3a43-b9d6-7d8c4ad6a2a1".to_owned()),
        ..Message::new(task, args, Map::new())
    }
}
