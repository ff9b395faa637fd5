//! Tells at once that a holder's process died: a locked file that the system unlocks with it.
//! The lease stays as the second line, for a process that hangs.

use std::fs::{File, remove_file};
use std::path::{Path, PathBuf};

/// Shown as long as the holder lives; lies beside the database.
#[derive(Debug)]
pub(super) struct Sign {
    path: PathBuf,
    name: String,
    // Holds the lock.
    _file: File,
}

impl Sign {
    /// `None` where the file system cannot lock: then only the lease counts.
    pub(super) fn show(database: &Path) -> Option<Sign> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = place(database, &name);
        let file = File::options().write(true).create_new(true).open(&path).ok()?;
        let sign = Sign { path, name, _file: file };
        sign._file.try_lock().ok()?;
        Some(sign)
    }

    /// Under which others find it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        // If it stays, whoever sweeps next removes it.
        let _ = remove_file(&self.path);
    }
}

/// Nobody holds the lock any more. A missing file says nothing: it may have been deleted by hand.
pub(super) fn is_gone(database: &Path, name: &str) -> bool {
    File::open(place(database, name)).is_ok_and(|file| file.try_lock().is_ok())
}

/// Removes what a dead holder left.
pub(super) fn clear(database: &Path, name: &str) {
    let _ = remove_file(place(database, name));
}

fn place(database: &Path, name: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-alive-");
    path.push(name);
    path.into()
}
