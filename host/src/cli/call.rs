//! `umbel call`: send a task or a chain of them, optionally wait for the result.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;
use umbel_protocol::body::Content;
use umbel_protocol::canvas::{self, Plan, Sender, Step};
use umbel_protocol::names::{CHAIN, client_origin, is_reserved_queue};
use umbel_protocol::time::isoformat;
use umbel_transport::broker::Broker;
use umbel_value::{Map, Value};

use super::{arguments, waiting};
use crate::fault::Fault;
use crate::settings::units::celerys_duration;
use crate::settings::values::{compression, serializer};
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

    #[command(flatten)]
    chain: Chain,

    /// A task that gets the result, once it is a success
    #[arg(long, value_name = "NAME")]
    link: Vec<String>,

    /// A task that is told of a failure
    #[arg(long, value_name = "NAME")]
    link_error: Vec<String>,

    /// The queue to send to [default: as `routes` and `default-queue` say]
    #[arg(short, long, value_name = "QUEUE", value_parser = queue_name)]
    queue: Option<String>,

    /// From 0 to 255; which end goes first is the broker's to say
    #[arg(long, value_name = "N", value_parser = priority)]
    priority: Option<u8>,

    /// Do not run it before this time has passed, for example 30s
    #[arg(long, value_name = "TIME", value_parser = celerys_duration, conflicts_with = "eta")]
    countdown: Option<Duration>,

    /// Do not run it before this moment, for example 2030-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    eta: Option<jiff::Timestamp>,

    /// Do not run it after this time has passed, or after this moment
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,

    /// How the message is written: json, msgpack or yaml
    #[arg(long, value_name = "NAME", value_parser = serializer_name)]
    serializer: Option<String>,

    /// How the message is compressed: gzip, bzip2, lzma, brotli or zstd
    #[arg(long, value_name = "NAME", value_parser = compression_name)]
    compression: Option<String>,

    /// Wait for the result and print it
    #[arg(short, long)]
    wait: bool,

    /// Give up waiting after this time, for example 10s
    #[arg(long, value_name = "TIME", value_parser = celerys_duration, requires = "wait")]
    timeout: Option<Duration>,

    /// Write the result here: bytes and text as they are, anything else as JSON
    #[arg(short, long, value_name = "FILE", requires = "wait")]
    output: Option<PathBuf>,
}

/// `--chain NAME [ARG…]`, once for each further step.
#[derive(Clone, Debug, Default)]
struct Chain(Vec<Vec<String>>);

