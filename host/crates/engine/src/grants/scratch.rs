//! Folders for what single runs write: private to this user, locked for as long as their plugin
//! version lives, and swept where the process that made them was killed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::{Builder, TempDir};

const PREFIX: &str = "umbel-scratch-";

/// A folder that nobody sweeps while this lives, and that goes with it.
pub(super) struct Folder {
    dir: TempDir,
    _lock: File,
}

impl Folder {
    /// A new one, in the system's folder for such things by default.
    pub(super) fn new(within: Option<&Path>) -> io::Result<Self> {
        const TRIES: usize = 10;
        let mut builder = Builder::new();
        builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
        for _ in 0..TRIES {
            let dir = match within {
                Some(folder) => builder.tempdir_in(folder)?,
                None => builder.tempdir()?,
            };
            // Another process's sweep may have come in between.
            if let Ok(lock) = lock(dir.path()) {
                return Ok(Self { dir, _lock: lock });
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Takes a folder that is still where it was and that nobody holds.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    file.try_lock()?;
    let (locked, now) = (file.metadata()?, fs::symlink_metadata(folder)?);
    match (locked.dev(), locked.ino()) == (now.dev(), now.ino()) {
        true => Ok(file),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Removes the folders whose processes are gone.
pub(crate) fn sweep(within: &Path) {
    for entry in fs::read_dir(within).into_iter().flatten().flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !named || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let folder = entry.path();
        let Ok(_lock) = lock(&folder) else { continue };
        match fs::remove_dir_all(&folder) {
            Ok(()) => tracing::info!("removed {}, left by a killed process", folder.display()),
            Err(why) => tracing::warn!(%why, "cannot remove {}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_process_left_is_swept() {
        let within = tempfile::tempdir().expect("a temporary folder");
        let within = within.path();
        let lives = Folder::new(Some(within)).expect("it is writable");
        let Folder { dir, _lock } = Folder::new(Some(within)).expect("it is writable");
        let left = dir.keep();
        drop(_lock);
        fs::create_dir(left.join("run-1")).expect("it is writable");
        fs::write(left.join("run-1/much"), "something").expect("it is writable");
        let other = within.join("other");
        fs::create_dir(&other).expect("it is writable");
        sweep(within);
        assert_eq!((lives.path().exists(), left.exists(), other.exists()), (true, false, true));
        let path = lives.path().to_owned();
        drop(lives);
        assert!(!path.exists());
    }
}
