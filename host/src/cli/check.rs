//! `umbel check`: load without running, show what there is.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use umbel_engine::{LoadError, LoadedTask, Needs, Plugin};
use umbel_task::policy::{Acks, TaskPolicy};
use umbel_task::runner::Task;

use super::banner::limits;
use super::bill;
use crate::fault::{Code, redact};
use crate::settings::units::{about_size, show_duration, show_rate, show_size};
use crate::settings::{Settings, variable};
use crate::{compiling, loading, out, privileges};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Component files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Checks each file, then all of them together.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let wanted: Vec<_> = args.files.iter().map(|file| loading::wanted(settings, file)).collect();
    let sources = loading::sources(&wanted);
    let cache = privileges::cache_folder(settings.cache.as_deref(), None, &variable)?;
    let engine = loading::engine(&sources, 1, cache, compiling::start(settings.compile)?)?;
    let mut plugins = Vec::new();
    let mut report = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    for (wanted, loaded) in wanted.into_iter().zip(loading::load(&engine, &sources)) {
        let file = wanted.source.file.display().to_string();
        match loaded {
            Ok(plugin) => {
                if !settings.json {
                    out::line(&describe(&file, &plugin))?;
                }
                report.push(plugin_json(&file, &plugin));
                plugins.push((wanted.owner, plugin));
            }
            Err(error) => {
                report.push(refused_json(&file, &error));
                problems.push(redact(&error.to_string()));
            }
        }
    }
    if let Err(error) = loading::together(plugins) {
        problems.push(error.to_string());
    }
    if settings.json {
        out::json(&json!({ "plugins": report, "problems": problems }))?;
    } else {
        for problem in &problems {
            out::note(&format!("error: {problem}"));
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { Code::Failure.into() })
}

/// A plugin for people. What all its tasks have in common is said once, after them.
pub(super) fn describe(file: &str, plugin: &Plugin) -> String {
    let cached = if plugin.from_cache { "compiled code from the cache" } else { "compiled now" };
    let count = match plugin.tasks.len() {
        0 => "no task".to_owned(),
        1 => "1 task".to_owned(),
        several => format!("{several} tasks"),
    };
    let (version, size) = (&plugin.version, about_size(plugin.size));
    let mut text = format!("{file}: plugin {version}, {count}, {size}, {cached}\n");
    let starts = Shared::of(plugin.tasks.iter().map(|task| start_text(task)));
    let limits = Shared::of(plugin.tasks.iter().map(|task| bill::limits_line(task.policy())));
    for (at, task) in plugin.tasks.iter().enumerate() {
        text += &task_text(task, "  ");
        text += &starts.own(at, "      starts with ");
        text += &limits.own(at, "      limits ");
    }
    text += &starts.common("  starts with ");
    text += &limits.common("  limits ");
    for (function, why) in &plugin.skipped {
        text += &format!("  not a task: {function}: {why}\n");
    }
    text += &imports_text(&plugin.needs);
    let grants = plugin.tasks.first().map(|task| task.grants().to_string()).unwrap_or_default();
    for grant in grants.split_whitespace() {
        text += &format!("  granted {grant}\n");
    }
    text.trim_end().to_owned()
}

/// Lines, one for each task, that may all be the same.
enum Shared {
    One(String),
    Each(Vec<String>),
}

impl Shared {
    fn of(lines: impl Iterator<Item = String>) -> Self {
        let mut lines: Vec<String> = lines.collect();
        match lines.split_first() {
            Some((first, rest)) if rest.iter().all(|line| line == first) => {
                Self::One(lines.swap_remove(0))
            }
            _ => Self::Each(lines),
        }
    }

    fn own(&self, at: usize, head: &str) -> String {
        match self {
            Self::One(_) => String::new(),
            Self::Each(lines) => format!("{head}{}\n", lines[at]),
        }
    }

    fn common(&self, head: &str) -> String {
        match self {
            Self::One(line) => format!("{head}{line}\n"),
            Self::Each(_) => String::new(),
        }
    }
}

