//! What spans say, under the names that OpenTelemetry's instrumentation of Celery uses, those of its
//! conventions for messaging, and our own.

use opentelemetry::KeyValue;
use umbel_protocol::record::State;
use umbel_transport::address::Scheme;
use umbel_worker::{End, Run, Story};

/// Texts of others are cut after this many bytes.
const LONGEST: usize = 256;

/// The text, or its beginning.
pub(super) fn bounded(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or_default()].to_owned()
}

/// The broker's kind, as the conventions name it.
pub(super) fn system(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Amqp | Scheme::Rpc => "rabbitmq",
        Scheme::Redis => "redis",
        Scheme::Sqlite => "sqlite",
    }
}

/// What the span of a message says.
pub(super) fn of_message(story: &Story<'_>, node: &str, system: &'static str) -> Vec<KeyValue> {
    let message = story.message;
    let (id, queue) = (bounded(&message.id), bounded(story.queue));
    let conversation = bounded(message.correlation_id.as_ref().unwrap_or(&message.id));
    let mut said = vec![
        KeyValue::new("celery.action", "run"),
        KeyValue::new("celery.task_name", bounded(&message.task)),
        KeyValue::new("celery.hostname", node.to_owned()),
        KeyValue::new("messaging.system", system),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.message.id", id),
        KeyValue::new("messaging.conversation_id", conversation.clone()),
        KeyValue::new("messaging.message.conversation_id", conversation),
        KeyValue::new("messaging.destination", queue.clone()),
        KeyValue::new("messaging.destination.name", queue),
        KeyValue::new("umbel.end", story.end.name()),
    ];
    if let Some(state) = state(story.end) {
        said.push(KeyValue::new("celery.state", state.as_str().to_owned()));
    }
    if message.retries > 0 {
        said.push(KeyValue::new("celery.retries", i64::from(message.retries)));
    }
    said.extend(story.run.iter().flat_map(of_run));
    said
}

/// What a run was and what it cost.
pub(super) fn of_run(run: &Run<'_>) -> Vec<KeyValue> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut said = vec![
        KeyValue::new("umbel.plugin", run.version.to_string()),
        KeyValue::new("umbel.cpu_ms", run.cost.cpu.as_secs_f64() * 1e3),
        KeyValue::new("umbel.memory_bytes", number(run.cost.memory)),
    ];
    said.extend(run.cost.fuel.map(|fuel| KeyValue::new("umbel.fuel", number(fuel))));
    said.extend(run.fault.map(|fault| KeyValue::new("error.type", fault)));
    said
}

/// The state that the caller sees, if this end is one.
fn state(end: End) -> Option<State> {
    match end {
        End::Succeeded | End::Repeated => Some(State::Success),
        End::Failed | End::Unregistered => Some(State::Failure),
        End::Retried => Some(State::Retry),
        End::Expired | End::Revoked => Some(State::Revoked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(bounded("tasks.add"), "tasks.add");
        assert_eq!(bounded(&"x".repeat(1000)).len(), LONGEST);
        assert_eq!(bounded(&"€".repeat(1000)).len(), 255);
        assert_eq!(bounded(""), "");
    }
}
