//! One component file in the care of the keeper: what it should be, what serves, what was refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use umbel_engine::{Plugin, PluginSource};

use super::stamp::{Seen, Stamp};
use crate::loading::{Owner, Wanted};

/// Whose file, and which.
pub(crate) type Key = (Owner, PathBuf);

/// A file that was still for so long is read: whoever writes one in pieces writes faster.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);

/// What does not load, or lacks tasks it had, may be half a file: it is believed once it was still
/// for so long. What is gone may come back within this time as well.
pub(crate) const STILL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) wanted: Wanted,
    pub(crate) seen: Option<Seen>,
    /// What was decided about last.
    pub(crate) decided: Option<(Stamp, PluginSource)>,
    pub(crate) serving: Option<Serving>,
    pub(crate) refused: Option<Refused>,
    /// Not wanted any more, since then.
    pub(crate) unwanted: Option<Instant>,
}

/// A version that messages are given to.
pub(crate) struct Serving {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) source: PluginSource,
    pub(crate) since: Timestamp,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} since {}", self.plugin.version, self.since)
    }
}

/// A content that is not served, and why.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) why: String,
    /// The content's SHA-256 in hexadecimal, if it could be read.
    pub(crate) digest: Option<String>,
    pub(crate) at: Timestamp,
    /// Another plugin has one of its names: that may change without this file.
    pub(crate) conflict: bool,
}

/// Continues a sentence: which content it is, and why.
impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(digest) = &self.digest {
            write!(f, " (SHA-256 {digest})")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// What is to be done about a slot.
#[derive(Debug, PartialEq)]
pub(crate) enum Need {
    Nothing,
    /// Look again then.
    Wait(Instant),
    Load(Stamp),
}

impl Slot {
    pub(crate) fn new(wanted: Wanted) -> Slot {
        Slot { wanted, seen: None, decided: None, serving: None, refused: None, unwanted: None }
    }

    /// What to do about the file that looks like `stamp` now.
    pub(crate) fn need(&mut self, stamp: Option<Stamp>, settle: Duration, now: Instant) -> Need {
        let seen = Seen::look(self.seen, stamp, now);
        self.seen = Some(seen);
        let Some(stamp) = stamp else { return Need::Nothing };
        let as_decided = self
            .decided
            .as_ref()
            .is_some_and(|(then, source)| *then == stamp && *source == self.wanted.source);
        let conflict = self.refused.as_ref().is_some_and(|refused| refused.conflict);
        if as_decided && !conflict {
            return Need::Nothing;
        }
        match seen.still(settle, now) {
            Some(at) => Need::Wait(at),
            None => Need::Load(stamp),
        }
    }

    /// Whether a poor content has been still for long enough to be believed; else when it will.
    pub(crate) fn believe(&self, now: Instant) -> Result<(), Instant> {
        match self.seen.and_then(|seen| seen.still(STILL, now)) {
            Some(at) => Err(at),
            None => Ok(()),
        }
    }

    /// True if the new version lacks a task that the serving one has.
    pub(crate) fn loses_a_task(&self, plugin: &Plugin) -> bool {
        let Some(serving) = &self.serving else { return plugin.tasks.is_empty() };
        let name = |task: &umbel_engine::LoadedTask| task.signature().function.clone();
        let new: Vec<String> = plugin.tasks.iter().map(|task| name(task)).collect();
        serving.plugin.tasks.iter().any(|task| !new.contains(&name(task)))
    }
}
