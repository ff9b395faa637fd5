//! What stands in the hash of unacknowledged messages, and what a message becomes when it goes back.

use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::Route;
use umbel_value::Value;

/// How often the message was handed out before it went back; ours, kombu ignores it.
const HANDED_OUT: &str = "umbel_handed_out";

/// Takes `[envelope, exchange, routing_key]` apart without reading the envelope: it may be long, and
/// must go back as it is if it is no good.
pub(super) fn split(value: &[u8]) -> Option<(&[u8], Route)> {
    let inner = value.trim_ascii().strip_prefix(b"[")?;
    let end = first_comma(inner)?;
    let mut rest = b"[".to_vec();
    rest.extend_from_slice(&inner[end + 1..]);
    let Ok(Value::List(rest)) = Value::from_json(&rest) else { return None };
    let mut texts = rest.into_iter().map(|field| match field {
        Value::Text(text) => Some(text),
        Value::Null => Some(String::new()),
        _ => None,
    });
    let route = Route { exchange: texts.next()??, routing_key: texts.next()?? };
    Some((inner[..end].trim_ascii(), route))
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

/// A message on its way back: its text, and the priority it waits at.
pub(super) struct Returned {
    pub text: Vec<u8>,
    pub priority: u8,
}

/// Marks a message as handed out once more. What is no envelope goes back as it is.
pub(super) fn returned(text: &[u8]) -> Returned {
    let Ok(mut envelope) = Envelope::from_json(text) else {
        return Returned { text: text.to_vec(), priority: 0 };
    };
    let before = handed_out(&mut envelope);
    envelope.redelivered = true;
    let count = Value::Int(i64::from(before) + 1);
    envelope.message.properties.other.insert(HANDED_OUT.into(), count);
    let priority = envelope.message.properties.priority.unwrap_or(0);
    Returned { text: envelope.to_json(), priority }
}

/// How often a message was handed out before. Removes the mark that [`returned`] leaves.
pub(super) fn handed_out(envelope: &mut Envelope) -> u32 {
    let counted = match envelope.message.properties.other.shift_remove(HANDED_OUT) {
        Some(Value::Int(count)) => u32::try_from(count).unwrap_or(0),
        _ => 0,
    };
    counted.max(u32::from(envelope.redelivered))
}

#[cfg(test)]
mod tests {
    use umbel_protocol::message::Route;

    use super::split;

    fn check(value: &str, wanted: Option<(&str, &str, &str)>) {
        let wanted = wanted.map(|(text, exchange, routing_key)| {
            let route =
                Route { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() };
            (text.as_bytes(), route)
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
}
