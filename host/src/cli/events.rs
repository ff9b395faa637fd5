//! `umbel events`: what workers tell of themselves and their tasks, as a live view or line by line.

mod live;
mod screen;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use umbel_protocol::event;
use umbel_transport::broker::{BrokerError, Listener};
use umbel_value::{Map, Value};

use super::asking::Line;
use super::render;
use crate::fault::Fault;
use crate::monitor::dump::Dump;
use crate::out;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one line an event, as `celery events --dump` does; so it is wherever the output is no
    /// terminal. With --json each is an object
    #[arg(short, long)]
    dump: bool,

    /// First have workers tell of their tasks, as `umbel control enable_events` does. They go on
    /// telling when this ends
    #[arg(long)]
    enable: bool,
}

/// Shows events until the user, a signal or a reader that went away ends it.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    let live = !args.dump && !settings.json && std::io::stdout().is_terminal();
    if !live {
        // On the live view there is no place for it.
        super::quiet_log(settings);
    }
    super::small_runtime()?.block_on(async {
        // Before anything is printed: whoever reads may answer with a signal.
        let stop = Stop::catch().context("cannot catch signals")?;
        let line = Line::open(settings).await?;
        let followed = follow(settings, args, &line, stop, live).await;
        line.close().await;
        followed
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn follow(
    settings: &Settings,
    args: &Args,
    line: &Line,
    stop: Stop,
    live: bool,
) -> anyhow::Result<()> {
    let ears = match line.broker.overhear(event::ALL).await {
        Ok(ears) => ears,
        Err(BrokerError::Unsupported(_)) => return Err(no_events(settings).into()),
        Err(error) => return Err(error.into()),
    };
    if args.enable {
        line.order("enable_events", Map::new(), &[]).await?;
    }
    // Everybody who is there gives a sign of life.
    line.order("heartbeat", Map::new(), &[]).await?;
    match live {
        true => live::show(settings, line, ears, stop, args.enable).await,
        false => print(settings, ears, stop).await,
    }
}

fn no_events(settings: &Settings) -> Fault {
    let what = format!("the embedded broker, {}, has no events", settings.broker);
    Fault::failure(what).help(
        "`umbel status` and `umbel inspect active` show what workers do; for events, use Redis or \
         RabbitMQ (-b)",
    )
}

async fn print(
    settings: &Settings,
    mut ears: Box<dyn Listener>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    out::note(&format!("listening to events on {}", settings.broker));
    let mut dump = Dump::default();
    loop {
        let heard = tokio::select! {
            () = stop.wanted() => return Ok(()),
            heard = ears.next() => heard?,
        };
        let Some(raw) = heard else { return Ok(()) };
        for event in event::open(&raw) {
            let line = match settings.json {
                true => render::json(&Value::Map(event)).to_string(),
                false => render::one_line(&dump.line(&event, Timestamp::now())),
            };
            if !out::line_for_somebody(&line)? {
                return Ok(());
            }
        }
    }
}

/// The signals that end it.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn catch() -> std::io::Result<Stop> {
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns once one has come. Cancel safe.
    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
