//! `umbel beat`: send tasks on schedule, or list what is scheduled.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use umbel_transport::timetable::Run;
use umbel_value::Value;

use super::render;
use crate::beat::Beat;
use crate::fault::Fault;
use crate::plugins::Again;
use crate::settings::{BeatEntry, Settings};
use crate::{out, telemetry, wiring};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List the entries with their last and next runs, and end
    #[arg(long)]
    list: bool,
}

/// Runs until a signal ends it, or lists.
pub(super) fn run(settings: &Settings, args: &Args, again: Again) -> anyhow::Result<ExitCode> {
    if settings.beat.entries.is_empty() {
        let what = format!("nothing is scheduled in {}", settings.config_file.display());
        let help = "write for example [beat.cleanup] task = \"tasks.cleanup\", \
                    schedule = { crontab = \"0 4 * * *\" }";
        return Err(Fault::usage(what).help(help).into());
    }
    let runtime = super::small_runtime()?;
    if args.list {
        super::quiet_log(settings);
        return runtime.block_on(list(settings));
    }
    telemetry::start(settings.level, settings.log_format);
    runtime.block_on(serve(settings, again))
}

async fn serve(settings: &Settings, again: Again) -> anyhow::Result<ExitCode> {
    let failed = "cannot catch signals";
    let mut terminate = signal(SignalKind::terminate()).context(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(failed)?;
    let mut quit = signal(SignalKind::quit()).context(failed)?;
    let mut hangup = signal(SignalKind::hangup()).context(failed)?;
    let table = wiring::timetable(settings).await?;
    let timetable = table.timetable.clone();
    info!("beat: starting, connected to {}", settings.broker);
    let (stop, reload) = (CancellationToken::new(), std::cell::Cell::new(false));
    let beat = Beat::new(settings, again, table);
    let running = beat.run(stop.clone(), || reload.replace(false));
    tokio::pin!(running);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = terminate.recv() => stop.cancel(),
            _ = interrupt.recv() => stop.cancel(),
            _ = quit.recv() => stop.cancel(),
            _ = hangup.recv() => reload.set(true),
        }
    };
    timetable.close().await;
    ended?;
    info!("beat: stopped");
    Ok(ExitCode::SUCCESS)
}

async fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let timetable = wiring::timetable(settings).await?.timetable;
    let runs = timetable.runs().await;
    timetable.close().await;
    let runs: HashMap<_, _> = runs?.into_iter().collect();
    let now = Timestamp::now();
    let mut rows: Vec<Row<'_>> = settings
        .beat
        .entries
        .iter()
        .map(|entry| {
            let run = runs.get(&entry.name).copied();
            Row { entry, run, next: entry.schedule.next(run.map_or(now, |run| run.at)) }
        })
        .collect();
    rows.sort_by_key(|row| (row.next.is_none(), row.next));
    if settings.json {
        out::json(&rows.iter().map(Row::json).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["NEXT RUN", "ENTRY", "TASK", "RUNS", "LAST RUN", "SCHEDULE"].map(str::to_owned);
    let table = std::iter::once(head).chain(rows.iter().map(Row::text)).collect::<Vec<_>>();
    render::table(&table)?;
    Ok(ExitCode::SUCCESS)
}

/// One entry of the list.
struct Row<'a> {
    entry: &'a BeatEntry,
    /// `None`: no beat has seen it yet.
    run: Option<Run>,
    /// For one that was never seen: if a beat saw it now.
    next: Option<Timestamp>,
}

impl Row<'_> {
    fn text(&self) -> [String; 6] {
        let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), render::local);
        let last = self.run.filter(|run| run.count > 0).map(|run| run.at);
        let count = self.run.map_or(0, |run| run.count);
        let BeatEntry { name, schedule, sends, .. } = self.entry;
        [
            time(self.next),
            name.clone(),
            sends.task.clone(),
            count.to_string(),
            time(last),
            schedule.to_string(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let BeatEntry { name, schedule, sends, .. } = self.entry;
        json!({
            "name": name,
            "task": sends.task,
            "schedule": schedule.to_string(),
            "args": render::json(&Value::List(sends.args.clone())),
            "kwargs": render::json(&Value::Map(sends.kwargs.clone())),
            "queue": sends.queue,
            "runs": self.run.map_or(0, |run| run.count),
            "last_run": self.run.filter(|run| run.count > 0).map(|run| run.at.to_string()),
            "next_run": self.next.map(|next| next.to_string()),
        })
    }
}
