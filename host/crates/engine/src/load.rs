//! From a component file to a checked plugin.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use umbel_task::call::Call;
use umbel_task::grants::Grants;
use umbel_task::name::{PluginVersion, TaskName};
use umbel_task::outcome::Ended;
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Outbox, Task};
use wasmtime::component::InstancePre;

use crate::cache::hex;
use crate::ceiling::{Start, policies};
use crate::compile::{Compiled, compiled};
use crate::config::{Flavour, Shared};
use crate::grants::{Granted, Needs, granted, needs};
use crate::mistaken::is_component;
use crate::profile::{self, Profiler};
use crate::run::{self, Core};
use crate::shape::{Description, Function};
use crate::signature::Signature;
use crate::state::State;
use crate::tally::{Runs, Tally};
use crate::trust::Trust;
use crate::value::snake;

/// Where a plugin comes from and how its tasks are to be treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSource {
    /// The component.
    pub file: PathBuf,
    /// The plugin's name; the file's stem by default.
    pub name: Option<String>,
    /// Replaces the plugin's name in the names of its tasks.
    pub prefix: Option<String>,
    /// Full task name and the function that gets it instead of its usual one. The function in
    /// WIT's or in Python's spelling, with its interface before a dot if that is needed.
    pub names: Vec<(String, String)>,
    /// What all its tasks may reach.
    pub grants: Grants,
    /// For every task that `tasks` does not name.
    pub policy: TaskPolicy,
    /// Function, spelled as in `names`, and its own policy.
    pub tasks: Vec<(String, TaskPolicy)>,
    /// What must hold of the file's content.
    pub trust: Trust,
}

impl PluginSource {
    /// A component file with defaults for everything else.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: path.into(), ..Self::default() }
    }

    pub(crate) fn plugin(&self) -> String {
        let stem = || self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(stem)
    }
}

