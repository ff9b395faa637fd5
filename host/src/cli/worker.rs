//! `umbel worker`: wire up, run, report what was left.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing::{info, warn};
use umbel_engine::Catalog;
use umbel_task::policy::{Acks, TaskPolicy};
use umbel_task::runner::{Runner, Task};
use umbel_transport::address::Scheme;
use umbel_worker::{Observer, Shutdown, Summary, Worker};

use super::banner;
use crate::fault::{Code, Fault};
use crate::hardening::Hardening;
use crate::http::Door;
use crate::loading::Wanted;
use crate::metrics::Monitor;
use crate::pidfile::Pidfile;
use crate::plugins::{Again, Keeper, Keeping};
use crate::privileges;
use crate::settings::units::show_duration;
use crate::settings::{LogFormat, Settings, variable};
use crate::signals::Signals;
use crate::traces::Traces;
use crate::{compiling, hardening, loading, memory, observers, out, telemetry, traces, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print each setting and where it came from, and end
    #[arg(long)]
    pub(super) show_config: bool,
}

/// Runs until a signal ends it.
pub(super) fn run(settings: &Settings, again: Again) -> anyhow::Result<ExitCode> {
    // First of all, while this is the only thread.
    let account = privileges::choose(settings)?;
    let door = settings.http.map(Door::take).transpose()?;
    let cache = privileges::cache_folder(settings.cache.as_deref(), account.as_ref(), &variable)?;
    let pidfile = match &settings.pidfile {
        Some(path) => Some(Pidfile::write(path, account.as_ref())?),
        None => None,
    };
    if let Some(account) = &account {
        privileges::become_account(account)?;
    }
    // It starts processes; we shall not be able to.
    let compiler = compiling::start(settings.compile)?;
    telemetry::start(settings.level, settings.log_format);
    allow_open_files();
    // One thread, this one: what a message needs of IO is little, and handing it from thread to
    // thread costs more than doing it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime for brokers")?;
    let wanted = loading::strict(loading::find(settings))?;
    let sources = loading::sources(&wanted);
    let ground = hardening::of_worker(settings, &sources, cache.as_deref());
    let hardening = hardening::harden(settings.hardening, &ground)?;
    let engine = loading::engine(&sources, wiring::most_at_once(settings), cache, compiler)?;
    let keeper = Keeper::new(settings, engine.clone(), again);
    let monitor = door.map(|door| -> anyhow::Result<_> {
        let monitor = Monitor::new(runtime.handle().clone(), keeper.view());
        door.open(Arc::clone(&monitor))?;
        Ok(monitor)
    });
    let monitor = monitor.transpose()?;
    let traces = traces::start(settings)?;
    let observers = traces.iter().map(Traces::observer).collect();
    let ended = serve(settings, &hardening, &runtime, keeper, wanted, monitor, observers);
    engine.close();
    if let Some(traces) = traces {
        traces.end();
    }
    // Whatever a guest or a server still holds must not keep the process alive.
    runtime.shutdown_background();
    drop(pidfile);
    let summary = ended?;
    info!("{summary}");
    Ok(if summary.stuck == 0 { ExitCode::SUCCESS } else { Code::Failure.into() })
}

/// Each plugin keeps the file of its code open: the usual 1024 would not do for a thousand of them.
fn allow_open_files() {
    const ENOUGH: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < most) {
        let wanted = Rlimit { current: Some(most), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            warn!("no more than {:?} files can be open: {error}", limit.current);
        }
    }
}

