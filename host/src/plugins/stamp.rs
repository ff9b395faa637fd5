//! What a file looks like from outside: enough to see that it was written or replaced.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Place, size and times of a file. Equal stamps: nobody touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file, or nobody lets us look.
    pub(crate) fn of(file: &Path) -> Option<Stamp> {
        let about = std::fs::metadata(file).ok()?;
        Some(Stamp {
            place: (about.dev(), about.ino()),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

/// A file as it was last seen, and since when it looks like that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) stamp: Option<Stamp>,
    pub(crate) since: Instant,
}

impl Seen {
    /// Notes what is there now.
    pub(crate) fn look(earlier: Option<Seen>, stamp: Option<Stamp>, now: Instant) -> Seen {
        match earlier {
            Some(seen) if seen.stamp == stamp => seen,
            _ => Seen { stamp, since: now },
        }
    }

    /// When it will have been still for so long; `None` if it has been already.
    pub(crate) fn still(&self, patience: Duration, now: Instant) -> Option<Instant> {
        let at = self.since + patience;
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_still_once_it_kept_its_looks_for_long_enough() {
        let patience = Duration::from_millis(100);
        let stamp = |size| Some(Stamp { place: (1, 1), size, modified: (0, 0), changed: (0, 0) });
        let start = Instant::now();
        let first = Seen::look(None, stamp(1), start);
        assert_eq!(first.still(patience, start), Some(start + patience));
        let written = Seen::look(Some(first), stamp(2), start + patience);
        assert_eq!(written.still(patience, start + patience), Some(start + 2 * patience));
        let kept = Seen::look(Some(written), stamp(2), start + 3 * patience);
        assert_eq!(kept.still(patience, start + 3 * patience), None);
    }
}
