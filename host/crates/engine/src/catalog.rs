//! Task name to loaded task: an immutable snapshot, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use umbel_task::name::TaskName;
use umbel_task::runner::{Runner, Task};

use crate::load::{LoadedTask, Plugin};

/// Every loaded plugin. Readers never wait; a task handed out stays valid after `replace`.
pub struct Catalog {
    snapshot: ArcSwap<Snapshot>,
}

struct Snapshot {
    plugins: Vec<Arc<Plugin>>,
    tasks: BTreeMap<TaskName, Arc<LoadedTask>>,
}

/// Two plugins give one task name.
#[derive(Debug, thiserror::Error)]
#[error(
    "task `{task}` is in plugin `{first}` and in plugin `{second}`\n\
     help: give one of them a `prefix` of its own, or a `names` entry for this function"
)]
pub struct CatalogError {
    pub task: TaskName,
    pub first: Arc<str>,
    pub second: Arc<str>,
}

impl Catalog {
    /// A catalogue of these plugins.
    pub fn new(plugins: Vec<Plugin>) -> Result<Self, CatalogError> {
        let snapshot = Snapshot::new(plugins.into_iter().map(Arc::new).collect())?;
        Ok(Self { snapshot: ArcSwap::from_pointee(snapshot) })
    }

    /// The plugins of this moment, in the order they were given.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.snapshot.load().plugins.clone()
    }

    /// Swaps all plugins at once, or none. Running tasks keep the version they started with.
    pub fn replace(&self, plugins: Vec<Arc<Plugin>>) -> Result<(), CatalogError> {
        self.snapshot.store(Arc::new(Snapshot::new(plugins)?));
        Ok(())
    }

    /// The signatures' owner for display; `Runner::find` is the same without the type.
    pub fn task(&self, name: &str) -> Option<Arc<LoadedTask>> {
        self.snapshot.load().tasks.get(&TaskName::new(name)).cloned()
    }
}

impl Snapshot {
    fn new(plugins: Vec<Arc<Plugin>>) -> Result<Self, CatalogError> {
        let mut tasks: BTreeMap<TaskName, Arc<LoadedTask>> = BTreeMap::new();
        for plugin in &plugins {
            for task in &plugin.tasks {
                let name = task.signature().name.clone();
                if let Some(first) = tasks.insert(name.clone(), task.clone()) {
                    return Err(CatalogError {
                        task: name,
                        first: first.version().plugin.clone(),
                        second: plugin.version.plugin.clone(),
                    });
                }
            }
        }
        Ok(Self { plugins, tasks })
    }
}

impl Runner for Catalog {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>> {
        self.task(name).map(|task| task as Arc<dyn Task>)
    }

    fn names(&self) -> Vec<TaskName> {
        self.snapshot.load().tasks.keys().cloned().collect()
    }
}
