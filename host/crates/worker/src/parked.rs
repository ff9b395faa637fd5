//! Messages whose task nobody here had: kept among the dead letters, and back in their queues once a
//! plugin brings the name. Several workers may look at once; the broker gives each letter to one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{debug, info, warn};
use umbel_protocol::message::Message;
use umbel_transport::broker::{BrokerError, DeadLetter};

use crate::worker::Worker;

/// How often the catalogue is asked whether it has changed.
const ASK: Duration = Duration::from_secs(1);

/// How many letters are read at once.
const BATCH: usize = 1000;

/// Why a message is put aside whose task nobody has.
pub(crate) fn reason(task: &str) -> String {
    format!("no task `{task}` is registered here")
}

/// Looks at once, and again whenever the names have changed. Ends when the worker drains; a letter
/// under way is seen through.
pub(crate) fn watch(worker: &Arc<Worker>) -> Option<JoinHandle<()>> {
    let watched = Arc::clone(worker);
    worker.config.park_unknown.then(|| {
        worker.io.spawn(async move {
            let mut known = None;
            while !watched.shutdown.is_draining() {
                let names = watched.runner.names();
                if known.as_ref() != Some(&names) {
                    match bring_back(&watched).await {
                        Ok(()) => known = Some(names),
                        Err(BrokerError::Unsupported(what)) => {
                            return debug!("no {what} on this broker");
                        }
                        Err(error) => warn!("parked messages wait on: {error}"),
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(ASK) => {}
                    () = watched.shutdown.draining() => {}
                }
            }
        })
    })
}

async fn bring_back(worker: &Worker) -> Result<(), BrokerError> {
    let mut count = 0;
    loop {
        let letters = worker.broker.dead_letters(BATCH).await?;
        let before = count;
        for letter in letters.iter().filter(|letter| is_ours(worker, letter)) {
            if worker.shutdown.is_draining() {
                return Ok(());
            }
            // Somebody else may have been faster.
            count += usize::from(worker.broker.replay(&letter.id).await?);
        }
        if count == before || letters.len() < BATCH {
            break;
        }
    }
    if count > 0 {
        info!("{count} parked messages are back in their queues: their tasks are here");
    }
    Ok(())
}

/// It was put aside for its name alone, and the name is here by now.
fn is_ours(worker: &Worker, letter: &DeadLetter) -> bool {
    letter.parked
        && Message::decode(&letter.message).is_ok_and(|message| {
            letter.reason == reason(&message.task) && worker.runner.find(&message.task).is_some()
        })
}
