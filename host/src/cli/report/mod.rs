//! `umbel report`: everything a bug report needs, and no secret.

mod machine;
mod plugins;
mod servers;

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::fault::{Fault, redact, render};
use crate::settings::units::about_size;
use crate::settings::{Settings, variable};
use crate::{out, privileges};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave out what takes time: load no plugin, ask no server
    #[arg(long)]
    quick: bool,
}

/// Prints all sections; what cannot be told says why.
pub(super) fn run(
    settings: Result<Settings, Fault>,
    args: &Args,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut sections = vec![
        ("umbel", build()),
        ("system", machine::system()),
        ("limits", machine::limits()),
        ("hardening", json!(crate::hardening::available().to_string())),
    ];
    match settings {
        Ok(settings) => {
            super::quiet_log(&settings);
            sections.push(("configuration", configuration(&settings)));
            if !args.quick {
                sections.push(("servers", servers::ask(&settings)?));
                sections.push(("plugins", plugins::load(&settings, json)));
            }
            // What was just compiled is in it.
            sections.push(("cache", cache(&settings)));
        }
        Err(fault) => {
            sections.push(("configuration", json!({ "problem": redact(&fault.to_string()) })));
        }
    }
    if json {
        let all: Map<String, Value> =
            sections.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        out::json(&all.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in &sections {
        out::line(&redact(&text(name, value, 0)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// This program.
fn build() -> Value {
    let program = std::env::current_exe().map(|path| path.display().to_string());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-{}-{}", std::env::consts::ARCH, std::env::consts::OS, libc()),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "features": if cfg!(feature = "opentelemetry") { vec!["opentelemetry"] } else { vec![] },
        "program": program.unwrap_or_else(|error| error.to_string()),
    })
}

/// The C library it was built for.
fn libc() -> &'static str {
    if cfg!(target_env = "musl") { "musl" } else { "gnu" }
}

/// Each value and where it came from; URLs are without their passwords.
fn configuration(settings: &Settings) -> Value {
    let shown = settings.shown.iter().map(|shown| {
        let value = json!({ "value": shown.value, "from": shown.origin.to_string() });
        (shown.key.to_owned(), value)
    });
    let file = settings.config_file.display().to_string();
    let tables = settings.plugins.iter().map(|table| table.name.as_str());
    json!({
        "file": if settings.has_file { file } else { format!("{file} (not there)") },
        "settings": Value::Object(shown.collect()),
        "plugin tables": tables.collect::<Vec<_>>(),
        "scheduled": settings.beat.entries.len(),
    })
}

fn cache(settings: &Settings) -> Value {
    match privileges::cache_folder(settings.cache.as_deref(), None, &variable) {
        Ok(Some(folder)) => {
            let (files, bytes) = size(&folder);
            json!({
                "folder": folder.display().to_string(),
                "files": files,
                "size": about_size(bytes),
                "bytes": bytes,
            })
        }
        Ok(None) => json!("none: no home folder"),
        Err(fault) => json!({ "problem": render(&fault.into()).trim() }),
    }
}

/// Files below a folder, and their bytes.
fn size(folder: &Path) -> (u64, u64) {
    let Ok(entries) = std::fs::read_dir(folder) else { return (0, 0) };
    entries.flatten().fold((0, 0), |(files, bytes), entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let (more, larger) = size(&entry.path());
            (files + more, bytes + larger)
        }
        Ok(metadata) => (files + 1, bytes + metadata.len()),
        Err(_) => (files, bytes),
    })
}

/// A value for people, under its name: a line, or lines that are set in.
fn text(name: &str, value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => match (map.get("value"), map.get("from")) {
            (Some(value), Some(from)) if map.len() == 2 => {
                format!("{indent}{name}: {}   ({})", plain(value), plain(from))
            }
            _ => {
                let inner = map.iter().map(|(name, value)| text(name, value, depth + 1));
                format!("{indent}{name}:\n{}", inner.collect::<Vec<_>>().join("\n"))
            }
        },
        Value::Array(items) if items.iter().any(|item| plain(item).contains('\n')) => {
            let inner = items.iter().map(|item| format!("\n{}", plain(item).trim_end()));
            let next = format!("\n{indent}  ");
            format!("{indent}{name}:{}", inner.collect::<String>().replace('\n', &next))
        }
        value => {
            let next = format!("\n{indent}  ");
            format!("{indent}{name}: {}", plain(value).trim_end().replace('\n', &next))
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