/// One content of one component file, checked and ready to run.
pub struct Plugin {
    pub version: PluginVersion,
    /// Sorted by name.
    pub tasks: Vec<Arc<LoadedTask>>,
    /// Exported functions that are no tasks, and why.
    pub skipped: Vec<(String, String)>,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The same, and which grants each has to do with.
    pub needs: Vec<Needs>,
    /// Bytes of its file.
    pub size: u64,
    /// True if its code was compiled earlier.
    pub from_cache: bool,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{}` {what}{}", file.display(), help_line(help))]
pub struct LoadError {
    file: PathBuf,
    digest: Option<String>,
    what: String,
    help: Option<String>,
}

fn help_line(help: &Option<String>) -> String {
    help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default()
}

impl LoadError {
    /// The file that was refused.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The SHA-256 of what was in it, in hexadecimal, if it could be read.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

/// A task of one plugin version.
pub struct LoadedTask {
    signature: Signature,
    core: Arc<Core>,
    tally: Tally,
}

impl LoadedTask {
    /// Its name, parameters and result.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What a run has before its first instruction; `None` where only a run can tell.
    pub fn start(&self) -> Option<Start> {
        Start::of(self.core.pre.component())
    }

    /// What it did so far.
    pub fn runs(&self) -> Runs {
        self.tally.read()
    }

    /// What its plugin may reach.
    pub fn grants(&self) -> &Grants {
        &self.core.granted.grants
    }

    /// Like `Task::run`, but on the caller's runtime and thread: for benchmarks, where the way to
    /// the guests' threads and back is not what is measured.
    pub async fn run_here(
        &self,
        call: Call,
        outbox: Arc<dyn Outbox>,
        stop: CancellationToken,
    ) -> Ended {
        run::run(self.core.clone(), call, outbox, stop, None).await
    }

    /// Something that [`LoadedTask::run_profiled`] tells where the time of this task's runs goes.
    /// From now on every guest of this engine is interrupted more often.
    pub fn profiler(&self) -> Profiler {
        self.core.shared.ticker.hasten(profile::INTERVAL);
        Profiler::default()
    }

    /// Like `Task::run`, but seen by a profiler of this task.
    pub async fn run_profiled(
        &self,
        call: Call,
        outbox: Arc<dyn Outbox>,
        stop: CancellationToken,
        profiler: Option<Arc<Profiler>>,
    ) -> Ended {
        let running = self.tally.enter();
        let ended = run::hand_over(self.core.clone(), call, outbox, stop, profiler).await;
        running.ended(&ended.outcome);
        ended
    }
}

#[async_trait]
impl Task for LoadedTask {
    fn policy(&self) -> &TaskPolicy {
        &self.core.policy
    }

    fn version(&self) -> &PluginVersion {
        &self.core.version
    }

    fn arity(&self) -> usize {
        self.core.function.arity()
    }

    async fn run(&self, call: Call, outbox: Arc<dyn Outbox>, stop: CancellationToken) -> Ended {
        self.run_profiled(call, outbox, stop, None).await
    }
}

/// What is wrong, and what would help.
pub(crate) type Refusal = (String, Option<String>);

/// Nothing larger is read.
const LARGEST_FILE: u64 = 512 << 20;

pub(crate) fn load(shared: &Arc<Shared>, source: &PluginSource) -> Result<Plugin, LoadError> {
    let mut digest = None;
    // A compiler that panics on a hostile file must not take the worker with it.
    let loaded = catch_unwind(AssertUnwindSafe(|| try_load(shared, source, &mut digest)));
    let loaded = loaded.unwrap_or_else(|_| Err(("makes the compiler fail".to_owned(), None)));
    loaded.map_err(|(what, help)| LoadError { file: source.file.clone(), digest, what, help })
}

/// Tells the content's digest as soon as it is known, whatever becomes of it.
fn try_load(
    shared: &Arc<Shared>,
    source: &PluginSource,
    seen: &mut Option<String>,
) -> Result<Plugin, Refusal> {
    let bytes = read(&source.file)?;
    let digest = hex(&Sha256::digest(&bytes));
    *seen = Some(digest.clone());
    source.trust.check(&source.file, &bytes, &digest)?;
    is_component(&bytes)?;
    let metered = policies(source).any(|policy| policy.sandbox.fuel.is_some());
    let flavour = shared.flavour(metered).map_err(|e| (format!("cannot be metered: {e}"), None))?;
    let Compiled { component, description, from_cache } = compiled(&flavour, &bytes, &digest)?;
    let size = bytes.len() as u64;
    drop(bytes);
    granted(&description.imports, source)?;
    let granted = Granted::new(source.grants.clone(), shared)?;
    let pre = flavour
        .linker
        .instantiate_pre(&component)
        .map_err(|e| (format!("does not fit what is offered to it: {e:#}"), None))?;
    let version = PluginVersion { plugin: source.plugin().into(), digest: digest.as_str().into() };
    let base = Base {
        shared,
        flavour: &flavour,
        source,
        version: &version,
        pre: &pre,
        granted: Arc::new(granted),
    };
    let tasks = tasks(&base, &description)?;
    Ok(Plugin {
        version,
        tasks,
        skipped: description.skipped,
        needs: needs(&description.imports, source),
        imports: description.imports,
        size,
        from_cache,
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Refusal> {
    let unreadable = |e: std::io::Error| (format!("cannot be read: {e}"), None);
    let about = std::fs::metadata(file).map_err(unreadable)?;
    if !about.is_file() {
        return Err(("is not a file".to_owned(), None));
    }
    if about.len() > LARGEST_FILE {
        return Err((format!("is larger than {} MiB", LARGEST_FILE >> 20), None));
    }
    std::fs::read(file).map_err(unreadable)
}

/// What all tasks of a plugin are made of.
struct Base<'a> {
    shared: &'a Arc<Shared>,
    flavour: &'a Arc<Flavour>,
    source: &'a PluginSource,
    version: &'a PluginVersion,
    pre: &'a InstancePre<State>,
    granted: Arc<Granted>,
}

/// Makes a task of each function under its name or names.
fn tasks(base: &Base<'_>, description: &Description) -> Result<Vec<Arc<LoadedTask>>, Refusal> {
    let Base { source, version, .. } = base;
    every_name_is_a_function(source, &description.functions)?;
    let prefix = source.prefix.clone().unwrap_or_else(|| version.plugin.to_string());
    let mut named: BTreeMap<TaskName, (String, Arc<LoadedTask>)> = BTreeMap::new();
    for function in &description.functions {
        let core = Arc::new(core(base, function)?);
        for name in names(source, &prefix, function) {
            let signature = Signature::new(TaskName::new(&name), function);
            let task =
                Arc::new(LoadedTask { signature, core: core.clone(), tally: Tally::default() });
            let path = path(function);
            if let Some((other, _)) = named.insert(TaskName::new(&name), (path.clone(), task)) {
                let help = format!("name one of them: names = {{ \"another.name\" = \"{path}\" }}");
                return Err((
                    format!("gives the name `{name}` to two functions, `{other}` and `{path}`"),
                    Some(help),
                ));
            }
        }
    }
    Ok(named.into_values().map(|(_, task)| task).collect())
}

fn core(base: &Base<'_>, function: &Function) -> Result<Core, Refusal> {
    let &Base { shared, flavour, source, version, pre, .. } = base;
    let own = source.tasks.iter().find(|(name, _)| is_named(function, name));
    let policy = own.map_or(&source.policy, |(_, policy)| policy).clone();
    let path = path(function);
    let component = pre.component();
    shared.ceiling().covers(&policy.sandbox, &path)?;
    if let Some(start) = Start::of(component) {
        start.fits(&policy.sandbox, &path)?;
    }
    let instance = function
        .interface
        .as_ref()
        .map(|name| component.get_export_index(None, name))
        .unwrap_or_default();
    let export = match (&function.interface, instance) {
        (Some(_), None) => None,
        (_, instance) => component.get_export_index(instance.as_ref(), &function.name),
    };
    let export = export.ok_or_else(|| (format!("does not export `{path}` after all"), None))?;
    Ok(Core {
        shared: shared.clone(),
        flavour: flavour.clone(),
        pre: pre.clone(),
        export,
        function: function.clone(),
        policy,
        granted: base.granted.clone(),
        version: version.clone(),
    })
}

fn names(source: &PluginSource, prefix: &str, function: &Function) -> Vec<String> {
    let given: Vec<String> = source
        .names
        .iter()
        .filter(|(_, of)| is_named(function, of))
        .map(|(name, _)| name.clone())
        .collect();
    match given.is_empty() {
        true => vec![format!("{prefix}.{}", snake(&function.name))],
        false => given,
    }
}

/// A setting for a function that is not there is a mistake somebody wants to hear of.
fn every_name_is_a_function(source: &PluginSource, functions: &[Function]) -> Result<(), Refusal> {
    let settings = source.names.iter().map(|(_, function)| function);
    for setting in settings.chain(source.tasks.iter().map(|(function, _)| function)) {
        if !functions.iter().any(|function| is_named(function, setting)) {
            let all: Vec<String> = functions.iter().map(|f| format!("`{}`", f.name)).collect();
            return Err((
                format!("has no function `{setting}`"),
                Some(format!("it has {}", all.join(", "))),
            ));
        }
    }
    Ok(())
}

/// `make-thumb`, `make_thumb`, `tasks.make-thumb` and `acme:images/tasks@1.0.0.make-thumb`.
fn is_named(function: &Function, name: &str) -> bool {
    let short = |name: &str| name == function.name || name == snake(&function.name);
    if short(name) {
        return true;
    }
    let (Some(interface), Some((of, name))) = (&function.interface, name.rsplit_once('.')) else {
        return false;
    };
    let plain = interface.split('@').next().unwrap_or(interface);
    let last = plain.rsplit('/').next().unwrap_or(plain);
    short(name) && (of == interface || of == plain || of == last)
}

/// A function with the interface it is in, for messages.
fn path(function: &Function) -> String {
    match &function.interface {
        Some(interface) => format!("{interface}.{}", function.name),
        None => function.name.clone(),
    }
}
