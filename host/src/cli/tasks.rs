//! `umbel tasks`: what the plugin folder offers, or what running workers serve.

use std::process::ExitCode;

use umbel_engine::LoadedTask;
use umbel_value::{Map, Value};

use super::asking::{self, Whom};
use super::check::{task_json, task_text};
use crate::fault::{Code, Fault, redact};
use crate::settings::{Settings, variable};
use crate::{compiling, loading, out, privileges};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask the running workers: which versions serve, since when, runs, failures, what was refused
    #[arg(short, long)]
    running: bool,

    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    if args.running { running(settings, &args.whom) } else { offered(settings) }
}

/// Lists what the plugin folder offers.
fn offered(settings: &Settings) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let wanted = loading::strict(loading::find(settings))?;
    let sources = loading::sources(&wanted);
    let cache = privileges::cache_folder(settings.cache.as_deref(), None, &variable)?;
    let engine = loading::engine(&sources, 1, cache, compiling::start(settings.compile)?)?;
    let mut plugins = Vec::new();
    let mut problems = 0;
    for (wanted, loaded) in wanted.into_iter().zip(loading::load(&engine, &sources)) {
        match loaded {
            Ok(plugin) => plugins.push((wanted.owner, plugin)),
            Err(error) => {
                problems += 1;
                out::note(&format!("error: {}", redact(&error.to_string())));
            }
        }
    }
    let plugins = loading::together(plugins)?.plugins();
    let mut tasks: Vec<&LoadedTask> =
        plugins.iter().flat_map(|plugin| plugin.tasks.iter().map(AsRef::as_ref)).collect();
    tasks.sort_by(|one, other| one.signature().name.cmp(&other.signature().name));
    if settings.json {
        out::json(&tasks.iter().map(|task| task_json(task)).collect())?;
    } else if tasks.is_empty() && problems == 0 {
        let folder = settings.plugin_folder.display();
        return Err(Fault::failure(format!("no component in {folder}"))
            .help("put components (NAME.wasm) there, or name another folder with --plugins")
            .into());
    } else {
        for task in tasks {
            out::line(task_text(task, "").trim_end())?;
        }
    }
    Ok(if problems == 0 { ExitCode::SUCCESS } else { Code::Failure.into() })
}

/// Lists what workers serve.
fn running(settings: &Settings, whom: &Whom) -> anyhow::Result<ExitCode> {
    let answers = asking::ask(settings, "plugins", Map::new(), whom)?;
    if settings.json {
        out::json(&asking::by_node(&answers))?;
        return Ok(ExitCode::SUCCESS);
    }
    for answer in &answers {
        out::line(&answer.node)?;
        if let Some(error) = text(&answer.value, "error") {
            out::line(&redact(&format!("  error: {error}")))?;
        }
        for plugin in list(&answer.value, "plugins") {
            out::line(&redact(plugin_text(plugin).trim_end()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn plugin_text(plugin: &Value) -> String {
    let field = |key| text(plugin, key).unwrap_or_default();
    let mut shown = match text(plugin, "version") {
        Some(version) => {
            let short = version.get(..12).unwrap_or(version);
            format!("  {}@{short}  since {}", field("plugin"), field("since"))
        }
        None => format!("  {}  not served", field("plugin")),
    };
    if let Some(weight) = plugin.get("weight").and_then(Value::as_u64) {
        shown += &format!("  weight {weight}");
    }
    shown += &format!("  {}\n", field("file"));
    for task in list(plugin, "tasks") {
        let count = |key| task.get(key).and_then(Value::as_u64).unwrap_or_default();
        let signature = text(task, "signature").unwrap_or_default();
        shown += &format!("    {signature}   {} runs, {} failed", count("runs"), count("failures"));
        match count("running") {
            0 => shown += "\n",
            running => shown += &format!(", {running} running\n"),
        }
    }
    if let Some(refused) = plugin.get("refused").filter(|refused| !refused.is_null()) {
        let field = |key| text(refused, key).unwrap_or_default();
        let why = field("why").replace('\n', "\n      ");
        let version = text(refused, "version").map(|version| format!(" (SHA-256 {version})"));
        let version = version.unwrap_or_default();
        shown += &format!("    refused {}{version}: {why}\n", field("at"));
    }
    shown
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_list).unwrap_or_default()
}
