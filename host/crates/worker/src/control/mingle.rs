//! A worker that starts asks the others which tasks are revoked, and what time it is (PROTOCOL 8.1).

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};
use umbel_protocol::control::{ask, open_reply, question};
use umbel_protocol::names;
use umbel_protocol::time::epoch;
use umbel_transport::broker::{BrokerError, Listener};
use umbel_value::{Map, Value};

use crate::worker::Worker;

/// How long replies are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says hello; takes over what is said in return within a second. Nobody waits for it.
pub(super) async fn say_hello(worker: Arc<Worker>) {
    if let Err(error) = exchange(&worker).await {
        warn!("the other workers were not asked what is revoked: {error}");
    }
}

async fn exchange(worker: &Worker) -> Result<(), BrokerError> {
    let oid = uuid::Uuid::new_v4().to_string();
    let mut replies = match worker.broker.replies(&oid).await {
        Ok(replies) => replies,
        // All there listen to remote control as we do, and answer over it.
        Err(BrokerError::Unsupported(_)) => {
            let hello = question("hello", arguments(worker), &[], &worker.config.node);
            return worker.broker.broadcast(&hello).await;
        }
        Err(error) => return Err(error),
    };
    let expires = epoch(worker.now()) + PATIENCE.as_secs_f64();
    let exchange = names::reply_exchange(names::CONTROL);
    let hello =
        ask("hello", arguments(worker), &[], (&exchange, &oid), worker.clock.tick(), expires);
    worker.broker.broadcast(&hello).await?;
    let hearing = async {
        while let Some(reply) = next(&mut *replies).await {
            for (node, answer) in reply {
                absorb(worker, &node, &answer);
            }
        }
    };
    if tokio::time::timeout(PATIENCE, hearing).await.is_err() {
        debug!("no more replies are waited for");
    }
    Ok(())
}

async fn next(replies: &mut dyn Listener) -> Option<Map> {
    loop {
        let raw = replies.next().await.ok().flatten()?;
        if let Some(reply) = open_reply(&raw) {
            return Some(reply);
        }
    }
}

fn arguments(worker: &Worker) -> Map {
    let revoked: Value = worker.revoked.ids().iter().map(Value::from).collect();
    [("from_node".to_owned(), Value::from(&worker.config.node)), ("revoked".to_owned(), revoked)]
        .into_iter()
        .collect()
}

/// Takes over what another worker answered.
pub(super) fn absorb(worker: &Worker, node: &str, answer: &Value) {
    if node == worker.config.node || answer.is_null() {
        return;
    }
    if let Some(clock) = answer.get("clock").and_then(Value::as_u64) {
        worker.clock.adjust(clock);
    }
    let count = revoke_all(worker, answer.get("revoked"));
    info!("{node} knows of {count} revoked tasks");
}

/// Remembers what others know to be revoked; what waits here is revoked as well.
pub(super) fn revoke_all(worker: &Worker, ids: Option<&Value>) -> usize {
    let ids = ids.and_then(Value::as_list).unwrap_or_default();
    let ids = ids.iter().filter_map(Value::as_str);
    ids.inspect(|id| {
        worker.revoked.add(id);
        if let Some(entry) = worker.inflight.find(id) {
            entry.revoke(false);
        }
    })
    .count()
}
