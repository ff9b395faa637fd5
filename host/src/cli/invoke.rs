//! `umbel invoke`: one run without a broker, or many of them, with its bill.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use umbel_engine::{LoadedTask, Plugin, PluginSource, Profiler};
use umbel_protocol::canvas::{names, result_tuple};
use umbel_task::call::Call;
use umbel_task::outcome::{Ended, Outcome};
use umbel_task::policy::Submit;
use umbel_task::runner::{Level, LogLine, Outbox, OutboxError, Source, Submission, Task};
use umbel_value::Value;

use super::arguments::{self, Arguments};
use super::times::Times;
use super::{bill, endings, render};
use crate::fault::{Code, Fault};
use crate::out::Progress;
use crate::settings::{Changes, Settings, nearest, variable};
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

    /// Run it so many times, or until it fails, and print how long that took: p50, p90, p99 and the
    /// longest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// Set a limit of this run, whatever the configuration says: the name of a limit and its value,
    /// memory=64MiB; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,

    /// Write where the task's CPU time goes, by its own functions, to this file (RUN.cpuprofile); to
    /// look at it, open <https://profiler.firefox.com> and drop the file there
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Runs it and prints result and bill.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let Arguments { args: positional, kwargs } =
        arguments::read(&args.args, args.kwargs.as_deref())?;
    let mut source = loading::source(settings, &args.file);
    override_limits(&mut source, &Changes::limits(&args.limit)?);
    let sources = [source];
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
    let profiler = args.profile.is_some().then(|| Arc::new(task.profiler()));
    let (ended, times) = run_often(&task, &call, args.repeat.unwrap_or(1), profiler.as_ref())?;
    engine.close();
    if let Some((path, profiler)) = args.profile.as_deref().zip(profiler) {
        keep(&profiler, path)?;
    }
    let times = args.repeat.is_some().then_some(times);
    if settings.json {
        let mut report = report(&task, &ended);
        if let Some(times) = times {
            report["repeat"] = times.json();
        }
        out::json(&report)?;
        return Ok(exit(&ended.outcome));
    }
    match &ended.outcome {
        Outcome::Done(value) => render::value(value, args.output.as_deref())?,
        other => out::note(&endings::told(other)),
    }
    out::note(&bill::text(&ended.cost, task.policy()));
    if let Some(times) = times {
        out::note(&times.text());
    }
    Ok(exit(&ended.outcome))
}

/// Runs it so many times, or until it fails once; gives the last end.
fn run_often(
    task: &Arc<LoadedTask>,
    call: &Call,
    repeat: u32,
    profiler: Option<&Arc<Profiler>>,
) -> anyhow::Result<(Ended, Times)> {
    let runtime = super::small_runtime()?;
    let mut times = Times::default();
    loop {
        let again = times.runs() > 0;
        let run = run_once(Arc::clone(task), call.clone(), again, profiler.cloned());
        let ended = runtime.block_on(run)?;
        times.add(&ended.cost);
        if times.runs() >= repeat as usize || !is_success(&ended.outcome) {
            return Ok((ended, times));
        }
    }
}

/// Puts limits from the command line in the place of those that all its tasks have.
fn override_limits(source: &mut PluginSource, limits: &Changes) {
    let own = source.tasks.iter_mut().map(|(_, policy)| policy);
    for policy in own.chain([&mut source.policy]) {
        *policy = limits.over(policy);
    }
}

/// Writes the profile to its file.
fn keep(profiler: &Profiler, path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, profiler.json().to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    let path = path.display();
    out::note(&format!("profile: {path}; open https://profiler.firefox.com and drop it there"));
    Ok(())
}

/// `again`: what the task says was said before.
async fn run_once(
    task: Arc<LoadedTask>,
    call: Call,
    again: bool,
    profiler: Option<Arc<Profiler>>,
) -> anyhow::Result<Ended> {
    let stop = CancellationToken::new();
    let mut progress = Progress::new();
    let name = call.name.clone();
    let console = Console { submit: task.policy().handling.submit.clone(), silent: again };
    let running = task.run_profiled(call, Arc::new(console), stop.clone(), profiler);
    let mut running = std::pin::pin!(running);
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

fn is_success(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done(_) | Outcome::Ignored)
}

fn exit(outcome: &Outcome) -> ExitCode {
    if is_success(outcome) { ExitCode::SUCCESS } else { Code::Failure.into() }
}

fn report(task: &LoadedTask, ended: &Ended) -> serde_json::Value {
    let result = match &ended.outcome {
        Outcome::Done(value) => json!({ "state": "SUCCESS", "result": render::json(value) }),
        Outcome::Ignored => json!({ "state": "IGNORED" }),
        Outcome::Retry { .. } => {
            json!({ "state": "RETRY", "error": endings::explain(&ended.outcome) })
        }
        other => json!({ "state": "FAILURE", "error": endings::explain(other) }),
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
    silent: bool,
}

impl Console {
    fn note(&self, text: &str) {
        if !self.silent {
            out::note(text);
        }
    }

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
        self.note(&format!("[{state}] {}", meta.to_json()));
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
        // Line ends come escaped, for logs; here a traceback is to be read.
        let message = line.message.replace("\\n", "\n  ");
        self.note(&format!("[{door}] {message}{fields}"));
    }

    fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        if !self.submit.allows(&task.name) {
            return Err(OutboxError::Denied(task.name));
        }
        let (args, kwargs) = (Value::List(task.args), Value::Map(task.kwargs));
        self.note(&format!("[submit] {} {} {}", task.name, args.to_json(), kwargs.to_json()));
        Ok(uuid::Uuid::new_v4().to_string())
    }

    fn apply(&self, signature: Value, args: Vec<Value>) -> Result<Value, OutboxError> {
        self.check(&signature)?;
        let args = Value::List(args).to_json();
        self.note(&format!("[apply] {} {args}", signature.to_json()));
        Ok(result_tuple(&uuid::Uuid::new_v4().to_string()))
    }

    fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        self.check(&signature)?;
        self.note(&format!("[replace] {}", signature.to_json()));
        Ok(())
    }

    fn add_to_chord(&self, _: Value) -> Result<Value, OutboxError> {
        Err(OutboxError::Invalid("this run is no part of a chord".to_owned()))
    }
}
