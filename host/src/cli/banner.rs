//! What a worker says of itself at its start, in Celery's shape.

use std::fmt::Write;

use jiff::Zoned;
use umbel_engine::{Catalog, LoadedTask};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Runner, Task};

use crate::hardening::Hardening;
use crate::settings::Settings;
use crate::settings::units::{show_duration, show_rate, show_size};

/// The whole banner, the list of tasks included.
pub(super) fn banner(settings: &Settings, hardening: &Hardening, catalog: &Catalog) -> String {
    let system = rustix::system::uname();
    let platform = format!(
        "{}-{}-{}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy()
    );
    let results = settings.results.as_ref().map_or("disabled://".into(), ToString::to_string);
    let events = if settings.task_events { "ON" } else { "OFF" };
    let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let queues = settings.queues.iter().enumerate().map(|(at, queue)| {
        let head = if at == 0 { " -------------- [queues]\n" } else { "" };
        let (exchange, kind, key) = settings.amqp.binding(queue);
        let kind = kind.as_str();
        format!("{head}                .> {queue:<16} exchange={exchange}({kind}) key={key}\n")
    });
    let mut text = format!(
        " \n\
         \x20-------------- {node} v{version} (umbel)\n\
         --- ***** ----- \n\
         -- ******* ---- {platform} {now}\n\
         - *** --- * --- \n\
         - ** ---------- [config]\n\
         - ** ---------- .> plugins:     {plugins} ({count})\n\
         - ** ---------- .> transport:   {broker}\n\
         - ** ---------- .> results:     {results}\n\
         - *** --- * --- .> concurrency: {concurrency} (wasm)\n\
         - *** --- * --- .> hardening:   {hardening}\n\
         -- ******* ---- .> task events: {events}\n\
         --- ***** ----- \n\
         {queues}\n\
         [tasks]\n",
        node = settings.node,
        version = env!("CARGO_PKG_VERSION"),
        plugins = settings.plugin_folder.display(),
        count = catalog.plugins().len(),
        broker = settings.broker,
        concurrency = settings.concurrency,
        queues = queues.collect::<String>(),
    );
    text += &tasks(catalog);
    text
}

/// One line a task: what it takes and gives, and its limits.
pub(super) fn tasks(catalog: &Catalog) -> String {
    let tasks: Vec<_> =
        catalog.names().iter().filter_map(|name| catalog.task(name.as_str())).collect();
    let shown: Vec<String> = tasks.iter().map(|task| task.signature().to_string()).collect();
    let width = shown.iter().map(String::len).filter(|width| *width <= 72).max().unwrap_or(0);
    let mut text = String::new();
    for (task, signature) in tasks.iter().zip(shown) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  . {signature:width$}   {}", limits(task));
    }
    text
}

/// `5s 256MiB`, and whatever else limits or lets the task.
pub(super) fn limits(task: &LoadedTask) -> String {
    let TaskPolicy { sandbox, handling } = task.policy();
    let grants = task.grants().to_string();
    let submit = &handling.submit.names;
    let further = [
        sandbox.soft_time.map(|time| format!("soft:{}", show_duration(time))),
        sandbox.cpu.map(|time| format!("cpu:{}", show_duration(time))),
        sandbox.fuel.map(|fuel| format!("fuel:{fuel}")),
        handling.rate_limit.map(|rate| format!("rate:{}", show_rate(rate))),
        handling.concurrency.map(|number| format!("concurrency:{number}")),
        handling.plugin_concurrency.map(|number| format!("plugin-concurrency:{number}")),
        (!submit.is_empty()).then(|| format!("submit:{}", submit.join(","))),
        (!grants.is_empty()).then_some(grants),
    ];
    let mut text = format!("{} {}", show_duration(sandbox.time), show_size(sandbox.memory));
    for part in further.into_iter().flatten() {
        text += " ";
        text += &part;
    }
    text
}
