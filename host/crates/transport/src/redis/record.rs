//! What stands in the hash of unacknowledged messages, and what a message becomes when it goes back.
//!
//! How often a message was handed out stands before kombu's own keys: `{"umbel_handed_out": 2,
//! "body": …`. There a script can change it without reading the rest, and Python keeps it as it is.
//! The first time has no mark: the flag that it gets when it goes back says it.
//! `umbel_delayed` in that place says that nobody holds the message: it waits for its time.

use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::Route;
use umbel_value::Value;

const HANDED_OUT: &str = "umbel_handed_out";
const DELAYED: &str = "umbel_delayed";

/// Takes `[envelope, exchange, routing_key]` apart without reading the envelope: it may be long, and
/// must go back as it is if it is no good. Also gives what stands behind these three.
pub(super) fn split(value: &[u8]) -> Option<(&[u8], Route, Option<Value>)> {
    let inner = value.trim_ascii().strip_prefix(b"[")?;
    let end = first_comma(inner)?;
    let mut rest = b"[".to_vec();
    rest.extend_from_slice(&inner[end + 1..]);
    let Ok(Value::List(rest)) = Value::from_json(&rest) else { return None };
    let mut rest = rest.into_iter();
    let mut text = || match rest.next()? {
        Value::Text(text) => Some(text),
        Value::Null => Some(String::new()),
        _ => None,
    };
    let route = Route { exchange: text()?, routing_key: text()? };
    Some((inner[..end].trim_ascii(), route, rest.next()))
}

/// Where the first value of an array's inside ends.
fn first_comma(inner: &[u8]) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Why a message goes back to its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Given back in good order: this handing out does not count.
    Requeued,
    /// Given back, and it counts.
    Rejected,
    /// Nobody gave a sign of life for it, or it was delayed and its time has come.
    Restored,
}

/// A message on its way back: its text, and the priority it waits at.
pub(super) struct Returned {
    pub text: Vec<u8>,
    pub priority: u8,
    /// It was delayed.
    pub delayed: bool,
}

/// What an unacknowledged message goes back as. What is no envelope goes back as it was sent.
pub(super) fn returned(text: &[u8], why: Why) -> Returned {
    let (mark, rest) = marked(text);
    let delayed = mark.as_ref().is_some_and(|mark| mark.delayed);
    let Ok(mut envelope) = Envelope::from_json(text) else {
        let text = match mark {
            Some(_) => [b"{", rest.trim_ascii_start()].concat(),
            None => text.to_vec(),
        };
        return Returned { text, priority: 0, delayed };
    };
    let flag = u32::from(envelope.redelivered);
    let count = match (mark, why) {
        (Some(mark), _) if mark.delayed => mark.count,
        (Some(mark), Why::Requeued) => mark.count.saturating_sub(1),
        (Some(mark), _) => mark.count,
        (None, Why::Requeued) => flag,
        (None, _) => flag + 1,
    };
    envelope.redelivered |= !delayed;
    let text = envelope.to_json();
    // The flag alone says once.
    let text = match count == u32::from(envelope.redelivered) {
        true => text,
        false => with_mark(count, &text[1..]),
    };
    Returned { text, priority: envelope.message.properties.priority.unwrap_or(0), delayed }
}

/// An unacknowledged message that nobody saw, as it stood in its list.
pub(super) fn unseen(text: &[u8]) -> Vec<u8> {
    match marked(text) {
        (Some(mark), rest) => with_mark(mark.count.saturating_sub(1), rest),
        (None, _) => text.to_vec(),
    }
}

/// An envelope as a new message: it was never handed out.
pub(super) fn renewed(text: &[u8]) -> Option<Returned> {
    let mut envelope = Envelope::from_json(text).ok()?;
    envelope.redelivered = false;
    let priority = envelope.message.properties.priority.unwrap_or(0);
    Some(Returned { text: envelope.to_json(), priority, delayed: false })
}

/// How often a message was handed out before, as the text in its list says.
pub(super) fn handed_out(text: &[u8], envelope: &Envelope) -> u32 {
    marked(text).0.map_or(u32::from(envelope.redelivered), |mark| mark.count)
}

/// What we noted on a message.
struct Mark {
    count: u32,
    delayed: bool,
}

/// Our mark, and what follows it.
fn marked(text: &[u8]) -> (Option<Mark>, &[u8]) {
    let read = || {
        let text = after(after(text, b"{")?, b"\"")?;
        let end = text.iter().position(|byte| *byte == b'"')?;
        let delayed = match &text[..end] {
            name if name == HANDED_OUT.as_bytes() => false,
            name if name == DELAYED.as_bytes() => true,
            _ => return None,
        };
        let text = after(&text[end + 1..], b":")?.trim_ascii_start();
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let count = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
        Some((Mark { count, delayed }, after(&text[digits..], b",")?))
    };
    read().map_or((None, text), |(mark, rest)| (Some(mark), rest))
}

