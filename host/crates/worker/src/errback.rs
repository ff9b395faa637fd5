//! Error callbacks of the new style: tasks of ours that take the failure itself are called at once,
//! as Celery does; what becomes of them is only logged (PROTOCOL 5.5).

use std::sync::Arc;

use tracing::warn;
use umbel_protocol::message::Message;
use umbel_task::call::Call;
use umbel_task::outcome::Outcome;
use umbel_value::{Map, Value};

use crate::outbox::RunOutbox;
use crate::verdict::Errbacks;
use crate::worker::Worker;

/// Request, exception and traceback.
const TAKES: usize = 3;

/// Whether this error callback is one of our own tasks with room for request, exception and
/// traceback before the arguments it has.
pub(crate) fn is_inline(worker: &Worker, signature: &Value) -> bool {
    let name = signature.get("task").and_then(Value::as_str).unwrap_or_default();
    worker.runner.find(name).is_some_and(|task| task.arity() >= TAKES + own_args(signature).len())
}

/// Calls it; a failure of its own ends in the log.
pub(crate) async fn call(
    worker: &Arc<Worker>,
    message: &Arc<Message>,
    errbacks: &Errbacks,
    signature: &Value,
    id: String,
) {
    let name = signature.get("task").and_then(Value::as_str).unwrap_or_default();
    let Some(task) = worker.runner.find(name) else { return };
    let immutable = signature.get("immutable").is_some_and(Value::is_truthy);
    let mut args = Vec::new();
    if !immutable {
        args.extend([
            request(message, &errbacks.failed),
            errbacks.exception.clone(),
            errbacks.traceback.as_ref().into(),
        ]);
    }
    args.extend_from_slice(own_args(signature));
    let kwargs = signature.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default();
    let call = Call {
        id: id.clone(),
        name: name.to_owned(),
        args,
        kwargs,
        root_id: message.root_id.clone().unwrap_or_else(|| message.id.clone()),
        parent_id: Some(errbacks.failed.clone()),
        correlation_id: id,
        ..Call::default()
    };
    let outbox = RunOutbox::silent(worker, message);
    let ended = task.run(call, outbox.handle(), worker.shutdown.stop_token()).await;
    if !matches!(ended.outcome, Outcome::Done(_) | Outcome::Ignored) {
        warn!(id = %errbacks.failed, "the error callback `{name}` did not succeed: {:?}", ended.outcome);
    }
}

fn own_args(signature: &Value) -> &[Value] {
    signature.get("args").and_then(Value::as_list).unwrap_or_default()
}

/// The failed task's request as an object.
fn request(message: &Message, failed: &str) -> Value {
    if message.id != failed {
        return Value::from([("id", Value::from(failed))]);
    }
    let kwargs: Map = message.kwargs.clone();
    Value::from([
        ("id", Value::from(&message.id)),
        ("task", (&message.task).into()),
        ("args", message.args.clone().into()),
        ("kwargs", kwargs.into()),
        ("retries", message.retries.into()),
        ("root_id", message.root_id.as_ref().into()),
        ("parent_id", message.parent_id.as_ref().into()),
        ("group", message.group.as_ref().into()),
        ("group_index", message.group_index.into()),
        ("reply_to", message.reply_to.as_ref().into()),
        ("correlation_id", message.correlation_id.as_ref().into()),
        ("origin", message.origin.as_ref().into()),
        ("headers", message.custom_headers().into()),
        ("stamps", message.stamps.clone().into()),
    ])
}
