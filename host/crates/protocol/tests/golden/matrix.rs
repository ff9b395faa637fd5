//! Messages that are wrong in one way each: what became of them in Celery, and what they are to us.

use umbel_protocol::message::{DecodeError, Message};
use umbel_value::Value;

/// In the order of the recording. Where Python's worker dies, we say invalid.
const EXPECTED: [(&str, &str); 28] = [
    ("body is a 2-element list", "invalid with id and task"),
    ("body is a JSON string", "invalid with id and task"),
    ("body is a JSON number", "invalid with id and task"),
    ("no id header", "invalid with task"),
    ("kwargs is a list", "invalid with id and task"),
    ("args is a string", "a task"),
    ("unknown compression", "undecodable"),
    ("corrupt compression", "undecodable"),
    ("real gzip data", "undecodable"),
    ("compression given by alias zlib", "a task"),
    ("unknown content type", "disallowed"),
    ("no content type", "invalid with id and task"),
    ("empty body", "invalid with id and task"),
    ("unknown __type__", "undecodable"),
    ("__type__ with extra key is a plain dict", "a task"),
    ("hybrid message", "a task"),
    ("proto 1 minimal", "a task"),
    ("proto 1 without id", "invalid with task"),
    ("proto 1 unknown task", "a task"),
    ("task header null", "invalid with id"),
    ("wrong number of arguments", "a task"),
    ("timelimit null", "a task"),
    ("eta without offset", "a task"),
    ("eta with Z", "a task"),
    ("eta with space", "a task"),
    ("eta as a number", "invalid with id and task"),
    ("NaN and big integer", "a task"),
    ("pickled", "disallowed"),
];

pub(crate) fn check(recording: &Value) {
    let cases = recording.get("cases").and_then(Value::as_list).unwrap();
    let judged: Vec<_> = cases
        .iter()
        .map(|case| (case.get("case").and_then(Value::as_str).unwrap(), judge(case)))
        .collect();
    assert_eq!(judged, EXPECTED);
}

fn judge(case: &Value) -> &'static str {
    match Message::decode(&super::raw(case)) {
        Ok(message) => {
            assert_eq!(Message::decode(&message.encode()).map(|m| m.task), Ok(message.task));
            "a task"
        }
        Err(DecodeError::Unknown(_)) => "unknown",
        Err(DecodeError::Undecodable(_)) => "undecodable",
        Err(DecodeError::Disallowed { .. }) => "disallowed",
        Err(DecodeError::Invalid { id: Some(_), task: Some(_), .. }) => "invalid with id and task",
        Err(DecodeError::Invalid { id: Some(_), task: None, .. }) => "invalid with id",
        Err(DecodeError::Invalid { id: None, task: Some(_), .. }) => "invalid with task",
        Err(DecodeError::Invalid { .. }) => "invalid",
    }
}
