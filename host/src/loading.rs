//! Which component files there are, whose table each one has, and loading them side by side.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use umbel_engine::{
    Catalog, CatalogError, Ceiling, Engine, EngineConfig, LoadError, Plugin, PluginSource, Share,
    Versions,
};

use crate::compiling::Helper;
use crate::fault::Fault;
use crate::keyvalue::Stores;
use crate::out::Progress;
use crate::settings::{Origin, PluginTable, Settings, nearest};

/// One component that is to be served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) owner: Owner,
    /// Its share of its plugin's messages, beside those of other versions.
    pub(crate) weight: u32,
    /// Its place among those versions.
    pub(crate) order: usize,
    pub(crate) source: PluginSource,
}

/// What makes files versions of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// The plugin's name: its table's, or the stem of its file.
    Plugin(String),
    /// A file that only has the name of a plugin whose table says that it is elsewhere.
    Namesake(String),
}

impl Owner {
    pub(crate) fn name(&self) -> &str {
        match self {
            Owner::Plugin(name) | Owner::Namesake(name) => name,
        }
    }
}

/// What is to be served, as far as it can be told now.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) wanted: Vec<Wanted>,
    /// Why the folder cannot be read; what was in it is not known then.
    pub(crate) folder: Option<Fault>,
    /// Files that tables name and that are not there.
    pub(crate) missing: Vec<Fault>,
}

/// All that is wanted, if all of it is there.
pub(crate) fn strict(found: Found) -> Result<Vec<Wanted>, Fault> {
    match found.folder.into_iter().chain(found.missing).next() {
        Some(fault) => Err(fault),
        None => Ok(found.wanted),
    }
}

/// The sources alone.
pub(crate) fn sources(wanted: &[Wanted]) -> Vec<PluginSource> {
    wanted.iter().map(|wanted| wanted.source.clone()).collect()
}

/// Every plugin: the files of the folder, and those that a table of the configuration names.
pub(crate) fn find(settings: &Settings) -> Found {
    let mut found = Found::default();
    let files = components(settings, &settings.plugin_folder);
    let files = files.unwrap_or_else(|fault| {
        found.folder = Some(fault);
        Vec::new()
    });
    let mut named: Vec<(&PluginTable, PathBuf, u32)> = Vec::new();
    for table in &settings.plugins {
        let versions = table.versions.iter().map(|version| (&version.source, version.weight));
        let single = table.source.iter().map(|source| (source, 1));
        for (file, weight) in versions.chain(single) {
            match file.is_file() {
                true => named.push((table, file.clone(), weight)),
                false => found.missing.push(missing(table, file)),
            }
        }
        if table.source.is_none() && table.versions.is_empty() {
            match files.iter().find(|file| stem(file) == table.name) {
                Some(file) => named.push((table, file.clone(), 1)),
                None if found.folder.is_some() => {}
                None => found.missing.push(nameless(settings, table, &files)),
            }
        }
    }
    let real: HashSet<PathBuf> = named.iter().map(|(_, file, _)| canonical(file)).collect();
    let is_named = |file: &Path| !real.is_empty() && real.contains(&canonical(file));
    for file in files.iter().filter(|file| !is_named(file)) {
        let name = stem(file).to_owned();
        let owner = match settings.plugins.iter().any(|table| table.name == name) {
            true => Owner::Namesake(name),
            false => Owner::Plugin(name),
        };
        let source = configured(settings, None, file);
        found.wanted.push(Wanted { owner, weight: 1, order: 0, source });
    }
    for (order, (table, file, weight)) in named.into_iter().enumerate() {
        let owner = Owner::Plugin(table.name.clone());
        let source = configured(settings, Some(table), &file);
        found.wanted.push(Wanted { owner, weight, order, source });
    }
    found
}

/// One file with the table that belongs to it, or with the defaults.
pub(crate) fn source(settings: &Settings, file: &Path) -> PluginSource {
    configured(settings, table_of(settings, file), file)
}

