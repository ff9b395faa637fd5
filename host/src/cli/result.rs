//! `umbel result`: what became of a task.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use umbel_protocol::record::{ResultRecord, State};

use super::{render, waiting};
use crate::fault::{Code, Fault};
use crate::settings::Settings;
use crate::settings::units::celerys_duration;
use crate::{out, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id that `umbel call` or a Celery client printed
    id: String,

    /// Print the traceback instead of the result
    #[arg(long)]
    traceback: bool,

    /// Wait until it is ready
    #[arg(short, long)]
    wait: bool,

    /// Give up waiting after this time, for example 10s
    #[arg(long, value_name = "TIME", value_parser = celerys_duration, requires = "wait")]
    timeout: Option<Duration>,

    /// Write the result here: bytes and text as they are, anything else as JSON
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints the result, the state of a task that is not ready, or the error of one that failed.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let Some(address) = &settings.results else {
        let fault = Fault::usage("there are no results: the result backend is disabled");
        return Err(fault.help("name one with --result-backend").into());
    };
    if !wiring::can_fetch_later(address) {
        return Err(Fault::usage(
            "`rpc://` sends results to the client that asked, and only to it",
        )
        .help(
            "use `umbel call --wait`, or a result backend that keeps them: \
                   --result-backend redis://…",
        )
        .into());
    }
    super::small_runtime()?.block_on(fetch(settings, args))
}

async fn fetch(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    let store = wiring::results(settings).await?.context("the result backend is disabled")?;
    let record = match args.wait {
        true => waiting::wait(store.as_ref(), &args.id, args.timeout).await?,
        false => store.get(&args.id).await?,
    };
    store.close().await;
    match record {
        Some(record) if args.traceback && !settings.json && record.state.is_ready() => {
            out::line(record.traceback.as_deref().unwrap_or("").trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(record) if record.state.is_ready() => {
            waiting::finish(settings, Some(record), &args.id, None, args.output.as_deref())
        }
        other => not_ready(settings, other, &args.id),
    }
}

fn not_ready(
    settings: &Settings,
    record: Option<ResultRecord>,
    id: &str,
) -> anyhow::Result<ExitCode> {
    if settings.json {
        let shown = record.as_ref().map(record_json);
        out::json(&shown.unwrap_or_else(|| json!({ "id": id, "state": "PENDING" })))?;
        return Ok(Code::NotYet.into());
    }
    let (state, details) = match &record {
        Some(record) if matches!(record.state, State::Custom(_)) => {
            (record.state.as_str(), format!(" {}", record.result.to_json()))
        }
        Some(record) => (record.state.as_str(), String::new()),
        None => ("PENDING", " (not started, not sent, or its result has expired)".to_owned()),
    };
    let what = format!("{id} has no result yet: {state}{details}");
    Err(Fault::new(Code::NotYet, what).help("wait for it with --wait").into())
}

/// A record as programs read it.
pub(super) fn record_json(record: &ResultRecord) -> serde_json::Value {
    json!({
        "id": record.id,
        "state": record.state.as_str(),
        "result": render::json(&record.result),
        "traceback": record.traceback,
        "date_done": record.date_done,
    })
}