impl clap::Args for Chain {
    fn augment_args(command: Command) -> Command {
        let chain = Arg::new("chain").long("chain").action(ArgAction::Append).num_args(1..);
        command.arg(chain.value_names(["NAME", "ARG"]).allow_negative_numbers(true).help(
            "A task that runs next, with the result before its own arguments; once for each \
             further step",
        ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Chain {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let steps = matches.get_occurrences::<String>("chain").into_iter().flatten();
        Ok(Chain(steps.map(|words| words.cloned().collect()).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// When a message is not wanted any more.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    After(Duration),
    At(jiff::Timestamp),
}

/// Sends it; prints the id or the result.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let steps = steps(args)?;
    if args.wait && settings.results.is_none() {
        let fault = Fault::usage("there is no result to wait for: the result backend is disabled");
        return Err(fault.help("name one with --result-backend, or leave --wait out").into());
    }
    super::small_runtime()?.block_on(send(settings, args, steps))
}

async fn send(settings: &Settings, args: &Args, mut steps: Vec<Map>) -> anyhow::Result<ExitCode> {
    let wiring::Ends { broker, store } = wiring::connect(settings, args.wait).await?;
    if let Some(store) = &store
        && let Some(reply_to) = store.reply_to().await?
    {
        for step in &mut steps {
            set_option(step, "reply_to", reply_to.clone());
        }
    }
    let plan = plan(settings, steps)?;
    let id = last_id(&plan).context("nothing was sent")?;
    publish(broker.as_ref(), plan).await?;
    let done = match store {
        None if settings.json => out::json(&json!({ "id": id })).map_err(Into::into),
        None => out::line(&id).map_err(Into::into),
        Some(store) => {
            let outcome = waiting::wait(store.as_ref(), &id, args.timeout).await;
            store.close().await;
            broker.close().await;
            return waiting::finish(settings, outcome?, &id, args.timeout, args.output.as_deref());
        }
    };
    broker.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

/// What is sent, as a client of Celery would send it.
fn plan(settings: &Settings, mut steps: Vec<Map>) -> Result<Plan, Fault> {
    let whole = match steps.len() {
        1 => steps.remove(0),
        _ => {
            let tasks = steps.into_iter().map(Value::Map).collect();
            let mut chain = signature(CHAIN, Vec::new(), [("tasks".to_owned(), tasks)].into());
            chain.insert("subtask_type".to_owned(), "chain".into());
            chain
        }
    };
    let config = wiring::worker_config(settings);
    let mut sender = Sender {
        parent: None,
        origin: &client_origin(std::process::id(), &host_name()),
        now: jiff::Timestamp::now(),
        route: &|task| config.route(task),
        ids: &mut || uuid::Uuid::new_v4().to_string(),
        content: Content::default(),
    };
    let plan = canvas::apply(&Value::Map(whole), &[], &Map::new(), &mut sender);
    plan.map_err(|error| Fault::failure(format!("this cannot be sent: {error}")))
}

/// The id of what comes last: its result is everybody's.
fn last_id(plan: &Plan) -> Option<String> {
    let tuple = plan.result.as_ref()?.as_list()?.first()?.as_list()?;
    tuple.first()?.as_str().map(str::to_owned)
}

async fn publish(broker: &dyn Broker, plan: Plan) -> anyhow::Result<()> {
    for step in plan.steps {
        // A chain of tasks has no groups to be noted.
        if let Step::Send { route, message } = step {
            let mut raw = message.encode();
            raw.properties.expiration = message.expiration(jiff::Timestamp::now());
            broker.publish(&route, &raw).await?;
        }
    }
    Ok(())
}

/// The signature of each step, in order.
fn steps(args: &Args) -> Result<Vec<Map>, Fault> {
    let first = match &args.array {
        Some(array) if !is_array(array) => {
            return Err(Fault::usage("--args is not a JSON array")
                .help("write for example --args '[2, 3]', or just: umbel call NAME 2 3"));
        }
        Some(array) => std::slice::from_ref(array),
        None => args.args.as_slice(),
    };
    let first = arguments::read(first, args.kwargs.as_deref())?;
    let mut steps = vec![signature(&args.name, first.args, first.kwargs)];
    for words in &args.chain.0 {
        let (name, texts) = words.split_first().expect("clap asks for one at least");
        let arguments = arguments::read(texts, None)?;
        steps.push(signature(name, arguments.args, arguments.kwargs));
    }
    for step in &mut steps {
        for (key, value) in common_options(args) {
            set_option(step, key, value);
        }
    }
    let eta = args.eta.map(|at| ("eta", Value::from(isoformat(at))));
    let countdown = args.countdown.map(|time| ("countdown", time.as_secs_f64().into()));
    if let (Some((key, value)), Some(first)) = (eta.or(countdown), steps.first_mut()) {
        set_option(first, key, value);
    }
    if let (false, Some(last)) = (args.link.is_empty(), steps.last_mut()) {
        set_option(last, "link", signatures(&args.link));
    }
    Ok(steps)
}

/// What every step is told.
fn common_options(args: &Args) -> Vec<(&'static str, Value)> {
    let text = |text: &Option<String>| text.as_ref().map(|text| Value::from(text.as_str()));
    let expires = args.expires.map(|expires| match expires {
        Expiry::After(time) => Value::from(time.as_secs_f64()),
        Expiry::At(moment) => Value::from(isoformat(moment)),
    });
    let errbacks = (!args.link_error.is_empty()).then(|| signatures(&args.link_error));
    [
        ("queue", text(&args.queue)),
        ("priority", args.priority.map(|priority| Value::Int(priority.into()))),
        ("serializer", text(&args.serializer)),
        ("compression", text(&args.compression)),
        ("expires", expires),
        ("link_error", errbacks),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn signature(task: &str, args: Vec<Value>, kwargs: Map) -> Map {
    let fields: [(&str, Value); 6] = [
        ("task", task.into()),
        ("args", args.into()),
        ("kwargs", kwargs.into()),
        ("options", Map::new().into()),
        ("subtask_type", Value::Null),
        ("immutable", false.into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn signatures(names: &[String]) -> Value {
    names.iter().map(|name| Value::Map(signature(name, Vec::new(), Map::new()))).collect()
}

fn set_option(signature: &mut Map, key: &str, value: impl Into<Value>) {
    if let Some(Value::Map(options)) = signature.get_mut("options") {
        options.insert(key.to_owned(), value.into());
    }
}

fn is_array(text: &str) -> bool {
    matches!(Value::from_json(text.as_bytes()), Ok(Value::List(_)))
}

/// A moment in ISO 8601; without an offset it is local time.
fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let local = text.parse::<DateTime>().ok();
    let moment = local.and_then(|local| local.to_zoned(TimeZone::system()).ok());
    moment.map(|moment| moment.timestamp()).ok_or_else(|| {
        format!("`{text}` is no moment: write for example 2030-01-31T12:00:00Z, or local time")
    })
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match moment(text) {
        Ok(moment) => Ok(Expiry::At(moment)),
        Err(_) => celerys_duration(text).map(Expiry::After),
    }
}

/// Not one that workers and clients use among themselves.
fn queue_name(text: &str) -> Result<String, String> {
    match is_reserved_queue(text) {
        true => Err(format!("`{text}` is not for tasks: remote control, events or replies use it")),
        false => Ok(text.to_owned()),
    }
}

fn priority(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| format!("`{text}` is no priority: write a number from 0 to 255"))
}

fn serializer_name(text: &str) -> Result<String, String> {
    serializer(text).map(|serializer| serializer.as_str().to_owned())
}

fn compression_name(text: &str) -> Result<String, String> {
    compression(text).map(|_| text.to_owned())
}
