//! A project's folder: which language it is written in, where its parts lie.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Language, Problem, languages};

/// Folders in which nothing is written by hand.
const MADE: &[&str] =
    &["build", "target", "node_modules", "__pycache__", ".venv", "venv", ".git", ".umbel"];

/// A folder that a plugin is built from.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    folder: PathBuf,
}

impl Project {
    pub(crate) fn open(folder: &Path) -> Result<Project, Problem> {
        let absolute = fs::canonicalize(folder).map_err(|why| {
            Problem::file("open", folder, why)
                .help("umbel build DIR, with the folder of a project; `umbel new` makes one")
        })?;
        if !absolute.is_dir() {
            return Err(Problem::usage(format!("{} is no folder", folder.display()))
                .help("umbel build DIR, with the folder of a project"));
        }
        Ok(Project { folder: absolute })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where all that is made lies.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.join("build")
    }

    /// True if there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    /// The files with this extension, in the folder itself and in `src`, sorted.
    pub(crate) fn with_extension(&self, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in [self.folder.clone(), self.folder.join("src")] {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let paths = entries.flatten().map(|entry| entry.path());
            found.extend(paths.filter(|path| path.extension() == Some(OsStr::new(extension))));
        }
        found.sort();
        found
    }

    /// The one language whose project this is.
    pub(crate) fn language(&self) -> Result<Language, Problem> {
        let found: Vec<Language> =
            Language::ALL.into_iter().filter(|one| languages::of(*one).claims(self)).collect();
        let here = self.folder.display();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Problem::usage(format!("no project of a language that is known in {here}"))
                .help(
                    "a project has a Cargo.toml (Rust), a go.mod (Go), a package.json \
                     (JavaScript, TypeScript), a file .py (Python) or .c (C)",
                )
                .help("`umbel new NAME --lang LANGUAGE` writes one")),
            [first, ..] => {
                let names: Vec<String> = found.iter().map(Language::to_string).collect();
                Err(Problem::usage(format!("{here} may be a project in {}", names.join(" or in ")))
                    .help(format!("say which: umbel build --lang {}", first.key())))
            }
        }
    }
}

/// True if a change of this file may change what is built of the folder.
pub(crate) fn is_source(folder: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let made = |part: &OsStr| part.to_str().is_some_and(|part| MADE.contains(&part));
    let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    let backup = |name: &OsStr| name.as_encoded_bytes().ends_with(b"~");
    let name = inside.file_name().unwrap_or_default();
    !inside.iter().any(made) && !hidden(name) && !backup(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_and_what_editors_leave_is_no_source() {
        for (path, source) in [
            ("/p/src/lib.rs", true),
            ("/p/wit/p.wit", true),
            ("/p/build/p.wasm", false),
            ("/p/node_modules/x/y.js", false),
            ("/p/.main.c.swp", false),
            ("/p/main.c~", false),
        ] {
            assert_eq!(is_source(Path::new("/p"), Path::new(path)), source, "{path}");
        }
    }
}
