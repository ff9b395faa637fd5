//! `umbel invoke`: one run without a broker, with its bill.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use umbel_engine::{LoadedTask, Plugin};
use umbel_protocol::canvas::{names, result_tuple};
use umbel_task::call::Call;
use umbel_task::outcome::{Ended, Failure, Kind, Limit, Outcome, Traceback};
use umbel_task::policy::Submit;
use umbel_task::runner::{Level, LogLine, Outbox, OutboxError, Source, Submission, Task};
use umbel_value::Value;

use super::arguments::{self, Arguments};
use super::{bill, render};
use crate::fault::{Code, Fault};
use crate::out::Progress;
use crate::settings::units::{show_duration, show_size};
use crate::settings::{Settings, nearest, variable};
use crate::{compiling, loading, out, privileges};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,

    /// The task: its function (`make-thumb`, `make_thumb`) or its full name
    task: String,

    /// Arguments: one JSON array, or one value each (JSON, name=value, @FILE for a file's content,
    /// anything else is text)
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Keyword arguments, a JSON object
    #[arg(short, long, value_name = "JSON")]
    kwargs: Option<String>,

    /// Write the result here: bytes and text as they are, anything else as JSON
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs it and prints result and bill.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let Arguments { args: positional, kwargs } =
        arguments::read(&args.args, args.kwargs.as_deref())?;
    let sources = [loading::source(settings, &args.file)];
    let cache = privileges::cache_folder(settings.cache.as_deref(), None, &variable)?;
    let engine = loading::engine(&sources, 1, cache, compiling::start(settings.compile)?)?;
    let plugin = match loading::load(&engine, &sources).pop() {
        Some(loaded) => loaded?,
        None => return Err(Fault::failure("the engine loaded nothing").into()),
    };
    let task = find(&plugin, &args.task)?;
    let id = uuid::Uuid::new_v4().to_string();
    let call = Call {
        name: task.signature().name.to_string(),
        args: positional,
        kwargs,
        root_id: id.clone(),
        correlation_id: id.clone(),
        id,
        ..Call::default()
    };
    let runtime = super::small_runtime()?;
    let ended = runtime.block_on(run_once(Arc::clone(&task), call))?;
    engine.close();
    if settings.json {
        out::json(&report(&task, &ended))?;
        return Ok(exit(&ended.outcome));
    }
    match &ended.outcome {
        Outcome::Done(value) => render::value(value, args.output.as_deref())?,
        other => out::note(&explain(other)),
    }
    out::note(&bill::text(&ended.cost, task.policy()));
    Ok(exit(&ended.outcome))
}

async fn run_once(task: Arc<LoadedTask>, call: Call) -> anyhow::Result<Ended> {
    let stop = CancellationToken::new();
    let mut progress = Progress::new();
    let name = call.name.clone();
    let console = Console { submit: task.policy().handling.submit.clone() };
    let mut running = std::pin::pin!(task.run(call, Arc::new(console), stop.clone()));
    let mut ticks = tokio::time::interval(Progress::TICK);
    ticks.tick().await;
    loop {
        tokio::select! {
            ended = &mut running => {
                progress.clear();
                return Ok(ended);
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("cannot catch signals")?;
                stop.cancel();
            }
            _ = ticks.tick() => progress.tell(&format!("running {name}")),
        }
    }
}

fn find(plugin: &Plugin, wanted: &str) -> Result<Arc<LoadedTask>, Fault> {
    let same = |one: &str, other: &str| one.replace('-', "_") == other.replace('-', "_");
    let found = plugin.tasks.iter().find(|task| {
        let signature = task.signature();
        signature.name.as_str() == wanted || same(&signature.function, wanted)
    });
    let by_end = || {
        plugin.tasks.iter().find(|task| {
            let name = task.signature().name.as_str();
            name.rsplit('.').next().is_some_and(|end| same(end, wanted))
        })
    };
    if let Some(task) = found.or_else(by_end) {
        return Ok(Arc::clone(task));
    }
    let names: Vec<&str> = plugin.tasks.iter().map(|task| task.signature().name.as_str()).collect();
    let ends: Vec<&str> = names.iter().filter_map(|name| name.rsplit('.').next()).collect();
    let fault = Fault::usage(format!("plugin `{}` has no task `{wanted}`", plugin.version.plugin));
    Err(match nearest(wanted, &names).or_else(|| nearest(&wanted.replace('-', "_"), &ends)) {
        Some(nearest) => fault.help(format!("did you mean `{nearest}`?")),
        None => fault.help(format!("it has: {}", names.join(", "))),
    })
}

fn exit(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Done(_) | Outcome::Ignored => ExitCode::SUCCESS,
        _ => Code::Failure.into(),
    }
}

