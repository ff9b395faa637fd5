//! Revoking tasks, by id or by stamp (PROTOCOL 7.4).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{info, warn};
use umbel_protocol::control::set;
use umbel_protocol::record::State;
use umbel_protocol::repr::repr;
use umbel_transport::results::Reply;
use umbel_value::{Map, Value};

use super::commands::{error, ok};
use crate::inflight::Stage;
use crate::record;
use crate::revoked::stamped;
use crate::worker::Worker;

/// How long an answer waits for the result store; a client waits for a second.
const STORING: Duration = Duration::from_millis(500);

/// Remembers ids, and ends what runs under them if `terminate` says so.
pub(crate) async fn by_id(worker: &Arc<Worker>, arguments: &Map, terminate: bool) -> Value {
    let ids: Vec<String> = match arguments.get("task_id") {
        Some(Value::Text(id)) => vec![id.clone()],
        Some(Value::List(ids)) => {
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        }
        _ => return error("TypeError(\"'task_id' must be an id or a list of ids\")"),
    };
    let terminate = terminate || arguments.get("terminate").is_some_and(Value::is_truthy);
    let (mut ended, mut unseen) = (Vec::new(), Vec::new());
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
        unseen.push(id.clone());
    }
    // Not here: whoever asks for one is to know at once, even if its message never comes.
    store_all(worker, unseen).await;
    info!("revoked by remote control: {}", ids.join(", "));
    if !terminate {
        return ok(format!("tasks {} flagged as revoked", set(&ids)));
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
    // A list of pairs is shown as the mapping it means.
    let shown = match &headers {
        Value::List(_) => stamps
            .iter()
            .map(|(name, values)| (name.as_str(), values.first().cloned().into()))
            .collect(),
        headers => headers.clone(),
    };
    let shown = repr(&shown);
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

/// Returns when all are stored, or when whoever revokes has waited long enough: a store that is away
/// is no reason to leave without an answer.
async fn store_all(worker: &Arc<Worker>, ids: Vec<String>) {
    if ids.is_empty() || worker.store.is_none() {
        return;
    }
    let (done, told) = oneshot::channel();
    let storing = Arc::clone(worker);
    Arc::clone(worker).track(async move {
        let all = async {
            for id in &ids {
                store_unseen(&storing, id).await;
            }
        };
        tokio::select! {
            () = all => {}
            () = storing.shutdown.draining() => {}
        }
        // Whoever asked may wait no longer.
        let _ = done.send(());
    });
    let _ = tokio::time::timeout(STORING, told).await;
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
