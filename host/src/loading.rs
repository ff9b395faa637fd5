//! Which component files there are, whose table each one has, and loading them side by side.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use umbel_engine::{Ceiling, Engine, EngineConfig, LoadError, Plugin, PluginSource};

use crate::fault::Fault;
use crate::out::Progress;
use crate::settings::{Origin, PluginTable, Settings, nearest};

/// Every plugin: the files of the folder, and those that a table of the configuration names.
pub(crate) fn sources(settings: &Settings) -> Result<Vec<PluginSource>, Fault> {
    let folder = &settings.plugin_folder;
    let mut files = components(settings, folder)?;
    for table in &settings.plugins {
        let file = match &table.source {
            Some(file) if file.is_file() => file.clone(),
            Some(file) => {
                let what = format!("plugin `{}`: there is no file {}", table.name, file.display());
                return Err(Fault::usage(what).help(format!(
                    "correct `source` in [plugins.{}], or build the plugin",
                    table.name
                )));
            }
            None => match files.iter().find(|file| stem(file) == table.name) {
                Some(_) => continue,
                None => return Err(nameless(settings, table, &files)),
            },
        };
        if !files.iter().any(|known| same(known, &file)) {
            files.push(file);
        }
    }
    Ok(files.iter().map(|file| source(settings, file)).collect())
}

/// One file with the table that belongs to it, or with the defaults.
pub(crate) fn source(settings: &Settings, file: &Path) -> PluginSource {
    let own = settings.plugins.iter().find(|table| match &table.source {
        Some(source) => same(source, file),
        None => stem(file) == table.name,
    });
    let mut source = PluginSource::file(file);
    source.policy = settings.policy.clone();
    if let Some(table) = own {
        source.name = Some(table.name.clone());
        source.prefix = table.prefix.clone();
        source.names = table.names.clone();
        source.policy = table.changes.over(&settings.policy);
        let tasks = table.tasks.iter();
        source.tasks =
            tasks.map(|(name, task)| (name.clone(), task.over(&source.policy))).collect();
    }
    source
}

/// An engine for these plugins.
pub(crate) fn engine(
    sources: &[PluginSource],
    concurrency: usize,
    cache: Option<PathBuf>,
) -> anyhow::Result<Engine> {
    let config = EngineConfig {
        cache,
        concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
        ceiling: Ceiling::over(sources),
        ..EngineConfig::default()
    };
    Engine::new(&config).context("cannot start the engine")
}

/// Loads them side by side, one thread a core; the answers are in the order of the sources.
pub(crate) fn load(engine: &Engine, sources: &[PluginSource]) -> Vec<Result<Plugin, LoadError>> {
    let mut progress = Progress::new();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(sources.len());
    if threads <= 1 && !progress.is_visible() {
        return sources.iter().map(|source| engine.load(source)).collect();
    }
    let next = AtomicUsize::new(0);
    let (done, answers) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, done) = (&next, done.clone());
            scope.spawn(move || {
                while let Some((at, source)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    sources.get(at).map(|source| (at, source))
                } {
                    // The receiver outlives every sender.
                    let _ = done.send((at, engine.load(source)));
                }
            });
        }
        drop(done);
        let mut loaded: Vec<Option<Result<Plugin, LoadError>>> = Vec::new();
        loaded.resize_with(sources.len(), || None);
        let mut count = 0;
        while count < sources.len() {
            match answers.recv_timeout(Progress::TICK) {
                Ok((at, answer)) => {
                    loaded[at] = Some(answer);
                    count += 1;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let waiting: Vec<&str> = sources
                        .iter()
                        .zip(&loaded)
                        .filter(|(_, loaded)| loaded.is_none())
                        .map(|(source, _)| stem(&source.file))
                        .collect();
                    progress.tell(&format!("compiling {}", waiting.join(", ")));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let all = loaded.into_iter().flatten().collect();
        progress.clear();
        all
    })
}

/// The `.wasm` files of the folder, by name.
fn components(settings: &Settings, folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let named = settings
                .shown
                .iter()
                .any(|shown| shown.key == "plugin-folder" && shown.origin != Origin::Default);
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if missing && !named && !settings.plugins.is_empty() {
                return Ok(Vec::new());
            }
            let what = format!("cannot read the plugin folder {}: {error}", folder.display());
            return Err(Fault::usage(what).help(
                "make the folder and put components (NAME.wasm) in it, or name another one with \
                 --plugins",
            ));
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some(OsStr::new("wasm")) && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn nameless(settings: &Settings, table: &PluginTable, files: &[PathBuf]) -> Fault {
    let folder = settings.plugin_folder.display();
    let what = format!("plugin `{}`: there is no file {folder}/{0}.wasm", table.name);
    let stems: Vec<&str> = files.iter().map(|file| stem(file)).collect();
    match nearest(&table.name, &stems) {
        Some(other) => Fault::usage(what).help(format!("did you mean [plugins.{other}]?")),
        None => Fault::usage(what).help(format!(
            "put it there, or say where it is: `source` in [plugins.{}]",
            table.name
        )),
    }
}

fn stem(file: &Path) -> &str {
    file.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
