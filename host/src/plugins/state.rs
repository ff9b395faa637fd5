//! What should be served and what is. Decides; reads no file but its looks, loads nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use umbel_engine::{Catalog, CatalogError, LoadError, Plugin, PluginSource, Share, Versions};
use umbel_task::name::TaskName;

use super::happening::{Counts, Happening};
use super::slot::{Key, Need, Refused, STILL, Serving, Slot};
use super::stamp::Stamp;
use crate::loading::{Found, Owner};

/// A folder that came back may fill slowly: for so long nothing of it counts as removed.
const BACK: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) slots: BTreeMap<Key, Slot>,
    /// Plugins whose first version gets every message, by command; void once their versions change.
    rolled_back: HashMap<Owner, Vec<(PathBuf, u32)>>,
    folder: Folder,
    missing: BTreeSet<String>,
    /// Something is to be swapped.
    changed: bool,
}

#[derive(Debug, Default)]
struct Folder {
    gone: bool,
    back: Option<Instant>,
}

/// A file that is to be loaded.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) key: Key,
    pub(crate) source: PluginSource,
    pub(crate) stamp: Stamp,
}

/// The earlier of two moments.
pub(crate) fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

impl State {
    /// Takes note of what is there; gives what is to be loaded now, and when to look again.
    pub(crate) fn notice(
        &mut self,
        found: Found,
        folder: &Path,
        settle: Duration,
        now: Instant,
        counts: &Counts,
    ) -> (Vec<Due>, Option<Instant>) {
        self.notice_folder(&found, now, counts);
        let (mut known, mut weighed) = (BTreeSet::new(), BTreeSet::new());
        for wanted in found.wanted {
            let key = (wanted.owner.clone(), wanted.source.file.clone());
            let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot::new(wanted.clone()));
            if slot.wanted.weight != wanted.weight {
                weighed.insert(key.0.clone());
            }
            self.changed |=
                slot.wanted.weight != wanted.weight || slot.wanted.order != wanted.order;
            slot.wanted = wanted;
            slot.unwanted = None;
            known.insert(key);
        }
        let unreadable = |file: &Path| found.folder.is_some() && file.parent() == Some(folder);
        for (key, slot) in &mut self.slots {
            if !known.contains(key) && !unreadable(&key.1) {
                slot.unwanted.get_or_insert(now);
            }
        }
        for owner in weighed {
            let (plugin, shares) = (owner.name(), self.shares_in_words(&owner));
            counts.tell(&Happening::Weighed { plugin, shares });
        }
        let (mut due, mut again) = (Vec::new(), None);
        for key in known {
            let slot = self.slots.get_mut(&key).expect("it was put there above");
            let source = slot.wanted.source.clone();
            match slot.need(Stamp::of(&key.1), settle, now) {
                Need::Nothing => {}
                Need::Wait(until) => again = sooner(again, Some(until)),
                Need::Load(stamp) => due.push(Due { key, source, stamp }),
            }
        }
        (due, again)
    }

    fn notice_folder(&mut self, found: &Found, now: Instant, counts: &Counts) {
        match (&found.folder, self.folder.gone) {
            (Some(fault), false) => {
                counts.tell(&Happening::FolderGone { why: &fault.what });
                self.folder.gone = true;
            }
            (None, true) => {
                counts.tell(&Happening::FolderBack);
                self.folder = Folder { gone: false, back: Some(now) };
            }
            _ => {}
        }
        let missing: BTreeSet<String> = found.missing.iter().map(ToString::to_string).collect();
        for why in missing.difference(&self.missing) {
            counts.tell(&Happening::Missing { why });
        }
        self.missing = missing;
    }

    /// Decides about what was loaded; gives when to look again. `at_once`: nothing is given the
    /// time to become better.
    pub(crate) fn judge(
        &mut self,
        loaded: Vec<(Due, Result<Plugin, LoadError>)>,
        at_once: bool,
        now: Instant,
        counts: &Counts,
    ) -> Option<Instant> {
        let mut names = self.names();
        let mut again = None;
        // New versions of what serves come before what would be new.
        let serves = |due: &Due| self.slots.get(&due.key).is_some_and(|s| s.serving.is_some());
        let (updates, newcomers): (Vec<_>, Vec<_>) =
            loaded.into_iter().partition(|(due, _)| serves(due));
        for (due, loaded) in updates.into_iter().chain(newcomers) {
            let Some(slot) = self.slots.get_mut(&due.key) else { continue };
            let poor = match &loaded {
                Ok(plugin) => slot.loses_a_task(plugin),
                Err(_) => true,
            };
            if let (true, false, Err(later)) = (poor, at_once, slot.believe(now)) {
                again = sooner(again, Some(later));
                continue;
            }
            slot.decided = Some((due.stamp, due.source.clone()));
            let digest = match &loaded {
                Ok(plugin) => Some(plugin.version.digest.to_string()),
                Err(error) => error.digest().map(str::to_owned),
            };
            let checked = match loaded {
                Ok(plugin) => unique(&names, &due.key.0, plugin).map_err(|e| (e.to_string(), true)),
                Err(error) => Err((error.to_string(), false)),
            };
            match checked {
                Ok(plugin) => {
                    let owner = &due.key.0;
                    let tasks = plugin.tasks.iter().map(|task| task.signature().name.clone());
                    names.extend(tasks.map(|name| (name, owner.clone())));
                    self.changed |= slot.serve(plugin, due.source, at_once, counts);
                }
                Err((why, conflict)) => {
                    let refused = Refused { why, digest, at: Timestamp::now(), conflict };
                    slot.refuse(refused, at_once, counts);
                }
            }
        }
        again
    }

    /// Takes out what nobody wants any more; gives when to look again.
    pub(crate) fn retire(&mut self, now: Instant, counts: &Counts) -> Option<Instant> {
        let mut again = None;
        let unwanted = self.slots.iter().filter_map(|(key, slot)| Some((key, slot.unwanted?)));
        let unwanted: Vec<(Key, Instant)> = unwanted.map(|(key, at)| (key.clone(), at)).collect();
        for (key, since) in unwanted {
            let of_owner = || self.slots.iter().filter(|((owner, _), _)| *owner == key.0);
            let mut successors = of_owner().filter(|(_, slot)| slot.unwanted.is_none());
            let succeeded = successors.next().map(|(_, first)| {
                first.serving.is_some() && successors.all(|(_, slot)| slot.serving.is_some())
            });
            let due = match succeeded {
                Some(true) => now,
                // What should take its place is refused, or not loaded yet.
                Some(false) => continue,
                None => {
                    let back = self.folder.back.map(|back| back + BACK);
                    (since + STILL).max(back.unwrap_or(since))
                }
            };
            if due > now {
                again = sooner(again, Some(due));
            } else if let Some(slot) = self.slots.remove(&key)
                && let Some(serving) = slot.serving
            {
                self.changed = true;
                counts.tell(&Happening::Removed { version: &serving.plugin.version });
            }
        }
        again
    }

    /// Swaps the catalogue if something changed; true if it did.
    pub(crate) fn publish(&mut self, catalog: &Catalog) -> bool {
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        let plugins = self.served().into_iter().map(|(_, versions)| versions).collect();
        if let Err(error) = catalog.replace(plugins) {
            // Names were compared before; whatever this is, what serves goes on.
            tracing::error!("the plugins are not swapped: {error}");
            return false;
        }
        true
    }

    /// What serves, by owner; versions in the order of the configuration, with their shares.
    pub(crate) fn served(&self) -> Vec<(Owner, Versions)> {
        let mut served: Vec<(Owner, Versions)> = Vec::new();
        for (owner, slots) in self.owners() {
            let weights = self.weights(&owner, &slots);
            let serving = slots.iter().zip(weights);
            let shares = serving.filter_map(|(slot, weight)| {
                Some(Share { plugin: Arc::clone(&slot.serving.as_ref()?.plugin), weight })
            });
            served.push((owner, shares.collect()));
        }
        served
    }

    /// The slots of each owner in the order of the configuration.
    pub(crate) fn owners(&self) -> BTreeMap<Owner, Vec<&Slot>> {
        let mut owners: BTreeMap<Owner, Vec<&Slot>> = BTreeMap::new();
        for ((owner, _), slot) in &self.slots {
            owners.entry(owner.clone()).or_default().push(slot);
        }
        for slots in owners.values_mut() {
            slots.sort_by_key(|slot| (slot.unwanted.is_some(), slot.wanted.order));
        }
        owners
    }

    /// The share of each slot of an owner.
    pub(crate) fn weights(&self, owner: &Owner, slots: &[&Slot]) -> Vec<u32> {
        if self.rolled_back.get(owner).is_some_and(|then| *then == shares(slots)) {
            let first = slots.iter().position(|slot| slot.serving.is_some());
            return (0..slots.len()).map(|at| u32::from(Some(at) == first)).collect();
        }
        slots.iter().map(|slot| slot.wanted.weight).collect()
    }

    /// Gives every message of a plugin to its first version.
    pub(crate) fn roll_back(&mut self, plugin: &str, counts: &Counts) -> Result<String, String> {
        let owners = self.owners();
        let named = |owner: &&Owner| **owner == Owner::Plugin(plugin.to_owned());
        let Some(owner) = owners.keys().find(named) else {
            let all: Vec<&str> = owners.keys().map(Owner::name).collect();
            return Err(format!("no plugin `{plugin}` here; there are {}", all.join(", ")));
        };
        let slots = &owners[owner];
        let mut serving = slots.iter().filter_map(|slot| slot.serving.as_ref());
        let (Some(first), Some(_)) = (serving.next(), serving.next()) else {
            return Err(format!(
                "plugin `{plugin}` has no two versions side by side (`versions` in \
                 [plugins.{plugin}]): put its former file back instead"
            ));
        };
        let version = first.plugin.version.clone();
        let (owner, then) = (owner.clone(), shares(slots));
        self.rolled_back.insert(owner, then);
        self.changed = true;
        counts.tell(&Happening::Weighed { plugin, shares: format!("all to {version}") });
        Ok(format!(
            "all messages of `{plugin}` go to {version} from now on, until `versions` in \
             [plugins.{plugin}] changes or the worker is started again: set the other weights to 0 \
             there to make it last"
        ))
    }

    /// `95 to images@1f3870be274f, 5 to images-2.wasm`: by what serves, else by what is to serve.
    fn shares_in_words(&self, owner: &Owner) -> String {
        let slots = self.owners().remove(owner).unwrap_or_default();
        let wanted = slots.iter().filter(|slot| slot.unwanted.is_none());
        let share = |slot: &&Slot| {
            let file = || slot.wanted.source.file.display().to_string();
            let serving = slot.serving.as_ref();
            let name = serving.map_or_else(file, |serving| serving.plugin.version.to_string());
            format!("{} to {name}", slot.wanted.weight)
        };
        wanted.map(share).collect::<Vec<_>>().join(", ")
    }

    /// Refused ones are to be tried again.
    pub(crate) fn forget_refusals(&mut self) {
        for slot in self.slots.values_mut().filter(|slot| slot.refused.is_some()) {
            slot.decided = None;
        }
    }

    /// True if something is refused only because of a name that may be free now.
    pub(crate) fn has_conflicts(&self) -> bool {
        let mut refused = self.slots.values().filter_map(|slot| slot.refused.as_ref());
        refused.any(|refused| refused.conflict)
    }

    /// Whose each name is now.
    fn names(&self) -> HashMap<TaskName, Owner> {
        let mut names = HashMap::new();
        for ((owner, _), slot) in &self.slots {
            for task in slot.serving.iter().flat_map(|serving| &serving.plugin.tasks) {
                names.insert(task.signature().name.clone(), owner.clone());
            }
        }
        names
    }
}

