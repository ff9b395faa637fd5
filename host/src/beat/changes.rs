//! The configuration while beat runs: read again once a change of it has come to rest.

use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::plugins::{Again, Seen, Stamp};
use crate::settings::{BeatEntry, Settings};

/// Half a file may well be a whole one that says less.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks at the file, and knows what was decided about it.
pub(super) struct Changes {
    again: Again,
    seen: Option<Seen>,
    decided: Option<Stamp>,
}

impl Changes {
    pub(super) fn new(settings: &Settings, again: Again) -> Changes {
        let decided = Stamp::of(&settings.config_file);
        Changes { again, seen: None, decided }
    }

    /// The new settings, if there are any that can be taken up. `commanded` reads the file however
    /// it looks.
    pub(super) fn look(&mut self, former: &Settings, commanded: bool) -> Option<Settings> {
        let now = Instant::now();
        let stamp = Stamp::of(&former.config_file);
        let seen = Seen::look(self.seen, stamp, now);
        self.seen = Some(seen);
        let waits = stamp == self.decided || seen.still(SETTLE, now).is_some();
        if waits && !commanded {
            return None;
        }
        self.decided = stamp;
        match self.again.read(former) {
            Ok(settings) => {
                let told = difference(&former.beat.entries, &settings.beat.entries);
                info!("beat: the configuration was read again: {told}");
                Some(settings)
            }
            Err(fault) => {
                error!("beat: the changed configuration is not taken up: {fault}");
                None
            }
        }
    }
}

/// What became of the entries, in words.
fn difference(before: &[BeatEntry], after: &[BeatEntry]) -> String {
    let find = |entries: &[BeatEntry], name: &str| {
        entries.iter().find(|entry| entry.name == name).cloned()
    };
    let mut words = Vec::new();
    for entry in after {
        match find(before, &entry.name) {
            None => words.push(format!("{} is new", entry.name)),
            Some(old) if old != *entry => words.push(format!("{} has changed", entry.name)),
            Some(_) => {}
        }
    }
    for entry in before {
        if find(after, &entry.name).is_none() {
            words.push(format!("{} is gone", entry.name));
        }
    }
    if words.is_empty() { "no entry has changed".to_owned() } else { words.join(", ") }
}
