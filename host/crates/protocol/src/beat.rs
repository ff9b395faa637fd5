//! Messages of scheduled tasks, as Celery's beat sends them (PROTOCOL section 9).

use std::time::Duration;

use umbel_value::{Map, Value};

use crate::message::Message;
use crate::repr;
use crate::time::Timestamp;

/// What beat says of its messages.
const SCHEDULED: &str = "celery_beat_task";

/// What an entry of a schedule sends each time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    pub task: String,
    pub args: Vec<Value>,
    pub kwargs: Map,
    /// `None`: where the task goes by its name.
    pub queue: Option<String>,
    pub priority: Option<u8>,
    /// How long after it was sent it is still wanted.
    pub expires: Option<Duration>,
}

impl Entry {
    /// The message of one run, sent at `now`.
    pub fn message(&self, id: &str, origin: &str, now: jiff::Timestamp) -> Message {
        let mut message = Message::new(&*self.task, self.args.clone(), self.kwargs.clone());
        id.clone_into(&mut message.id);
        message.correlation_id = Some(id.to_owned());
        message.root_id = Some(id.to_owned());
        // Beat makes a list of them, whatever they were.
        message.argsrepr = Some(repr::repr(&Value::List(self.args.clone())));
        message.origin = Some(origin.to_owned());
        message.ignore_result = Some(false);
        // Whoever names a queue and no priority sends none.
        let usual = if self.queue.is_some() { None } else { Some(0) };
        message.priority = self.priority.or(usual);
        let expires = self.expires.and_then(|time| now.checked_add(time).ok());
        message.expires = expires.map(Timestamp::new);
        message.headers.insert(SCHEDULED.to_owned(), true.into());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Properties;

    #[test]
    fn a_scheduled_message_is_the_one_that_celerys_beat_sends() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/amqp-beat.json");
        let recorded = std::fs::read(path).expect("the recording is there");
        let recorded = Value::from_json(&recorded).expect("JSON");
        let messages = recorded.get("messages").and_then(Value::as_list).expect("messages");
        assert!(!messages.is_empty());
        let entry = Entry {
            task: "lab.add".to_owned(),
            args: vec![1.into(), 2.into()],
            queue: Some("beatq".to_owned()),
            expires: Some(Duration::from_secs(30)),
            ..Entry::default()
        };
        for message in messages {
            let headers = message.get("headers").expect("headers");
            let header = |name| headers.get(name).and_then(Value::as_str).expect(name);
            let expires = Timestamp::parse(header("expires")).expect("an instant").at;
            let now = expires - jiff::SignedDuration::from_secs(30);
            let sent = entry.message(header("id"), header("origin"), now);
            let raw = sent.encode();
            assert_eq!(&Value::Map(raw.headers), headers);
            let body = message.get("body").and_then(|body| body.get("text"));
            let body = body.and_then(Value::as_str).expect("a body");
            assert_eq!(Value::from_json(&raw.body), Value::from_json(body.as_bytes()));
            let properties = message.get("properties").expect("properties");
            let property = |name| properties.get(name).and_then(Value::as_str).map(str::to_owned);
            let expected = Properties {
                content_type: property("content_type"),
                content_encoding: property("content_encoding"),
                correlation_id: property("correlation_id"),
                delivery_mode: Some(2),
                ..Properties::default()
            };
            assert_eq!(raw.properties, expected);
            assert_eq!(sent.expiration(now), property("expiration"));
        }
    }
}
