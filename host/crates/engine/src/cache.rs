//! Compiled code on disk: private to this user, keyed by content and engine, checked before use.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::compile::in_pieces;
use crate::shape::Description;

/// Raised whenever `Description` or the meaning of a file changes.
const FORMAT: u32 = 1;

/// A folder of compiled components. Several processes may share it.
pub(crate) struct Cache {
    folder: PathBuf,
    /// What of the engine decides whether code compiled elsewhere fits.
    engine: String,
}

/// One component's compiled code, checked, and its description.
pub(crate) struct Entry {
    pub(crate) code: PathBuf,
    pub(crate) description: Description,
}

/// What is kept beside the code. Written last, so it never names code that is not there.
#[derive(Serialize, Deserialize)]
struct Label {
    format: u32,
    /// The code's file name and content: two workers that compile one component may get different
    /// bytes, and each label then names its own.
    code: String,
    sha256: String,
    length: u64,
    description: Description,
}

impl Cache {
    /// Opens a folder, making it if needed; refuses one that others could write to.
    pub(crate) fn open(folder: &Path, engine: String) -> Result<Self, String> {
        let shown = folder.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| format!("cannot make the cache folder `{shown}`: {e}"))?;
        let about = fs::metadata(folder)
            .map_err(|e| format!("cannot look at the cache folder `{shown}`: {e}"))?;
        let us = rustix::process::geteuid().as_raw();
        if about.uid() != us {
            return Err(format!(
                "the cache folder `{shown}` belongs to user {}, not to user {us}, who runs this\n\
                 help: choose another folder; compiled code is run as it is, so nobody else may \
                 write it",
                about.uid()
            ));
        }
        if about.mode() & 0o022 != 0 {
            return Err(format!(
                "the cache folder `{shown}` can be written by other users\n\
                 help: chmod 700 {shown}"
            ));
        }
        Ok(Self { folder: folder.to_owned(), engine })
    }

    /// The entry of a component, if there is one that is whole.
    pub(crate) fn get(&self, digest: &str) -> Option<Entry> {
        let label: Label = serde_json::from_slice(&fs::read(self.label(digest)).ok()?).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if label.format != FORMAT || label.code.starts_with('.') || !label.code.chars().all(plain) {
            return None;
        }
        let code = self.folder.join(&label.code);
        let (length, sha256) = checksum(&code).ok()?;
        (length == label.length && sha256 == label.sha256)
            .then_some(Entry { code, description: label.description })
    }

    /// Keeps compiled code and its description; gives the path of the code.
    pub(crate) fn put(
        &self,
        digest: &str,
        mut code: &File,
        description: &Description,
    ) -> io::Result<PathBuf> {
        code.rewind()?;
        let mut copy = NamedTempFile::new_in(&self.folder)?;
        let mut sha256 = Sha256::new();
        let length = in_pieces(code, |piece| {
            sha256.update(piece);
            copy.write_all(piece)
        })?;
        let sha256 = hex(&sha256.finalize());
        let name = format!("{}-{}.cwasm", self.key(digest), &sha256[..16]);
        let path = self.folder.join(&name);
        copy.persist(&path)?;
        let description = description.clone();
        let label = Label { format: FORMAT, code: name, sha256, length, description };
        self.write(&self.label(digest), &serde_json::to_vec(&label)?)?;
        Ok(path)
    }

    /// Whole or not at all: a temporary file in the same folder, then a rename.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    }

    fn key(&self, digest: &str) -> String {
        format!("{}-{}", digest.get(..32).unwrap_or(digest), self.engine)
    }

    fn label(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{}.json", self.key(digest)))
    }
}

/// Length and SHA-256 of a file.
fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let mut sha256 = Sha256::new();
    let length = in_pieces(File::open(path)?, |piece| {
        sha256.update(piece);
        Ok(())
    })?;
    Ok((length, hex(&sha256.finalize())))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
