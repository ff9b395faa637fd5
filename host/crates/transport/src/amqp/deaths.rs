//! The server's notes of how messages left queues: what they say, and taking them off. Pure.

use jiff::Timestamp;
use umbel_value::{Map, Tag, Value};

use super::delays;

/// A list with the latest first; each entry is for one queue and reason.
const DEATHS: &str = "x-death";

/// The first of all and, from newer servers, the last one, in headers of their own.
const SUMMARIES: [&str; 2] = ["x-first-death-", "x-last-death-"];

/// How a message left a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) queue: String,
    /// The server's word: `rejected`, `expired`, `maxlen`, `delivery_limit`.
    pub(crate) reason: String,
    pub(crate) at: Option<Timestamp>,
}

/// The latest death.
pub(crate) fn latest(headers: &Map) -> Option<Death> {
    let Some(Value::List(deaths)) = headers.get(DEATHS) else { return None };
    let Some(Value::Map(death)) = deaths.first() else { return None };
    let at = match death.get("time") {
        Some(Value::Tagged(Tag::Datetime, text)) => text.parse().ok(),
        _ => None,
    };
    let reason = text(death, "reason").unwrap_or("dead-lettered").to_owned();
    Some(Death { queue: text(death, "queue")?.to_owned(), reason, at })
}

/// Takes all notes off.
pub(crate) fn forget(headers: &mut Map) {
    headers.retain(|key, _| key != DEATHS && !is_summary(key));
}

/// Takes the notes of delays off. A message that kept them would be taken for one that goes round
/// in circles when it is delayed once more, and dropped.
pub(crate) fn forget_delays(headers: &mut Map) {
    let Some(Value::List(deaths)) = headers.get_mut(DEATHS) else { return };
    let before = deaths.len();
    deaths.retain(|death| !matches!(death, Value::Map(death) if is_delay(death)));
    if deaths.is_empty() {
        forget(headers);
    } else if deaths.len() < before {
        headers.retain(|key, _| !is_summary(key));
    }
}

fn is_delay(death: &Map) -> bool {
    text(death, "queue").is_some_and(delays::is_ours)
}

fn is_summary(key: &str) -> bool {
    SUMMARIES.iter().any(|prefix| key.starts_with(prefix))
}

fn text<'a>(map: &'a Map, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Map {
        match Value::from_json(json.as_bytes()).unwrap() {
            Value::Map(map) => map,
            other => panic!("{other:?}"),
        }
    }

    const REJECTED: &str = r#"{"queue": "q", "reason": "rejected", "count": 1,
        "time": {"__type__": "datetime", "__value__": "2026-11-21T08:00:00+00:00"}}"#;
    const DELAYED: &str = r#"{"queue": "celery_delayed_2", "reason": "expired", "count": 1}"#;

    fn headers(deaths: &[&str]) -> Map {
        value(&format!(
            r#"{{"task": "t", "x-death": [{}], "x-first-death-queue": "celery_delayed_2",
                "x-last-death-reason": "rejected"}}"#,
            deaths.join(",")
        ))
    }

    #[test]
    fn the_latest_death_is_told() {
        let death = latest(&headers(&[REJECTED, DELAYED])).unwrap();
        assert_eq!((death.queue.as_str(), death.reason.as_str()), ("q", "rejected"));
        assert_eq!(death.at, Some("2026-11-21T08:00:00Z".parse().unwrap()));
        assert_eq!(latest(&value("{}")), None);
    }

    #[test]
    fn a_message_that_was_only_delayed_keeps_no_notes() {
        let mut delayed = headers(&[DELAYED]);
        forget_delays(&mut delayed);
        assert_eq!(delayed, value(r#"{"task": "t"}"#));
    }

    #[test]
    fn other_deaths_are_kept_when_delays_are_forgotten() {
        let mut both = headers(&[REJECTED, DELAYED]);
        forget_delays(&mut both);
        assert_eq!(both.get("x-death"), headers(&[REJECTED]).get("x-death"));
        assert!(!both.contains_key("x-first-death-queue"));

        let mut rejected = headers(&[REJECTED]);
        forget_delays(&mut rejected);
        assert_eq!(rejected, headers(&[REJECTED]));
        forget(&mut rejected);
        assert_eq!(rejected, value(r#"{"task": "t"}"#));
    }
}