impl Slot {
    /// True if the plugin serves from now on; false if it does already.
    fn serve(
        &mut self,
        plugin: Plugin,
        source: PluginSource,
        quietly: bool,
        counts: &Counts,
    ) -> bool {
        self.refused = None;
        let (version, tasks) = (plugin.version.clone(), plugin.tasks.len());
        let (version, former) = (&version, self.serving.take());
        let same = former.as_ref().is_some_and(|former| former.plugin.version == *version);
        if same && former.as_ref().is_some_and(|former| former.source == source) {
            self.serving = former;
            return false;
        }
        match &former {
            None if quietly => {}
            None => counts.tell(&Happening::Added { version, tasks }),
            Some(_) if same => counts.tell(&Happening::Reconfigured { version }),
            Some(former) => {
                let former = &former.plugin.version;
                counts.tell(&Happening::Replaced { version, former, tasks });
            }
        }
        let since = Timestamp::now();
        self.serving = Some(Serving { plugin: Arc::new(plugin), source, since });
        true
    }

    fn refuse(&mut self, refused: Refused, quietly: bool, counts: &Counts) {
        let told = |former: &Refused| refused.conflict && former.why == refused.why;
        if !quietly && !self.refused.as_ref().is_some_and(told) {
            let serving = self.serving.as_ref().map(|serving| &serving.plugin.version);
            let plugin = self.wanted.owner.name();
            counts.tell(&Happening::Refused { plugin, refused: &refused, serving });
        }
        self.refused = Some(refused);
    }
}

/// What the configuration says of the versions of one owner.
fn shares(slots: &[&Slot]) -> Vec<(PathBuf, u32)> {
    let wanted = slots.iter().filter(|slot| slot.unwanted.is_none());
    wanted.map(|slot| (slot.wanted.source.file.clone(), slot.wanted.weight)).collect()
}

/// A plugin none of whose names is another owner's.
fn unique(
    names: &HashMap<TaskName, Owner>,
    owner: &Owner,
    plugin: Plugin,
) -> Result<Plugin, CatalogError> {
    for task in &plugin.tasks {
        let name = &task.signature().name;
        if let Some(other) = names.get(name).filter(|other| *other != owner) {
            return Err(CatalogError {
                task: name.clone(),
                first: other.name().into(),
                second: plugin.version.plugin.clone(),
            });
        }
    }
    Ok(plugin)
}