/// An ending that is no value, as Python would print it.
fn explain(outcome: &Outcome) -> String {
    let (traceback, what): (&Traceback, String) = match outcome {
        Outcome::Done(value) => (&None, value.to_json()),
        Outcome::Failed(failure) => (&failure.traceback, describe(failure)),
        Outcome::Retry { cause, after, max } => {
            let mut what = "Retry: the task asks to be run again".to_owned();
            if let Some(after) = after {
                what += &format!(" in {}", show_duration(*after));
            }
            if let Some(max) = max {
                what += &format!(", {max} times at most");
            }
            if let Some(cause) = cause {
                what += &format!(": {}", describe(cause));
            }
            (&None, what)
        }
        Outcome::Rejected { requeue } => (&None, format!("Reject: requeue={requeue}")),
        Outcome::Ignored => (&None, "Ignore: the task wants neither result nor retry".to_owned()),
        Outcome::OverLimit(limit, traceback) => (traceback, over(limit)),
        Outcome::Crashed { reason, traceback } => (traceback, format!("TaskTrap: {reason}")),
        Outcome::Denied { what, traceback } => (traceback, format!("PermissionError: {what}")),
        Outcome::Stopped => (&None, "interrupted".to_owned()),
    };
    match traceback {
        Some(traceback) => format!("{}\n{what}", traceback.trim_end()),
        None => what,
    }
}

fn describe(failure: &Failure) -> String {
    let kind = match &failure.kind {
        Kind::Builtin(name) | Kind::Own(name) => (*name).to_owned(),
        Kind::Guest(name) => name.chars().filter(|c| !c.is_control()).take(100).collect(),
    };
    let args = failure.args.clone();
    render::exception(&umbel_protocol::record::Exception { kind, args, module: None })
}

fn over(limit: &Limit) -> String {
    match limit {
        Limit::Time(time) => format!("TimeLimitExceeded: {}", show_duration(*time)),
        Limit::Cpu(time) => format!("TimeLimitExceeded: {} of CPU time", show_duration(*time)),
        Limit::SoftTime(time) => format!("SoftTimeLimitExceeded: {}", show_duration(*time)),
        Limit::Memory(bytes) => format!("MemoryError: more than {}", show_size(*bytes)),
        Limit::Fuel(fuel) => format!("FuelExhausted: more than {fuel}"),
        Limit::Output(bytes) => {
            format!("OutputTooLarge: the result has more than {}", show_size(*bytes))
        }
        Limit::Stack(bytes) => format!("TaskTrap: stack overflow at {}", show_size(*bytes)),
        Limit::HostCalls(which) => format!("TaskTrap: {which}"),
    }
}

fn report(task: &LoadedTask, ended: &Ended) -> serde_json::Value {
    let result = match &ended.outcome {
        Outcome::Done(value) => json!({ "state": "SUCCESS", "result": render::json(value) }),
        Outcome::Ignored => json!({ "state": "IGNORED" }),
        Outcome::Retry { .. } => json!({ "state": "RETRY", "error": explain(&ended.outcome) }),
        other => json!({ "state": "FAILURE", "error": explain(other) }),
    };
    json!({
        "task": task.signature().name.as_str(),
        "plugin": task.version().to_string(),
        "ending": result,
        "bill": bill::used(&ended.cost, task.policy()),
        "limits": bill::limits(task.policy()),
    })
}

/// What a task says, on stderr. Nothing is sent from here; what the task may not send is refused as
/// a worker would.
struct Console {
    submit: Submit,
}

impl Console {
    fn check(&self, signature: &Value) -> Result<(), OutboxError> {
        let denied = names(signature).into_iter().find(|name| !self.submit.allows(name));
        denied.map_or(Ok(()), |name| Err(OutboxError::Denied(name)))
    }
}

impl Outbox for Console {
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError> {
        const CELERYS: [&str; 7] =
            ["PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "RETRY"];
        if CELERYS.contains(&state.as_str()) {
            return Err(OutboxError::State(state));
        }
        out::note(&format!("[{state}] {}", meta.to_json()));
        Ok(())
    }

    fn log(&self, line: LogLine) {
        let door = match (line.from, line.level) {
            (Source::Stdout, _) => "stdout",
            (Source::Stderr, _) => "stderr",
            (Source::Log, Level::Debug) => "debug",
            (Source::Log, Level::Info) => "info",
            (Source::Log, Level::Warning) => "warning",
            (Source::Log, Level::Error) => "error",
        };
        let fields = match &line.fields {
            Value::Null => String::new(),
            fields => format!(" {}", fields.to_json()),
        };
        out::note(&format!("[{door}] {}{fields}", line.message));
    }

    fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        if !self.submit.allows(&task.name) {
            return Err(OutboxError::Denied(task.name));
        }
        let (args, kwargs) = (Value::List(task.args), Value::Map(task.kwargs));
        out::note(&format!("[submit] {} {} {}", task.name, args.to_json(), kwargs.to_json()));
        Ok(uuid::Uuid::new_v4().to_string())
    }

    fn apply(&self, signature: Value, args: Vec<Value>) -> Result<Value, OutboxError> {
        self.check(&signature)?;
        let args = Value::List(args).to_json();
        out::note(&format!("[apply] {} {args}", signature.to_json()));
        Ok(result_tuple(&uuid::Uuid::new_v4().to_string()))
    }

    fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        self.check(&signature)?;
        out::note(&format!("[replace] {}", signature.to_json()));
        Ok(())
    }

    fn add_to_chord(&self, _: Value) -> Result<Value, OutboxError> {
        Err(OutboxError::Invalid("this run is no part of a chord".to_owned()))
    }
}
