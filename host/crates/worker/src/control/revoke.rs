//! Revoking tasks, by id or by stamp (PROTOCOL 7.4).

use std::sync::Arc;

use tracing::{info, warn};
use umbel_protocol::record::State;
use umbel_protocol::repr::repr;
use umbel_transport::results::Reply;
use umbel_value::{Map, Value};

use super::commands::{error, ok};
use crate::inflight::Stage;
use crate::record;
use crate::revoked::stamped;
use crate::worker::Worker;

/// Remembers ids, and ends what runs under them if `terminate` says so.
pub(crate) async fn by_id(worker: &Arc<Worker>, arguments: &Map, terminate: bool) -> Value {
    let ids: Vec<String> = match arguments.get("task_id") {
        Some(Value::Text(id)) => vec![id.clone()],
        Some(Value::List(ids)) => {
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        }
        _ => return error("TypeError(\"revoke() missing 1 required argument: 'task_id'\")"),
    };
    let terminate = terminate || arguments.get("terminate").is_some_and(Value::is_truthy);
    let mut ended = Vec::new();
    for id in &ids {
        worker.revoked.add(id);
        let entry = worker.inflight.find(id);
        if let Some(entry) = &entry {
            let running = matches!(entry.stage(), Stage::Running(_));
            entry.revoke(terminate);
            if terminate && running {
                ended.push(id.clone());
            }
            continue;
        }
        // Not here: whoever asks for it is to know at once, even if its message never comes.
        store_unseen(worker, id).await;
    }
    info!("revoked by remote control: {}", ids.join(", "));
    if !terminate {
        let shown: Vec<String> = ids.iter().map(|id| repr(&id.into())).collect();
        return ok(format!("tasks {{{}}} flagged as revoked", shown.join(", ")));
    }
    if ended.is_empty() {
        return ok("terminate: tasks unknown");
    }
    ok(format!("terminate: {}", ended.join(", ")))
}

/// Remembers stamps, and ends what runs with them if asked to.
pub(crate) fn by_stamps(worker: &Arc<Worker>, arguments: &Map) -> Value {
    let headers = arguments.get("headers").cloned().unwrap_or_default();
    let Some(stamps) = stamps(&headers) else {
        return error(format!("ValueError('headers are no stamps: {}')", repr(&headers)));
    };
    let terminate = arguments.get("terminate").is_some_and(Value::is_truthy);
    let mut ended = false;
    for (name, values) in stamps {
        worker.revoked.add_stamp(&name, values.clone());
        for entry in worker.inflight.all() {
            if stamped(&entry.message, &name, &values) {
                ended |= matches!(entry.stage(), Stage::Running(_));
                entry.revoke(terminate);
            }
        }
    }
    let shown = repr(&headers);
    match (terminate, ended) {
        (false, _) => ok(format!("headers {shown} flagged as revoked, but not terminated")),
        (true, true) => ok(format!("headers {shown} revoked")),
        (true, false) => ok(format!("headers {shown} were not terminated")),
    }
}

/// A mapping of names to one value or to many, or a list of `name=value`.
fn stamps(headers: &Value) -> Option<Vec<(String, Vec<Value>)>> {
    let many = |value: &Value| match value {
        Value::List(values) => values.clone(),
        single => vec![single.clone()],
    };
    match headers {
        Value::Map(map) => {
            Some(map.iter().map(|(name, value)| (name.clone(), many(value))).collect())
        }
        Value::List(pairs) => pairs
            .iter()
            .map(|pair| {
                let (name, value) = pair.as_str()?.split_once('=')?;
                Some((name.to_owned(), vec![value.into()]))
            })
            .collect(),
        _ => None,
    }
}

async fn store_unseen(worker: &Worker, id: &str) {
    let Some(store) = &worker.store else { return };
    let untouched = match store.get(id).await {
        Ok(None) => true,
        Ok(Some(record)) => match record.state {
            State::Pending | State::Retry => true,
            State::Custom(name) => name == "RECEIVED" || name == "REJECTED",
            _ => false,
        },
        Err(error) => return warn!(id, "the revocation is not stored: {error}"),
    };
    if !untouched {
        return;
    }
    let reply = Reply { reply_to: None, correlation_id: id.to_owned() };
    if let Err(error) = store.put(&record::revoked_unseen(id, worker.now()), &reply).await {
        warn!(id, "the revocation is not stored: {error}");
    }
}
