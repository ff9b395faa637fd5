//! `umbel call`: send a task, optionally wait for its result.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use umbel_protocol::message::{Message, Route};
use umbel_protocol::names::client_origin;
use umbel_protocol::record::{ResultRecord, State};
use umbel_protocol::time::Timestamp;
use umbel_transport::results::ResultStore;

use super::{arguments, render};
use crate::fault::{Code, Fault};
use crate::out::Progress;
use crate::settings::units::{duration, show_duration};
use crate::settings::{Settings, host_name};
use crate::{out, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task's name, for example `tasks.add`
    name: String,

    /// Arguments: one JSON array, or one value each (JSON, name=value, @FILE for a file's content,
    /// anything else is text)
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Positional arguments, a JSON array
    #[arg(short, long = "args", value_name = "JSON", conflicts_with = "args")]
    array: Option<String>,

    /// Keyword arguments, a JSON object
    #[arg(short, long, value_name = "JSON")]
    kwargs: Option<String>,

    /// The queue to send to [default: as `routes` and `default-queue` say]
    #[arg(short, long, value_name = "QUEUE")]
    queue: Option<String>,

    /// Do not run it before this time has passed, for example 30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    countdown: Option<Duration>,

    /// Do not run it after this time has passed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,

    /// Wait for the result and print it
    #[arg(short, long)]
    wait: bool,

    /// Give up waiting after this time, for example 10s
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    timeout: Option<Duration>,

    /// Write the result here: bytes and text as they are, anything else as JSON
    #[arg(short, long, value_name = "FILE", requires = "wait")]
    output: Option<PathBuf>,
}

/// Sends it; prints the id or the result.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let message = message(args)?;
    if args.wait && settings.results.is_none() {
        let fault = Fault::usage("there is no result to wait for: the result backend is disabled");
        return Err(fault.help("name one with --result-backend, or leave --wait out").into());
    }
    super::small_runtime()?.block_on(send(settings, args, message))
}

async fn send(settings: &Settings, args: &Args, mut message: Message) -> anyhow::Result<ExitCode> {
    let wiring::Ends { broker, store } = wiring::connect(settings, args.wait).await?;
    if let Some(store) = &store {
        message.reply_to = store.reply_to().await?;
    }
    let queue = args.queue.as_ref().unwrap_or(&settings.default_queue);
    let mut raw = message.encode();
    raw.properties.expiration = message.expiration(now());
    broker.publish(&Route::queue(queue), &raw).await?;
    let id = message.id;
    let done = match store {
        None if settings.json => out::json(&json!({ "id": id })).map_err(Into::into),
        None => out::line(&id).map_err(Into::into),
        Some(store) => {
            let outcome = wait(store.as_ref(), &id, args.timeout).await;
            store.close().await;
            broker.close().await;
            return finish(settings, outcome?, &id, args.timeout, args.output.as_deref());
        }
    };
    broker.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

fn message(args: &Args) -> Result<Message, Fault> {
    let texts = match &args.array {
        Some(array) => std::slice::from_ref(array),
        None => args.args.as_slice(),
    };
    let arguments = arguments::read(texts, args.kwargs.as_deref())?;
    if args.array.is_some() && !is_array(&texts[0]) {
        return Err(Fault::usage("--args is not a JSON array")
            .help("write for example --args '[2, 3]', or just: umbel call NAME 2 3"));
    }
    let mut message = Message::new(&args.name, arguments.args, arguments.kwargs);
    message.origin = Some(client_origin(std::process::id(), &host_name()));
    let now = now();
    let after = |wait: Duration| now.checked_add(wait).ok().map(Timestamp::new);
    message.eta = args.countdown.and_then(after);
    message.expires = args.expires.and_then(after);
    Ok(message)
}

/// The wall clock.
fn now() -> jiff::Timestamp {
    jiff::Zoned::now().timestamp()
}

fn is_array(text: &str) -> bool {
    matches!(umbel_value::Value::from_json(text.as_bytes()), Ok(umbel_value::Value::List(_)))
}

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
    output: Option<&std::path::Path>,
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