/// One of several files, each by itself unless a table makes versions of one plugin of them.
pub(crate) fn wanted(settings: &Settings, file: &Path) -> Wanted {
    let own = table_of(settings, file);
    let owner = match own.filter(|table| !table.versions.is_empty()) {
        Some(table) => Owner::Plugin(table.name.clone()),
        None => Owner::Namesake(file.display().to_string()),
    };
    Wanted { owner, weight: 1, order: 0, source: configured(settings, own, file) }
}

fn table_of<'a>(settings: &'a Settings, file: &Path) -> Option<&'a PluginTable> {
    settings.plugins.iter().find(|table| {
        let mut versions = table.versions.iter().map(|version| &version.source);
        match &table.source {
            Some(source) => same(source, file),
            None if !table.versions.is_empty() => versions.any(|source| same(source, file)),
            None => stem(file) == table.name,
        }
    })
}

/// Says whether all of these can be served together.
pub(crate) fn together(plugins: Vec<(Owner, Plugin)>) -> Result<Catalog, CatalogError> {
    let mut owners: BTreeMap<Owner, Versions> = BTreeMap::new();
    for (owner, plugin) in plugins {
        let share = Share { plugin: Arc::new(plugin), weight: 1 };
        owners.entry(owner).or_default().push(share);
    }
    let catalog = Catalog::default();
    catalog.replace(owners.into_values().collect())?;
    Ok(catalog)
}

fn configured(settings: &Settings, own: Option<&PluginTable>, file: &Path) -> PluginSource {
    let mut source = PluginSource::file(file);
    source.policy = settings.policy.clone();
    source.trust = settings.trust.clone();
    if let Some(table) = own {
        source.name = Some(table.name.clone());
        source.prefix = table.prefix.clone();
        source.trust.sha256 = pin(table, file);
        source.names = table.names.clone();
        source.grants = table.grants.clone();
        source.policy = table.changes.over(&settings.policy);
        let tasks = table.tasks.iter();
        source.tasks =
            tasks.map(|(name, task)| (name.clone(), task.over(&source.policy))).collect();
    }
    source
}

/// What a file's content must hash to.
fn pin(table: &PluginTable, file: &Path) -> Option<String> {
    let version = table.versions.iter().find(|version| same(&version.source, file));
    version.map_or(&table.sha256, |version| &version.sha256).clone()
}

/// Bytes of memory that a limit may be raised to while the engine runs: address space, no memory.
const ROOM: u64 = 1 << 30;

/// An engine for these plugins.
pub(crate) fn engine(
    sources: &[PluginSource],
    concurrency: usize,
    cache: Option<PathBuf>,
    compiler: Helper,
) -> anyhow::Result<Engine> {
    let ceiling = Ceiling::over(sources);
    let config = EngineConfig {
        // A private folder that a hardened process may write to.
        scratch: cache.clone(),
        cache,
        compiler: Some(Arc::new(compiler)),
        keyvalue: Some(Arc::new(Stores::default())),
        concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
        ceiling: Ceiling { memory: ceiling.memory.max(ROOM), ..ceiling },
        ..EngineConfig::default()
    };
    Engine::new(&config).context("cannot start the engine")
}

/// Loads them side by side, one thread a core; the answers are in the order of the sources.
pub(crate) fn load(engine: &Engine, sources: &[PluginSource]) -> Vec<Result<Plugin, LoadError>> {
    load_showing(engine, sources, Progress::new())
}

/// As [`load`], with no progress on the terminal: somebody else writes there.
pub(crate) fn load_silently(
    engine: &Engine,
    sources: &[PluginSource],
) -> Vec<Result<Plugin, LoadError>> {
    load_showing(engine, sources, Progress::silent())
}

fn load_showing(
    engine: &Engine,
    sources: &[PluginSource],
    mut progress: Progress,
) -> Vec<Result<Plugin, LoadError>> {
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

fn missing(table: &PluginTable, file: &Path) -> Fault {
    let name = &table.name;
    Fault::usage(format!("plugin `{name}`: there is no file {}", file.display()))
        .help(format!("correct `source` in [plugins.{name}], or build the plugin"))
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
    canonical(one) == canonical(other)
}

/// The file itself, whatever leads there.
fn canonical(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}
