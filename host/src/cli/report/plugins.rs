//! The plugins, loaded as a worker would load them: what they offer, what was refused and why.

use serde_json::{Value, json};

use super::super::check::{describe, plugin_json, refused_json};
use crate::fault::{redact, render};
use crate::settings::{Settings, variable};
use crate::{compiling, loading, privileges};

/// Every plugin that a worker with these settings would serve, as JSON or as lines for people.
pub(super) fn load(settings: &Settings, json: bool) -> Value {
    loaded(settings, json).unwrap_or_else(|error| json!({ "problem": render(&error).trim() }))
}

fn loaded(settings: &Settings, json: bool) -> anyhow::Result<Value> {
    let found = loading::find(settings);
    let missing = found.folder.iter().chain(&found.missing);
    let mut problems: Vec<String> = missing.map(|fault| redact(&fault.to_string())).collect();
    let sources = loading::sources(&found.wanted);
    let cache = privileges::cache_folder(settings.cache.as_deref(), None, &variable)?;
    let engine = loading::engine(&sources, 1, cache, compiling::start(settings.compile)?)?;
    let mut plugins = Vec::new();
    let mut told = Vec::new();
    for (wanted, loaded) in found.wanted.into_iter().zip(loading::load(&engine, &sources)) {
        let file = wanted.source.file.display().to_string();
        match loaded {
            Ok(plugin) => {
                told.push(match json {
                    true => plugin_json(&file, &plugin),
                    false => describe(&file, &plugin).into(),
                });
                plugins.push((wanted.owner, plugin));
            }
            Err(error) if json => told.push(refused_json(&file, &error)),
            Err(error) => told.push(redact(&error.to_string()).into()),
        }
    }
    if let Err(error) = loading::together(plugins) {
        problems.push(redact(&error.to_string()));
    }
    engine.close();
    if !json {
        told.extend(problems.into_iter().map(Value::from));
        return Ok(told.into());
    }
    Ok(json!({ "files": told, "problems": problems }))
}
