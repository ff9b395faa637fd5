//! Which entries are due, and when the next one is. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use umbel_schedule::Look;
use umbel_transport::timetable::Run;

use crate::settings::{BeatEntry, Settings};

/// What there is to do at `now`, what has waited longest first. Entries that nobody noted yet are
/// not due.
pub(super) fn due(
    settings: &Settings,
    runs: &HashMap<String, Run>,
    now: Timestamp,
) -> Vec<(BeatEntry, Run, Look)> {
    let deadline = settings.beat.starting_deadline;
    let entries = settings.beat.entries.iter();
    let looks = entries.filter_map(|entry| {
        let run = *runs.get(&entry.name)?;
        Some((entry, run, entry.schedule.look(run.at, now, deadline)))
    });
    let due = looks.filter(|(_, _, look)| !matches!(look, Look::Later(_)));
    let mut due: Vec<_> = due.map(|(entry, run, look)| (entry.clone(), run, look)).collect();
    due.sort_by_key(|(_, run, look)| match look {
        Look::Due { due, .. } => *due,
        _ => run.at,
    });
    due
}

/// When the next of these entries is due; `None` if none is foreseen.
pub(super) fn next<'a>(
    entries: impl Iterator<Item = &'a BeatEntry>,
    runs: &HashMap<String, Run>,
) -> Option<Timestamp> {
    entries.filter_map(|entry| entry.schedule.next(runs.get(&entry.name)?.at)).min()
}
