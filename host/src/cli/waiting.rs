//! Waits for a result with a line of progress, and prints it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use umbel_protocol::record::{ResultRecord, State};
use umbel_transport::results::ResultStore;

use super::render;
use crate::fault::{Code, Fault};
use crate::out::{self, Progress};
use crate::settings::Settings;
use crate::settings::units::show_duration;

/// Waits until the task is ready or time is up, with a line of progress for people.
pub(super) async fn wait(
    store: &dyn ResultStore,
    id: &str,
    timeout: Option<Duration>,
) -> anyhow::Result<Option<ResultRecord>> {
    // Nobody waits longer than a year.
    let timeout = timeout.unwrap_or(Duration::from_secs(365 * 86400));
    let mut progress = Progress::new();
    let mut waiting = std::pin::pin!(store.wait(id, timeout));
    let mut ticks = tokio::time::interval(Progress::TICK);
    let mut state = String::new();
    let mut count = 0u32;
    loop {
        tokio::select! {
            record = &mut waiting => return Ok(record?),
            _ = ticks.tick(), if progress.is_visible() => {
                count += 1;
                // About once a second.
                if count.is_multiple_of(8) {
                    state = peek(store, id).await;
                }
                progress.tell(&format!("waiting for {id}{state}"));
            }
        }
    }
}

/// What the task says of itself so far.
async fn peek(store: &dyn ResultStore, id: &str) -> String {
    match store.get(id).await {
        Ok(Some(record)) if record.state != State::Pending => {
            let details = match &record.state {
                State::Custom(_) => format!(" {}", record.result.to_json()),
                _ => String::new(),
            };
            let text = format!(" · {}{details}", record.state.as_str());
            text.chars().filter(|c| !c.is_control()).take(100).collect()
        }
        // The wait itself will tell what is wrong.
        _ => String::new(),
    }
}

/// Prints a record that was waited for.
pub(super) fn finish(
    settings: &Settings,
    record: Option<ResultRecord>,
    id: &str,
    timeout: Option<Duration>,
    output: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let Some(record) = record.filter(|record| record.state.is_ready()) else {
        let time = timeout.map(show_duration).unwrap_or_default();
        let what = format!("no result of {id} within {time}");
        let help = "is a worker running on that queue? See later with `umbel result ID`";
        return Err(Fault::new(Code::NotYet, what).help(help).into());
    };
    if settings.json {
        out::json(&super::result::record_json(&record))?;
        let success = record.state == State::Success;
        return Ok(if success { ExitCode::SUCCESS } else { Code::Failure.into() });
    }
    match record.state {
        State::Success => {
            render::value(&record.result, output)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            out::note(&render::failure(&record));
            Ok(Code::Failure.into())
        }
    }
}
