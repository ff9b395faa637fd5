//! `umbel purge`: remove the messages that wait in queues.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use umbel_transport::broker::{Broker, BrokerError};

use super::render;
use crate::fault::{Code, Fault};
use crate::out::{self, Progress};
use crate::settings::Settings;
use crate::wiring;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// These queues, comma-separated [default: those of the configuration]
    #[arg(short = 'Q', long = "queues", value_name = "QUEUES", value_delimiter = ',')]
    only: Vec<String>,

    /// Not these queues
    #[arg(short = 'X', long = "exclude-queues", value_name = "QUEUES", value_delimiter = ',')]
    #[arg(visible_alias = "exclude")]
    without: Vec<String>,

    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// A queue, and how many messages it has.
type Counted = (String, u64);

/// Counts, asks, removes.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let queues = queues(settings, args)?;
    if !args.force && !out::can_ask() {
        let fault = Fault::usage("`purge` asks first, and there is nobody to ask");
        return Err(fault.help("say `--force`").into());
    }
    super::small_runtime()?.block_on(async {
        let broker = wiring::connect(settings, false).await?.broker;
        let ended = purge(settings, args, &broker, &queues).await;
        broker.close().await;
        ended
    })
}

/// Which queues are meant, by name.
fn queues(settings: &Settings, args: &Args) -> Result<Vec<String>, Fault> {
    let known = || settings.queues.iter().chain([&settings.default_queue]);
    let wanted: BTreeSet<&String> = match args.only.as_slice() {
        [] => known().collect(),
        only => only.iter().collect(),
    };
    if let Some(stranger) = args.without.iter().find(|queue| !wanted.contains(queue)) {
        let names = wanted.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let what = format!("`{stranger}` is to be left out, and is none of the queues: {names}");
        return Err(Fault::usage(what).help("name queues with -Q, those to be left out with -X"));
    }
    let left: Vec<String> =
        wanted.into_iter().filter(|queue| !args.without.contains(queue)).cloned().collect();
    match left.is_empty() {
        true => Err(Fault::usage("every queue is left out").help("leave one of -X out")),
        false => Ok(left),
    }
}

async fn purge(
    settings: &Settings,
    args: &Args,
    broker: &Arc<dyn Broker>,
    queues: &[String],
) -> anyhow::Result<ExitCode> {
    let mut counted = Vec::new();
    for queue in queues {
        counted.push((queue.clone(), broker.depth(queue).await?));
    }
    let waiting: u64 = counted.iter().map(|(_, count)| count).sum();
    if waiting == 0 {
        tell(settings, &counted)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.force {
        for (queue, count) in &counted {
            out::note(&render::one_line(&format!("{count:>9}  {queue}")));
        }
        let question = format!("Remove {}? There is no way back.", messages(waiting));
        if out::ask(&question)? != Some(true) {
            out::note("nothing was removed");
            return Ok(Code::Failure.into());
        }
    }
    let removed = remove(broker.as_ref(), &counted).await?;
    tell(settings, &removed)?;
    Ok(ExitCode::SUCCESS)
}

/// Empties the queues; what is sent meanwhile may stay.
async fn remove(broker: &dyn Broker, counted: &[Counted]) -> Result<Vec<Counted>, BrokerError> {
    let mut progress = Progress::new();
    let mut removed = Vec::new();
    for (queue, count) in counted {
        let mut gone = 0;
        loop {
            progress.tell(&format!("removing from {queue}: {gone} of {count}"));
            let some = broker.purge(queue).await?;
            gone += some;
            if some == 0 || gone >= *count {
                break;
            }
        }
        removed.push((queue.clone(), gone));
    }
    Ok(removed)
}

fn tell(settings: &Settings, removed: &[Counted]) -> std::io::Result<()> {
    let total: u64 = removed.iter().map(|(_, count)| count).sum();
    if settings.json {
        let queues: serde_json::Map<_, _> =
            removed.iter().map(|(queue, count)| (queue.clone(), json!(count))).collect();
        return out::json(&json!({ "purged": total, "queues": queues }));
    }
    let head = ["QUEUE", "REMOVED"].map(str::to_owned);
    let rows = removed.iter().map(|(queue, count)| [queue.clone(), count.to_string()]);
    render::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    out::line(&format!("\n{} removed", messages(total)))
}

fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}
