//! One enum of what befalls plugins -> log line and counter, so that they never disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::{error, info, warn};
use umbel_task::name::PluginVersion;

use super::slot::Refused;

/// What befell a plugin, the folder or the configuration.
#[derive(Debug)]
pub(crate) enum Happening<'a> {
    /// A plugin serves that did not before.
    Added {
        version: &'a PluginVersion,
        tasks: usize,
    },
    /// Another content serves in its place.
    Replaced {
        version: &'a PluginVersion,
        former: &'a PluginVersion,
        tasks: usize,
    },
    /// The same content, under other names, limits or grants.
    Reconfigured {
        version: &'a PluginVersion,
    },
    Removed {
        version: &'a PluginVersion,
    },
    /// What was found is not served; what served before goes on.
    Refused {
        plugin: &'a str,
        refused: &'a Refused,
        serving: Option<&'a PluginVersion>,
    },
    /// Versions share the messages in other proportions.
    Weighed {
        plugin: &'a str,
        shares: String,
    },
    FolderGone {
        why: &'a str,
    },
    FolderBack,
    Missing {
        why: &'a str,
    },
    ConfigurationTaken,
    ConfigurationRefused {
        why: &'a str,
    },
    /// A setting that a running worker does not change.
    NotNow {
        key: &'a str,
        wanted: String,
        kept: String,
    },
}

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Plugins added, replaced or configured anew.
    swapped: AtomicU64,
    removed: AtomicU64,
    refused: AtomicU64,
    configurations: AtomicU64,
    configurations_refused: AtomicU64,
    /// Swapped, refused and gone.
    by_plugin: Mutex<BTreeMap<String, [u64; 3]>>,
}

/// What came of the changes of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reloads {
    pub(crate) plugin: String,
    pub(crate) outcomes: [(&'static str, u64); 3],
}

/// Files come and go; beyond so many names all further ones are counted together.
const MOST: usize = 1000;

/// What the rest goes by.
const OTHERS: &str = "(other)";

impl Counts {
    /// Writes the log line and counts.
    pub(crate) fn tell(&self, happening: &Happening<'_>) {
        if let Some(counter) = self.counter(happening) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((plugin, outcome)) = outcome(happening) {
            self.count(plugin, outcome);
        }
        match happening {
            Happening::Added { version, tasks } => {
                info!("plugin {version} is served now: {}", count(*tasks));
            }
            Happening::Replaced { version, former, tasks } => {
                info!("plugin {version} is served now in place of {former}: {}", count(*tasks));
            }
            Happening::Reconfigured { version } => {
                info!("plugin {version} goes by other names, limits or grants now");
            }
            Happening::Removed { version } => {
                info!("plugin {version} is gone: its tasks are not known any more");
            }
            Happening::Refused { refused, serving: Some(former), .. } => {
                error!("{former} goes on serving, for what should replace it is refused{refused}");
            }
            Happening::Refused { refused, serving: None, .. } => error!("left out{refused}"),
            Happening::Weighed { plugin, shares } => {
                info!("messages of plugin {plugin} are shared now: {shares}");
            }
            Happening::FolderGone { why } => {
                warn!("{why}; what was loaded goes on serving");
            }
            Happening::FolderBack => info!("the plugin folder can be read again"),
            Happening::Missing { why } => warn!("{why}"),
            Happening::ConfigurationTaken => info!("the configuration was read again"),
            Happening::ConfigurationRefused { why } => {
                error!("the configuration is refused, the former one stays in force: {why}");
            }
            Happening::NotNow { key, wanted, kept } => warn!(
                "`{key}` is {wanted} in the configuration now; this worker keeps {kept} until it \
                 is started again"
            ),
        }
    }

    /// Each counter by its name.
    pub(crate) fn read(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("swapped", read(&self.swapped)),
            ("removed", read(&self.removed)),
            ("refused", read(&self.refused)),
            ("configurations", read(&self.configurations)),
            ("configurations_refused", read(&self.configurations_refused)),
        ]
    }

    /// What came of changes since the start, by plugin; zeros for those of `names` that did not change.
    pub(crate) fn reloads(&self, names: BTreeSet<String>) -> Vec<Reloads> {
        let by_plugin = self.by_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = by_plugin.clone();
        drop(by_plugin);
        for name in names.into_iter().take(MOST) {
            all.entry(name).or_default();
        }
        let reloads = all.into_iter().map(|(plugin, [swapped, refused, gone])| Reloads {
            plugin,
            outcomes: [("swapped", swapped), ("refused", refused), ("gone", gone)],
        });
        reloads.collect()
    }

    fn count(&self, plugin: &str, outcome: usize) {
        let mut by_plugin = self.by_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        let full = by_plugin.len() >= MOST && !by_plugin.contains_key(plugin);
        let plugin = if full { OTHERS } else { plugin };
        by_plugin.entry(plugin.to_owned()).or_default()[outcome] += 1;
    }

    fn counter(&self, happening: &Happening<'_>) -> Option<&AtomicU64> {
        match happening {
            Happening::Added { .. }
            | Happening::Replaced { .. }
            | Happening::Reconfigured { .. } => Some(&self.swapped),
            Happening::Removed { .. } => Some(&self.removed),
            Happening::Refused { .. } => Some(&self.refused),
            Happening::ConfigurationTaken => Some(&self.configurations),
            Happening::ConfigurationRefused { .. } => Some(&self.configurations_refused),
            _ => None,
        }
    }
}

/// Whose change it was, and the place of what came of it among the outcomes.
fn outcome<'a>(happening: &Happening<'a>) -> Option<(&'a str, usize)> {
    match happening {
        Happening::Added { version, .. }
        | Happening::Replaced { version, .. }
        | Happening::Reconfigured { version } => Some((&version.plugin, 0)),
        Happening::Refused { plugin, .. } => Some((plugin, 1)),
        Happening::Removed { version } => Some((&version.plugin, 2)),
        _ => None,
    }
}

fn count(tasks: usize) -> String {
    match tasks {
        1 => "1 task".to_owned(),
        several => format!("{several} tasks"),
    }
}