fn after<'a>(text: &'a [u8], sign: &[u8]) -> Option<&'a [u8]> {
    text.trim_ascii_start().strip_prefix(sign)
}

/// `rest` is an object's inside and end.
fn with_mark(count: u32, rest: &[u8]) -> Vec<u8> {
    let mark = format!("{{\"{HANDED_OUT}\": {count}, ");
    [mark.as_bytes(), rest.trim_ascii_start()].concat()
}

#[cfg(test)]
mod tests {
    use umbel_protocol::envelope::Envelope;
    use umbel_protocol::message::Route;

    use super::{Why, handed_out, returned, split, unseen};

    fn check(value: &str, wanted: Option<(&str, &str, &str)>) {
        let wanted = wanted.map(|(text, exchange, routing_key)| {
            let route =
                Route { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() };
            (text.as_bytes(), route, None)
        });
        assert_eq!(split(value.as_bytes()), wanted, "{value}");
    }

    #[test]
    fn records_are_taken_apart() {
        check(r#"[{"a": [1, "],"]}, "", "celery"]"#, Some((r#"{"a": [1, "],"]}"#, "", "celery")));
        check(r#" [ {} , "x" , "a.b" ] "#, Some(("{}", "x", "a.b")));
        check(r#"["\",\\", "", "q\u0041"]"#, Some((r#""\",\\""#, "", "qA")));
        check(r#"[{"a":"ü"},null,"q"]"#, Some((r#"{"a":"ü"}"#, "", "q")));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for value in ["", "{}", "[", "[]", "[{}]", "[{}, 1, 2]", "[{}, \"\"]", "[}, \"\", \"q\"]"] {
            check(value, None);
        }
    }

    const REST: &str = r#""body": "", "properties": {"delivery_tag": "t"}}"#;
    const AGAIN: &str = r#""body": "", "properties": {"delivery_tag": "t", "delivery_info": {"redelivered": true}}}"#;

    /// How often it was handed out, and whether it says so, after it went back.
    fn goes_back(mark: &str, rest: &str, why: Why, wanted: (u32, bool)) {
        let text = format!("{{{mark}{rest}");
        let back = returned(text.as_bytes(), why).text;
        let envelope = Envelope::from_json(&back).expect("an envelope");
        assert_eq!((handed_out(&back, &envelope), envelope.redelivered), wanted, "{text} {why:?}");
    }

    #[test]
    fn what_counts_is_kept_and_what_does_not_is_undone() {
        for (mark, rest, why, wanted) in [
            (r#""umbel_handed_out": 1, "#, REST, Why::Requeued, (0, true)),
            (r#""umbel_handed_out": 3, "#, REST, Why::Requeued, (2, true)),
            (r#""umbel_handed_out": 1, "#, REST, Why::Rejected, (1, true)),
            (r#""umbel_handed_out": 4, "#, AGAIN, Why::Rejected, (4, true)),
            (r#""umbel_handed_out": 2, "#, REST, Why::Restored, (2, true)),
            (r#""umbel_delayed": 0, "#, REST, Why::Restored, (0, false)),
            (r#""umbel_delayed": 2, "#, AGAIN, Why::Restored, (2, true)),
            ("", REST, Why::Restored, (1, true)),
            ("", AGAIN, Why::Restored, (2, true)),
            ("", REST, Why::Requeued, (0, true)),
        ] {
            goes_back(mark, rest, why, wanted);
        }
    }

    #[test]
    fn what_nobody_saw_goes_back_as_it_was() {
        for (count, before) in [(1, 0), (5, 4)] {
            let text = format!(r#"{{"umbel_handed_out": {count}, {REST}"#);
            let back = unseen(text.as_bytes());
            let envelope = Envelope::from_json(&back).expect("an envelope");
            assert_eq!((handed_out(&back, &envelope), envelope.redelivered), (before, false));
        }
        assert_eq!(unseen(b"no envelope"), b"no envelope");
    }

    #[test]
    fn what_is_no_envelope_goes_back_as_it_was_sent() {
        for (text, wanted) in [
            (r#"{"umbel_handed_out": 1, "x": 1}"#, r#"{"x": 1}"#),
            ("{}", "{}"),
            ("no JSON", "no JSON"),
            (r#"{"umbel_handed_out""#, r#"{"umbel_handed_out""#),
            (r#"{"umbel_handed_out": -1, "x": 1}"#, r#"{"umbel_handed_out": -1, "x": 1}"#),
        ] {
            let back = returned(text.as_bytes(), Why::Restored).text;
            assert_eq!(String::from_utf8_lossy(&back), wanted);
        }
    }
}