/// One line for the interfaces of a package that need the same grants.
fn imports_text(needs: &[Needs]) -> String {
    let mut lines: Vec<(String, String, Vec<&str>)> = Vec::new();
    for need in needs {
        let (name, version) = need.import.split_once('@').unwrap_or((need.import.as_str(), ""));
        let (package, interface) = name.split_once('/').unwrap_or((name, ""));
        let package = match version {
            "" => package.to_owned(),
            version => format!("{package}@{version}"),
        };
        let grant = grant_text(need);
        match lines.iter_mut().find(|line| line.0 == package && line.1 == grant) {
            Some((_, _, interfaces)) => interfaces.push(interface),
            None => lines.push((package, grant, vec![interface])),
        }
    }
    let line = |(package, grant, interfaces): &(String, String, Vec<&str>)| {
        let line = format!("  imports {package} {}{grant}", interfaces.join(", "));
        format!("{}\n", line.trim_end())
    };
    lines.iter().map(line).collect()
}

/// What an operator has to do with an import, if anything.
fn grant_text(need: &Needs) -> String {
    match (need.granted, need.grants) {
        (Some(key), _) => format!("   granted by `{key}`"),
        (None, []) => String::new(),
        (None, keys) => {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("   nothing there without {}", keys.join(" or "))
        }
    }
}

pub(super) fn task_text(task: &LoadedTask, indent: &str) -> String {
    let signature = task.signature();
    let (limits, version) = (limits(task), task.version());
    let mut text = format!("{indent}{signature}   {limits}   {version}\n");
    text += &format!("{indent}    {}\n", signature.wit());
    for line in signature.docs.lines().filter(|line| !line.trim().is_empty()) {
        text += &format!("{indent}    {}\n", line.trim());
    }
    text
}

/// What a run has before its first instruction, each amount beside its limit.
fn start_text(task: &LoadedTask) -> String {
    let Some(start) = task.start() else { return "what is only known when it runs".to_owned() };
    let limits = &task.policy().sandbox;
    format!(
        "memory {} of {}, memories {} of {}, tables {} of {}, table-elements {} of {}",
        about_size(start.memory),
        show_size(limits.memory),
        start.memories,
        limits.memories,
        start.tables,
        limits.tables,
        start.table_elements,
        limits.table_elements
    )
}

pub(super) fn refused_json(file: &str, error: &LoadError) -> Value {
    json!({ "file": file, "digest": error.digest(), "problem": redact(&error.to_string()) })
}

pub(super) fn plugin_json(file: &str, plugin: &Plugin) -> Value {
    json!({
        "file": file,
        "plugin": plugin.version.plugin.as_ref(),
        "digest": plugin.version.digest.as_ref(),
        "from_cache": plugin.from_cache,
        "tasks": plugin.tasks.iter().map(|task| task_json(task)).collect::<Vec<_>>(),
        "skipped": plugin.skipped.iter().map(|(function, why)| json!({
            "function": function,
            "why": why,
        })).collect::<Vec<_>>(),
        "imports": plugin.imports,
        "size": plugin.size,
        "needs": plugin.needs.iter().map(|need| json!({
            "import": need.import,
            "grants": need.grants,
            "granted": need.granted,
        })).collect::<Vec<_>>(),
    })
}

pub(super) fn task_json(task: &LoadedTask) -> Value {
    let signature = task.signature();
    let TaskPolicy { sandbox, handling } = task.policy();
    let params = signature.params.iter().map(|param| {
        json!({
            "name": param.name,
            "wit": param.wit,
            "python": param.python,
            "optional": param.optional,
        })
    });
    json!({
        "name": signature.name.as_str(),
        "signature": signature.to_string(),
        "function": signature.function,
        "wit": signature.wit(),
        "async": signature.is_async,
        "plugin": task.version().to_string(),
        "digest": task.version().digest.as_ref(),
        "docs": signature.docs,
        "params": params.collect::<Vec<_>>(),
        "result": signature.result,
        "acks": match handling.acks {
            Acks::Late => "late",
            Acks::Early => "early",
        },
        "rate_limit": handling.rate_limit.map(show_rate),
        "submit": handling.submit.names,
        "amounts": bill::limits(task.policy()),
        "grants": task.grants().to_string(),
        "limits": {
            "time": show_duration(sandbox.time),
            "soft_time": sandbox.soft_time.map(show_duration),
            "memory": show_size(sandbox.memory),
            "fuel": sandbox.fuel,
            "output": show_size(sandbox.output),
            "log": show_size(sandbox.log),
            "deliveries": handling.deliveries,
            "concurrency": handling.concurrency,
            "plugin_concurrency": handling.plugin_concurrency,
        },
    })
}
