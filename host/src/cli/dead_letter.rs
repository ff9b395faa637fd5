//! `umbel dead-letter`: messages that were put aside, to be looked at and put back.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use umbel_protocol::message::Message;
use umbel_transport::broker::{Broker, DeadLetter};
use umbel_value::Value;

use super::render::{self, local, one_line};
use crate::fault::{Code, Fault};
use crate::out::{self, Progress};
use crate::settings::Settings;
use crate::settings::units::about_size;
use crate::wiring;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them, the oldest first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show one: why it was put aside, and its message
    Show {
        /// As `list` prints it
        id: String,
    },
    /// Put them back into the queues they came from, their deliveries forgotten
    Replay {
        /// As `list` prints them
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,

        /// Every one that is there now
        #[arg(long, conflicts_with = "ids")]
        all: bool,

        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// More than anybody looks through; each of them is held in memory.
const EVERYTHING: usize = 100_000;

/// Letters that are replayed between two looks at what is there.
const BATCH: usize = 1000;

/// Carries one of them out.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    super::small_runtime()?.block_on(async {
        let broker = wiring::connect(settings, false).await?.broker;
        let ended = match &args.command {
            Command::List { limit } => list(settings, &broker, *limit).await,
            Command::Show { id } => show(settings, &broker, id).await,
            Command::Replay { all: true, yes, .. } => replay_all(settings, &broker, *yes).await,
            Command::Replay { ids, .. } => replay(settings, &broker, ids).await,
        };
        broker.close().await;
        ended
    })
}

async fn list(
    settings: &Settings,
    broker: &Arc<dyn Broker>,
    limit: usize,
) -> anyhow::Result<ExitCode> {
    let letters = broker.dead_letters(limit).await?;
    if settings.json {
        out::json(&letters.iter().map(|letter| letter_json(letter, false)).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() {
        out::note("no dead letters");
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["ID", "PUT ASIDE", "QUEUE", "TASK", "REASON"].map(str::to_owned);
    let rows = letters.iter().map(|letter| {
        let task = Message::decode(&letter.message).map_or("-".to_owned(), |message| message.task);
        [letter.id.clone(), local(letter.at), letter.queue.clone(), task, letter.reason.clone()]
    });
    render::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    Ok(ExitCode::SUCCESS)
}

async fn show(settings: &Settings, broker: &Arc<dyn Broker>, id: &str) -> anyhow::Result<ExitCode> {
    let letters = broker.dead_letters(EVERYTHING).await?;
    let Some(letter) = letters.iter().find(|letter| letter.id == id) else {
        return Err(unknown(&[id]).into());
    };
    if settings.json {
        out::json(&letter_json(letter, true))?;
        return Ok(ExitCode::SUCCESS);
    }
    let by =
        if letter.parked { "a worker, to stop a loop" } else { "its task, or its task's settings" };
    let mut rows = vec![
        ("id", letter.id.clone()),
        ("put aside", local(letter.at)),
        ("by", by.to_owned()),
        ("reason", letter.reason.clone()),
        ("queue", letter.queue.clone()),
    ];
    match Message::decode(&letter.message) {
        Ok(message) => rows.extend([
            ("task", message.task),
            ("task id", message.id),
            ("args", Value::List(message.args).to_json()),
            ("kwargs", Value::Map(message.kwargs).to_json()),
            ("retries", message.retries.to_string()),
        ]),
        Err(why) => rows.push(("message", format!("cannot be read: {why}"))),
    }
    rows.push(("headers", Value::Map(letter.message.headers.clone()).to_json()));
    rows.push(("body", about_size(letter.message.body.len() as u64)));
    for (name, text) in rows {
        out::line(&one_line(&format!("{name:10}{text}")))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(
    settings: &Settings,
    broker: &Arc<dyn Broker>,
    ids: &[String],
) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let mut missing = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        progress.tell(&format!("replaying {} of {}", at + 1, ids.len()));
        if !broker.replay(id).await? {
            missing.push(id.as_str());
        }
    }
    progress.clear();
    tell(settings, ids.len() - missing.len(), &missing)?;
    if missing.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(unknown(&missing).into()) }
}

async fn replay_all(
    settings: &Settings,
    broker: &Arc<dyn Broker>,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    if !yes {
        match out::ask("Put every dead letter back into the queue it came from?")? {
            Some(true) => {}
            Some(false) => {
                out::note("nothing was replayed");
                return Ok(Code::Failure.into());
            }
            None => {
                let fault = Fault::usage("`replay --all` asks first, and there is nobody to ask");
                return Err(fault.help("say `--yes`").into());
            }
        }
    }
    // What comes back while we work must not be replayed for ever.
    let start = Timestamp::now();
    let mut progress = Progress::new();
    let mut count = 0;
    loop {
        let letters = broker.dead_letters(BATCH).await?;
        let before = count;
        for letter in letters.iter().filter(|letter| letter.at <= start) {
            progress.tell(&format!("replaying dead letters: {count}"));
            // Somebody else may have been faster.
            count += usize::from(broker.replay(&letter.id).await?);
        }
        if count == before {
            break;
        }
    }
    progress.clear();
    tell(settings, count, &[])?;
    Ok(ExitCode::SUCCESS)
}

fn tell(settings: &Settings, replayed: usize, missing: &[&str]) -> std::io::Result<()> {
    match settings.json {
        true => out::json(&json!({ "replayed": replayed, "missing": missing })),
        false => out::line(&match replayed {
            1 => "1 message replayed".to_owned(),
            count => format!("{count} messages replayed"),
        }),
    }
}

fn unknown(ids: &[&str]) -> Fault {
    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    let fault = Fault::failure(format!("no dead letter has the id {}", ids.join(", ")));
    fault.help("see `umbel dead-letter list`")
}

fn letter_json(letter: &DeadLetter, whole: bool) -> serde_json::Value {
    let message = Message::decode(&letter.message).ok();
    let mut shown = json!({
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "at": letter.at.to_string(),
        "parked": letter.parked,
        "task": message.as_ref().map(|message| &message.task),
        "task_id": message.as_ref().map(|message| &message.id),
    });
    if whole && let Some(fields) = shown.as_object_mut() {
        let headers = render::json(&Value::Map(letter.message.headers.clone()));
        fields.insert("headers".into(), headers);
        fields.insert("body".into(), String::from_utf8_lossy(&letter.message.body).into());
        if let Some(message) = message {
            fields.insert("args".into(), render::json(&Value::List(message.args)));
            fields.insert("kwargs".into(), render::json(&Value::Map(message.kwargs)));
            fields.insert("retries".into(), message.retries.into());
        }
    }
    shown
}
