//! What remote control may ask of the plugins of a worker: to be read again, what they do, to go back.

use tracing::info;
use umbel_protocol::repr::repr;
use umbel_value::{Map, Value};

use super::commands::{error, ok};
use crate::worker::Worker;

/// Who keeps the plugins of a worker up to date. Nothing here waits for a plugin to load.
pub trait Plugins: Send + Sync {
    /// Asks for plugins and configuration to be read again.
    fn reload(&self);

    /// What serves, since when, what it did, and what was refused.
    fn report(&self) -> Value;

    /// Gives all messages of a plugin to the first of its versions. Says what follows from that, or
    /// why it cannot be.
    fn roll_back(&self, plugin: &str) -> Result<String, String>;
}

/// Celery's `pool_restart`: what it reloads there are modules, here plugins and configuration.
pub(crate) fn reload(worker: &Worker) -> Value {
    let Some(plugins) = &worker.plugins else {
        return error("ValueError('Pool restarts not enabled')");
    };
    info!("told to read plugins and configuration again by remote control");
    plugins.reload();
    ok("reload started")
}

pub(crate) fn report(worker: &Worker) -> Value {
    match &worker.plugins {
        Some(plugins) => plugins.report(),
        None => error("ValueError('this worker has no plugins')"),
    }
}

pub(crate) fn roll_back(worker: &Worker, arguments: &Map) -> Value {
    let Some(plugin) = arguments.get("plugin").and_then(Value::as_str) else {
        return error("TypeError(\"plugin_rollback() missing 1 required argument: 'plugin'\")");
    };
    let Some(plugins) = &worker.plugins else {
        return error("ValueError('this worker has no plugins')");
    };
    info!("told to roll {} back by remote control", repr(&plugin.into()));
    match plugins.roll_back(plugin) {
        Ok(what) => ok(what),
        Err(why) => error(why),
    }
}
