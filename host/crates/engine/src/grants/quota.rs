//! What one run may add to one directory. Every byte by which a file gets longer is counted before
//! it is written, holes included, and so is every new name; nothing is given back for what is
//! removed, so that no order of calls can leave more behind than was granted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by all that a run has opened below one directory.
#[derive(Clone)]
pub(super) struct Quota(Arc<Left>);

struct Left {
    bytes: AtomicU64,
    entries: AtomicU64,
}

/// There is no room left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Files, folders and links one run may make.
const MOST_ENTRIES: u64 = 10_000;

/// What a file system needs for an empty file.
const ENTRY: u64 = 4 << 10;

impl Quota {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(Left { bytes: bytes.into(), entries: MOST_ENTRIES.into() }))
    }

    /// Room for bytes that lie beyond the end of a file of `size`, if the ones up to `end` are
    /// written.
    pub(super) fn grow(&self, size: u64, end: u64) -> Result<(), Full> {
        take(&self.0.bytes, end.saturating_sub(size))
    }

    /// Room for one more name.
    pub(super) fn entry(&self) -> Result<(), Full> {
        take(&self.0.entries, 1)?;
        take(&self.0.bytes, ENTRY).inspect_err(|Full| {
            self.0.entries.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// A name was not needed after all.
    pub(super) fn no_entry(&self) {
        self.0.entries.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(ENTRY, Ordering::Relaxed);
    }
}

fn take(left: &AtomicU64, amount: u64) -> Result<(), Full> {
    let rest = |left: u64| left.checked_sub(amount);
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
        Ok(_) => Ok(()),
        Err(_) => Err(Full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_is_counted_and_never_more_than_granted() {
        let quota = Quota::new(100);
        assert_eq!(quota.grow(0, 60), Ok(()));
        assert_eq!(quota.grow(60, 60), Ok(()), "writing over what is there");
        assert_eq!(quota.grow(60, 101), Err(Full));
        assert_eq!(quota.grow(60, 100), Ok(()), "what was refused is not counted");
        assert_eq!(quota.grow(100, 101), Err(Full));
        assert_eq!(quota.grow(0, u64::MAX), Err(Full), "a hole is as long as it says");
    }

    #[test]
    fn names_cost_room_too() {
        let quota = Quota::new(2 * ENTRY);
        assert_eq!((quota.entry(), quota.entry(), quota.entry()), (Ok(()), Ok(()), Err(Full)));
        quota.no_entry();
        assert_eq!(quota.entry(), Ok(()));
        let roomy = Quota::new(u64::MAX);
        let made = (0..2 * MOST_ENTRIES).filter(|_| roomy.entry().is_ok()).count();
        assert_eq!(made as u64, MOST_ENTRIES);
    }
}
