//! Hears from the system that files changed. What it misses, the sweep finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::{debug, warn};

use super::keeper::Wake;

pub(crate) struct Watch {
    /// `None`: the system has no way to tell, or no watch left to give.
    watcher: Option<RecommendedWatcher>,
    /// What is watched, and which file or folder of that name it was.
    places: BTreeMap<PathBuf, (u64, u64)>,
}

impl Watch {
    /// Wakes whoever listens at the other end.
    pub(crate) fn new(wake: Sender<Wake>) -> Watch {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| matters(&event)) {
                // Nobody listens any more when the worker ends.
                let _ = wake.send(Wake::Look);
            }
        });
        let watcher = watcher.map_err(|error| {
            warn!(
                "the system does not tell of changed plugins ({error}): they are looked at from \
                   time to time"
            );
        });
        Watch { watcher: watcher.ok(), places: BTreeMap::new() }
    }

    /// Watches these files and folders and nothing else; those that were replaced are watched anew.
    pub(crate) fn follow(&mut self, wanted: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        self.places.retain(|place, identity| {
            let keep = wanted.contains(place) && self::identity(place) == Some(*identity);
            if !keep {
                // Gone already, most likely.
                let _ = watcher.unwatch(place);
            }
            keep
        });
        for place in wanted {
            let Some(identity) = self::identity(place) else { continue };
            if self.places.contains_key(place) {
                continue;
            }
            match watcher.watch(place, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.places.insert(place.clone(), identity)),
                Err(error) => debug!("{} is not watched: {error}", place.display()),
            }
        }
    }
}

/// Reading a file is no news; in a folder only components and what links lead through are.
fn matters(event: &Event) -> bool {
    let concerns = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let component = path.extension() == Some(OsStr::new("wasm"));
        component
            || name.starts_with(b"..")
            || path.extension().is_none()
            || name.ends_with(b"toml")
    };
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(concerns))
}

fn identity(place: &Path) -> Option<(u64, u64)> {
    let about = std::fs::metadata(place).ok()?;
    Some((about.dev(), about.ino()))
}