/// Loads, connects, works.
fn serve(
    settings: &Settings,
    hardening: &Hardening,
    runtime: &Runtime,
    mut keeper: Keeper,
    wanted: Vec<Wanted>,
    monitor: Option<Arc<Monitor>>,
    observers: Vec<Arc<dyn Observer>>,
) -> anyhow::Result<Summary> {
    // The broker is called while plugins load, and answered until they have: it would take silence for death.
    std::thread::scope(|scope| {
        let keeper = &mut keeper;
        let (done, loaded) = oneshot::channel::<()>();
        let loading = scope.spawn(move || {
            let _until_it_ends = done;
            first_load(settings, keeper, wanted)
        });
        let ends = runtime.block_on(async {
            let ends = wiring::connect(settings, true).await;
            let _ = loaded.await;
            ends
        });
        match loading.join() {
            Ok(loaded) => loaded.and(ends),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
    .and_then(|ends| {
        let catalog = keeper.catalog();
        if settings.log_format == LogFormat::Text {
            out::line(&banner::banner(settings, hardening, &catalog))?;
        }
        warn_of_consumer_timeout(settings, &catalog);
        let keeping = Arc::new(keeper.keep().context("cannot watch the plugins")?);
        let working = work(settings, ends, catalog, Arc::clone(&keeping), monitor, observers);
        let summary = runtime.block_on(working);
        keeping.stop();
        summary
    })
}

/// Loads every plugin; the first that does not load ends it, unless told to keep going.
fn first_load(settings: &Settings, keeper: &mut Keeper, wanted: Vec<Wanted>) -> anyhow::Result<()> {
    if wanted.is_empty() {
        let folder = settings.plugin_folder.display();
        warn!("no plugin in {folder}: every task will be refused as not registered");
    }
    let refused = keeper.first(wanted);
    if settings.keep_going {
        for refused in refused {
            tracing::error!("left out{refused}");
        }
        return Ok(());
    }
    several(refused.into_iter().map(|refused| refused.why).collect()).map_or(Ok(()), Err)
}

/// All refusals as one error.
fn several(mut refused: Vec<String>) -> Option<anyhow::Error> {
    if refused.len() <= 1 {
        return refused.pop().map(anyhow::Error::msg);
    }
    let mut what = format!("{} plugins do not load", refused.len());
    for error in &refused {
        what += &format!("\n{}", error.replace("\nhelp: ", "\n  way out: "));
    }
    let fault = Fault::failure(what);
    Some(fault.help("`--keep-going` starts without them").into())
}

/// RabbitMQ closes the channel of a consumer that keeps a message for longer than this, unless its
/// `consumer_timeout` says otherwise.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

fn warn_of_consumer_timeout(settings: &Settings, catalog: &Catalog) {
    if settings.broker.scheme != Scheme::Amqp {
        return;
    }
    let names = catalog.names();
    let tasks = names.iter().filter_map(|name| catalog.task(name.as_str()));
    let long = tasks.filter(|task| {
        let TaskPolicy { sandbox, handling } = task.policy();
        handling.acks == Acks::Late && sandbox.time > CONSUMER_TIMEOUT
    });
    if let Some(longest) = long.max_by_key(|task| task.policy().sandbox.time) {
        let (name, time) = (&longest.signature().name, longest.policy().sandbox.time);
        warn!(
            "{name} may run for {}, but RabbitMQ delivers a message again that is not acknowledged \
             within its `consumer_timeout` ({} unless it was raised): raise it, lower the task's \
             time limit, or acknowledge early",
            show_duration(time),
            show_duration(CONSUMER_TIMEOUT),
        );
    }
}

async fn work(
    settings: &Settings,
    ends: wiring::Ends,
    catalog: Arc<Catalog>,
    plugins: Arc<Keeping>,
    monitor: Option<Arc<Monitor>>,
    mut observers: Vec<Arc<dyn Observer>>,
) -> anyhow::Result<Summary> {
    let config = wiring::worker_config(settings);
    let shutdown = Shutdown::new();
    let signals = Signals::catch().context("cannot catch signals")?;
    info!("Connected to {}", settings.broker);
    let worker = Worker::new(config, ends.broker, ends.store, catalog);
    let node = &settings.node;
    let mut worker = worker.with_plugins(Arc::<Keeping>::clone(&plugins));
    if let Some(monitor) = &monitor {
        monitor.watch(worker.watch(), shutdown.clone());
        observers.push(Arc::<Monitor>::clone(monitor));
    }
    if let Some(observer) = observers::together(observers) {
        worker = worker.with_observer(observer);
    }
    let ready = || {
        if let Some(monitor) = &monitor {
            monitor.set_ready();
        }
        info!("{node} ready.");
    };
    let say = |text: &str| match settings.log_format {
        LogFormat::Text => out::note(text),
        LogFormat::Json => info!("{text}"),
    };
    tokio::select! {
        summary = worker.run(shutdown.clone(), ready) => Ok(summary?),
        () = signals.obey(shutdown, &*plugins, say) => leave(),
        never = memory::give_back() => match never {},
    }
}

/// The hard way out: what is in hand is delivered again.
#[expect(clippy::disallowed_methods, reason = "whatever still holds on must not hold us")]
fn leave() -> ! {
    std::process::exit(Code::Failure as i32)
}
