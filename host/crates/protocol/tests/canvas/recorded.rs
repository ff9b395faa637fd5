//! Task messages of a recording, in their order, and how they are compared with ours.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use umbel_protocol::canvas::Plan;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Message, Properties, RawMessage};
use umbel_protocol::repr;
use umbel_value::{Map, Value};

/// The task messages of a recording. Celery's workers put their own reply address into what they
/// send first; ours pass on the client's, which therefore stands for both.
pub(crate) fn tasks(name: &str) -> Vec<Message> {
    let content = load(name);
    let list = |key: &str| content.get(key).and_then(Value::as_list).unwrap_or_default();
    let raw = list("messages").iter().map(raw).chain(list("commands").iter().filter_map(pushed));
    let mut messages: Vec<Message> = raw.filter_map(|raw| Message::decode(&raw).ok()).collect();
    let client = messages[0].reply_to.clone().unwrap();
    for message in &mut messages {
        if let Some(own) = message.reply_to.replace(client.clone()).filter(|own| *own != client) {
            rename(&mut message.embed.chord, &own, &client);
        }
    }
    messages
}

/// What the commands of a recording wrote to a key.
pub(crate) fn written(name: &str, key: &str) -> Vec<Value> {
    let content = load(name);
    let commands = content.get("commands").and_then(Value::as_list).unwrap();
    let args = commands.iter().filter_map(|command| command.get("args")?.as_list());
    let named =
        args.filter(|args| args[0].as_str() == Some("SET") && args[1].as_str() == Some(key));
    named.map(|args| args[2].clone()).collect()
}

fn load(name: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden");
    let text = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    Value::from_json(&text).unwrap()
}

/// Checks that a plan sends exactly these messages.
pub(crate) fn check(plan: &Plan, expected: &[Message]) {
    let sent = super::sent(plan);
    assert_eq!(sent.len(), expected.len(), "{:?}", super::steps(plan));
    for (ours, theirs) in sent.into_iter().zip(expected) {
        let mut theirs = theirs.clone();
        theirs.origin = Some("test@host".to_owned());
        // A worker of Celery's knows its own tasks; we do not know what others registered.
        assert_ne!(theirs.ignore_result, Some(true));
        theirs.ignore_result = None;
        // Celery shows some lists as tuples, as they were before they became JSON.
        theirs.argsrepr = Some(repr::args(&theirs.args));
        theirs.kwargsrepr = Some(repr::kwargs(&theirs.kwargs));
        assert_eq!(*ours, theirs);
    }
}

fn rename(value: &mut Option<Value>, from: &str, to: &str) {
    if let Some(value) = value {
        let text = value.to_json().replace(from, to);
        *value = Value::from_json(text.as_bytes()).unwrap();
    }
}

fn pushed(command: &Value) -> Option<RawMessage> {
    let args = command.get("args")?.as_list()?;
    let envelope = args.get(2).filter(|_| args[0].as_str() == Some("LPUSH"))?.as_str()?;
    Envelope::from_json(envelope.as_bytes()).ok().map(|envelope| envelope.message)
}

fn raw(recorded: &Value) -> RawMessage {
    if let Some(text) = recorded.get("raw").and_then(Value::as_str) {
        return Envelope::from_json(text.as_bytes()).unwrap().message;
    }
    let properties = recorded.get("properties").and_then(Value::as_map).unwrap();
    let text = |key: &str| properties.get(key).and_then(Value::as_str).map(str::to_owned);
    let body = recorded.get("body").and_then(|body| body.get("b64")).and_then(Value::as_str);
    RawMessage {
        properties: Properties {
            content_type: text("content_type"),
            content_encoding: text("content_encoding"),
            correlation_id: text("correlation_id"),
            reply_to: text("reply_to"),
            priority: properties.get("priority").and_then(Value::as_u64).map(|n| n as u8),
            ..Properties::default()
        },
        headers: recorded.get("headers").and_then(Value::as_map).cloned().unwrap_or_else(Map::new),
        body: STANDARD.decode(body.unwrap()).unwrap().into(),
    }
}
