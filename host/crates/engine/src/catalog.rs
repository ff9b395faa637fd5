//! Task name to loaded task: an immutable snapshot, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use umbel_task::name::TaskName;
use umbel_task::runner::{Runner, Task};

use crate::load::{LoadedTask, Plugin};

/// Every loaded plugin. Readers never wait; a task handed out stays valid after `replace`.
#[derive(Default)]
pub struct Catalog {
    snapshot: ArcSwap<Snapshot>,
}

/// One version of a plugin, and its share of the plugin's messages.
#[derive(Clone)]
pub struct Share {
    pub plugin: Arc<Plugin>,
    /// Beside the weights of the other versions; zero gets no message.
    pub weight: u32,
}

/// The versions of one plugin that serve side by side; usually a single one.
pub type Versions = Vec<Share>;

#[derive(Default)]
struct Snapshot {
    plugins: Vec<Arc<Plugin>>,
    tasks: BTreeMap<TaskName, Choice>,
}

/// The versions that have a task.
#[derive(Default)]
struct Choice {
    shares: Vec<(u32, Arc<LoadedTask>)>,
    total: u64,
    /// The place of its plugin among the plugins.
    of: usize,
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
        let alone = |plugin| vec![Share { plugin: Arc::new(plugin), weight: 1 }];
        let catalog = Self::default();
        catalog.replace(plugins.into_iter().map(alone).collect())?;
        Ok(catalog)
    }

    /// The plugins of this moment, in the order they were given, each version by itself.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.snapshot.load().plugins.clone()
    }

    /// Swaps all plugins at once, or none. Running tasks keep the version they started with.
    pub fn replace(&self, plugins: Vec<Versions>) -> Result<(), CatalogError> {
        self.snapshot.store(Arc::new(Snapshot::new(&plugins)?));
        Ok(())
    }

    /// The signatures' owner for display: of several versions the one with the largest share.
    pub fn task(&self, name: &str) -> Option<Arc<LoadedTask>> {
        let snapshot = self.snapshot.load();
        let shares = &snapshot.tasks.get(name)?.shares;
        let largest = shares.iter().rev().max_by_key(|(weight, _)| *weight)?;
        (largest.0 > 0).then(|| largest.1.clone())
    }

    /// The task for the message of this id: the same version each time while the shares stand.
    fn task_for(&self, name: &str, id: &str) -> Option<Arc<LoadedTask>> {
        let snapshot = self.snapshot.load();
        let choice = snapshot.tasks.get(name)?;
        if let [(1.., only)] = &choice.shares[..] {
            return Some(only.clone());
        }
        let mut at = spread(id).checked_rem(choice.total)?;
        for (weight, task) in &choice.shares {
            match at.checked_sub(u64::from(*weight)) {
                Some(beyond) => at = beyond,
                None => return Some(task.clone()),
            }
        }
        None
    }
}

impl Snapshot {
    fn new(plugins: &[Versions]) -> Result<Self, CatalogError> {
        let mut snapshot = Self::default();
        for (of, versions) in plugins.iter().enumerate() {
            for Share { plugin, weight } in versions {
                for task in &plugin.tasks {
                    snapshot.add(of, *weight, task)?;
                }
                snapshot.plugins.push(plugin.clone());
            }
        }
        Ok(snapshot)
    }

    fn add(&mut self, of: usize, weight: u32, task: &Arc<LoadedTask>) -> Result<(), CatalogError> {
        let name = task.signature().name.clone();
        let choice = self.tasks.entry(name.clone()).or_insert(Choice { of, ..Choice::default() });
        if let Some((_, first)) = choice.shares.first()
            && choice.of != of
        {
            return Err(CatalogError {
                task: name,
                first: first.version().plugin.clone(),
                second: task.version().plugin.clone(),
            });
        }
        choice.shares.push((weight, task.clone()));
        choice.total += u64::from(weight);
        Ok(())
    }
}

impl Runner for Catalog {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>> {
        self.task(name).map(|task| task as Arc<dyn Task>)
    }

    fn find_for(&self, name: &str, id: &str) -> Option<Arc<dyn Task>> {
        self.task_for(name, id).map(|task| task as Arc<dyn Task>)
    }

    fn names(&self) -> Vec<TaskName> {
        let snapshot = self.snapshot.load();
        let served = snapshot.tasks.iter().filter(|(_, choice)| choice.total > 0);
        served.map(|(name, _)| name.clone()).collect()
    }
}

/// A number from a message's id, the same in every process of every version: FNV-1a, its bits mixed.
fn spread(id: &str) -> u64 {
    let folded = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (folded ^ (folded >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spread_evenly_and_always_alike() {
        assert_eq!(spread("8d61a6d6-6a2f-3a43-b9d6-7d8c4ad6a2a1") % 100, 7);
        let mut counts = [0_u32; 20];
        for number in 0..20_000 {
            counts[(spread(&format!("task-{number}")) % 20) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
