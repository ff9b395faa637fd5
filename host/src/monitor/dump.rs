//! Each event as one line: as `celery events --dump` writes it, or as JSON.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use umbel_protocol::repr::repr;
use umbel_protocol::time::epoch;
use umbel_value::{Map, Value};

/// Tasks whose names are remembered, as many as Celery does.
const MOST_NAMES: usize = 0xFFF;

/// Writes lines; remembers what tasks are called, since only their first event tells.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    names: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Dump {
    /// The line of an event that was received now.
    pub(crate) fn line(&mut self, event: &Map, now: Timestamp) -> String {
        let mut fields: BTreeMap<&str, String> =
            event.iter().map(|(key, value)| (key.as_str(), shown(value))).collect();
        fields.insert("local_received", shown(&epoch(now).into()));
        let mut take = |key: &str| fields.remove(key).unwrap_or_default();
        let (kind, node) = (take("type").to_lowercase(), take("hostname"));
        take("timestamp");
        let mut subject = String::new();
        if kind.starts_with("task-") {
            let id = take("uuid");
            if kind == "task-received" || kind == "task-sent" {
                let (name, args, kwargs) = (take("name"), take("args"), take("kwargs"));
                self.remember(&id, format!("{name}({id}) args={args} kwargs={kwargs}"));
            }
            subject = match self.names.get(&id) {
                Some(known) => format!("{known} "),
                // Celery has nothing here.
                None => format!("({id}) "),
            };
        }
        let fields: Vec<String> =
            fields.iter().map(|(key, text)| format!("{key}={text}")).collect();
        let when = moment(event.get("timestamp").and_then(Value::as_f64), now);
        let line = format!("{node} [{when}] {}: {subject}{}", human(&kind), fields.join(", "));
        // One event is one line.
        line.replace('\r', "\\r").replace('\n', "\\n")
    }

    fn remember(&mut self, id: &str, text: String) {
        if self.names.insert(id.to_owned(), text).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > MOST_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

fn human(kind: &str) -> String {
    match kind {
        "worker-offline" => "shutdown".to_owned(),
        "worker-online" => "started".to_owned(),
        "worker-heartbeat" => "heartbeat".to_owned(),
        other => other.replace('-', " "),
    }
}

/// As Python's `str` shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => repr(other),
    }
}

/// As Python's `str` shows a time with its zone.
fn moment(at: Option<f64>, now: Timestamp) -> String {
    let at = at.and_then(|at| SignedDuration::try_from_secs_f64(at).ok());
    let at = at.and_then(|at| Timestamp::from_duration(at).ok()).unwrap_or(now);
    let form = match at.subsec_microsecond() == 0 && at.subsec_millisecond() == 0 {
        true => "%Y-%m-%d %H:%M:%S+00:00",
        false => "%Y-%m-%d %H:%M:%S.%6f+00:00",
    };
    at.to_zoned(TimeZone::UTC).strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Map {
        match Value::from_json(json.as_bytes()) {
            Ok(Value::Map(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_those_of_celerys_own_dump() {
        let now: Timestamp = "2026-11-21T01:02:16.4420853Z".parse().expect("a moment");
        let mut dump = Dump::default();
        for (json, expected) in [
            (
                r#"{"type": "worker-heartbeat", "hostname": "v1@lab", "timestamp": 1795222934.0127,
                    "active": 0, "freq": 2.0, "loadavg": [0.99, 1.66, 1.26], "sw_ident": "py-celery"}"#,
                "v1@lab [2026-11-21 01:02:14.012700+00:00] heartbeat: active=0, freq=2.0, \
                 loadavg=[0.99, 1.66, 1.26], local_received=1795222936.4420853, sw_ident=py-celery",
            ),
            (
                r#"{"type": "task-received", "hostname": "v1@lab", "timestamp": 1795222936.440649,
                    "uuid": "e98b", "name": "lab.add", "args": "(3, 4)", "kwargs": "{}", "eta": null}"#,
                "v1@lab [2026-11-21 01:02:16.440649+00:00] task received: lab.add(e98b) args=(3, 4) \
                 kwargs={} eta=None, local_received=1795222936.4420853",
            ),
            (
                r#"{"type": "task-failed", "hostname": "v1@lab", "timestamp": 1795222937,
                    "uuid": "e98b", "traceback": "one\ntwo"}"#,
                "v1@lab [2026-11-21 01:02:17+00:00] task failed: lab.add(e98b) args=(3, 4) kwargs={} \
                 local_received=1795222936.4420853, traceback=one\\ntwo",
            ),
            (
                r#"{"type": "task-started", "hostname": "v1@lab", "timestamp": 1795222937, "uuid": "x"}"#,
                "v1@lab [2026-11-21 01:02:17+00:00] task started: (x) \
                 local_received=1795222936.4420853",
            ),
        ] {
            assert_eq!(dump.line(&event(json), now), expected);
        }
    }

    #[test]
    fn names_are_forgotten_in_time() {
        let now = Timestamp::UNIX_EPOCH;
        let mut dump = Dump::default();
        for id in 0..10_000 {
            let json = format!(r#"{{"type": "task-received", "uuid": "{id}", "name": "t"}}"#);
            dump.line(&event(&json), now);
        }
        assert_eq!((dump.names.len(), dump.order.len()), (MOST_NAMES, MOST_NAMES));
    }
}
