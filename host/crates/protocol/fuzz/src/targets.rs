//! The targets: each panics when something does not hold.

use umbel_protocol::body::{Compression, Content, Serializer};
use umbel_protocol::canvas::{self, Plan, Sender, Step};
use umbel_protocol::chord::ChordPart;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Message, Properties, RawMessage, Route, Version};
use umbel_protocol::record::ResultRecord;
use umbel_value::{Map, Value};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

pub const ALL: [Target; 3] =
    [("message", message), ("envelope", envelope), ("signature", signature)];

/// A body under a line of content type and a line of headers (JSON): a task message or a stored
/// result. What can be read is written and read again, and is the same.
pub fn message(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (Some(content_type), Some(headers), Some(body)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let headers = match Value::from_json(headers) {
        Ok(Value::Map(headers)) => headers,
        _ => Map::new(),
    };
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    for serializer in Serializer::ALL {
        record(body, serializer);
    }
    decode(&RawMessage {
        properties: Properties { content_type: Some(content_type), ..Properties::default() },
        headers,
        body: body.to_vec().into(),
    });
}

/// An envelope, and the message in it.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::from_json(data) else { return };
    let again = Envelope::from_json(&envelope.to_json());
    let again = again.expect("what was written can be read");
    if is_itself(&envelope) {
        assert_eq!(again, envelope);
    }
    decode(&envelope.message);
}

/// A signature of any shape, in every place where one can stand.
pub fn signature(data: &[u8]) {
    let Ok(value) = Value::from_json(data) else { return };
    let _ = canvas::names(&value);
    let _ = canvas::abandon_body(&value);
    let list = match &value {
        Value::List(_) => value.clone(),
        single => vec![single.clone()].into(),
    };
    let mut task = Message::new("task", vec![1.into()], Map::new());
    task.group = Some("group".to_owned());
    task.embed.callbacks = Some(list.clone());
    task.embed.errbacks = Some(list.clone());
    task.embed.chain = Some(list.clone().into());
    task.embed.chord = Some(value.clone());
    let _ = canvas::abandon(&task);
    planned(None, |sender| canvas::apply(&value, &[1.into()], &Map::new(), sender));
    planned(Some(&task), |sender| canvas::apply(&value, &[], &task.kwargs, sender));
    planned(Some(&task), |sender| canvas::follow(&value, sender));
    planned(Some(&task), |sender| canvas::replace(&value, sender));
    planned(Some(&task), |sender| canvas::add_to_chord(&value, sender));
    planned(Some(&task), |sender| canvas::body(&value, vec![1.into(), 2.into()], sender));
    planned(Some(&task), |sender| {
        canvas::errbacks("failed", list.as_list().unwrap_or_default(), sender)
    });
}

fn record(bytes: &[u8], serializer: Serializer) {
    let _ = ChordPart::decode(bytes, serializer, "group", None);
    let Ok(record) = ResultRecord::decode(bytes, serializer) else { return };
    let stored = record.encode(Content { serializer, compression: Some(Compression::Zstd) });
    let again = ResultRecord::decode(&stored, serializer);
    let again = again.expect("a stored record can be read again");
    // YAML of many levels is read, but not written.
    if is_itself(&record) && (again.result == record.result || serializer != Serializer::Yaml) {
        assert_eq!(again, record);
    }
}

fn decode(raw: &RawMessage) {
    let Ok(message) = Message::decode(raw) else { return };
    let sent = message.encode();
    // What a serializer cannot write of what it read is left to JSON, where a mapping that looks
    // like one of kombu's tags is taken for it.
    if sent.properties.content_type.as_deref() == Some(message.content.serializer.content_type()) {
        let again = Message::decode(&sent).expect("an encoded message can be decoded");
        if is_itself(&message) {
            assert_eq!(again, Message { version: Version::V2, ..message.clone() });
        }
    }
    let _ = (message.retry(None).encode(), message.custom_headers(), canvas::abandon(&message));
    planned(Some(&message), |sender| canvas::follow(&Value::Null, sender));
}

/// Plans, and looks at what would be sent.
fn planned(
    parent: Option<&Message>,
    work: impl FnOnce(&mut Sender<'_>) -> Result<Plan, canvas::CanvasError>,
) {
    let mut count = 0;
    let mut ids = || {
        count += 1;
        format!("id-{count}")
    };
    let mut sender = Sender {
        parent,
        origin: "fuzz@host",
        now: jiff::Timestamp::UNIX_EPOCH,
        route: &Route::queue,
        ids: &mut ids,
        content: Content::default(),
    };
    let Ok(plan) = work(&mut sender) else { return };
    assert!(plan.steps.len() <= 4 * canvas::MAX_MESSAGES);
    for step in &plan.steps {
        if let Step::Send { message, .. } = step {
            let _ = message.encode();
        }
    }
}

/// False for what holds NaN.
#[expect(clippy::eq_op, reason = "the question is whether it is equal to itself")]
fn is_itself<T: PartialEq>(value: &T) -> bool {
    value == value
}
