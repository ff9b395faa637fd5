//! Pure: the records that a message's states become (PROTOCOL 4.2).

use jiff::Timestamp;
use umbel_protocol::message::{Message, Route};
use umbel_protocol::record::{ResultRecord, State};
use umbel_protocol::time::Timestamp as WireTime;
use umbel_value::{Map, Value};

use crate::exception;

/// Writes the records of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorder<'a> {
    pub(crate) route: &'a Route,
    /// The worker's name.
    pub(crate) node: &'a str,
    /// Name, arguments, worker and queue go with each record.
    pub(crate) extended: bool,
}

impl Recorder<'_> {
    /// A state that nothing follows.
    pub(crate) fn ready(
        &self,
        message: &Message,
        state: State,
        result: Value,
        now: Timestamp,
    ) -> ResultRecord {
        let date_done = Some(WireTime::new(now).text);
        ResultRecord { date_done, ..self.passing(message, state, result) }
    }

    /// A state on the way.
    pub(crate) fn passing(&self, message: &Message, state: State, result: Value) -> ResultRecord {
        ResultRecord {
            group_id: message.group.clone(),
            parent_id: message.parent_id.clone(),
            other: if self.extended { self.extension(message) } else { Map::new() },
            ..ResultRecord::new(message.id.clone(), state, result)
        }
    }

    /// The state of a run that has begun.
    pub(crate) fn started(&self, message: &Message) -> ResultRecord {
        let who = [("pid", Value::from(std::process::id())), ("hostname", self.node.into())];
        self.passing(message, State::Started, Value::from(who))
    }

    fn extension(&self, message: &Message) -> Map {
        let mut extension: Map = [
            ("name", Value::from(&message.task)),
            ("args", message.args.clone().into()),
            ("kwargs", message.kwargs.clone().into()),
            ("worker", self.node.into()),
            ("retries", message.retries.into()),
            ("queue", (&self.route.routing_key).into()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if let Some(stamped) = &message.stamped_headers {
            let names = stamped.iter().map(Value::from).collect();
            extension.insert("stamped_headers".to_owned(), names);
            for (name, value) in &message.stamps {
                extension.insert(name.clone(), value.clone());
            }
        }
        extension
    }
}

/// The failure of a task that never ran and whose message nobody has.
pub(crate) fn unwatched(
    id: &str,
    cause: Value,
    traceback: Option<&str>,
    part: Option<&(String, Option<u32>, Value)>,
    now: Timestamp,
) -> ResultRecord {
    ResultRecord {
        traceback: traceback.map(str::to_owned),
        date_done: Some(WireTime::new(now).text),
        group_id: part.map(|(group, ..)| group.clone()),
        ..ResultRecord::new(id, State::Failure, cause)
    }
}

/// The failure a caller gets for a message that is readable but no valid request.
pub(crate) fn invalid(id: &str, what: &str, now: Timestamp) -> ResultRecord {
    let cause = exception::celery("InvalidTaskError", what.to_owned()).to_value();
    unwatched(id, cause, None, None, now)
}

/// What is stored when a task is revoked whose message nobody here has seen. Its children are
/// unknown.
pub(crate) fn revoked_unseen(id: &str, now: Timestamp) -> ResultRecord {
    let cause = exception::celery("TaskRevokedError", "revoked".to_owned()).to_value();
    ResultRecord { state: State::Revoked, children: None, ..unwatched(id, cause, None, None, now) }
}

/// What is stored in place of a record that its store can never hold.
pub(crate) fn unstorable(record: &ResultRecord, what: &str) -> ResultRecord {
    ResultRecord {
        state: State::Failure,
        result: exception::own("OutputTooLarge", what.to_owned()).to_value(),
        traceback: None,
        ..record.clone()
    }
}
