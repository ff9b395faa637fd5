//! Finds and reads the project's own files.

use std::path::{Path, PathBuf};

/// Where nothing of ours lies, or what others generated.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "deps", "golden"];

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository")
}

/// All files below these folders with one of these extensions, in a fixed order; with no extension
/// given, all files.
pub(crate) fn files(folders: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), extensions, &mut found);
    }
    found.sort();
    assert!(!found.is_empty(), "no files in {folders:?}");
    found
}

fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // What `umbel build` makes in a plugin's folder; others are called so, too.
        let built =
            name == "build" && folder.parent().is_some_and(|above| above.ends_with("plugins"));
        if name.starts_with('.') || SKIPPED.contains(&&*name) || built {
            continue;
        }
        if path.is_dir() {
            walk(&path, extensions, found);
        } else {
            let extension = path.extension().and_then(|text| text.to_str()).unwrap_or_default();
            if extensions.is_empty() || extensions.contains(&extension) {
                found.push(path);
            }
        }
    }
}

/// The path as people write it.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// A file's text; empty for what is no text.
pub(crate) fn read(place: &str) -> String {
    let bytes = std::fs::read(root().join(place)).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// Rust without its inline tests: all up to `#[cfg(test)]` on a line of its own.
pub(crate) fn without_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod ") {
        Some(end) => &text[..end],
        None => text,
    }
}

/// The line without a `//` comment; good enough for lines whose texts hold no `//`.
pub(crate) fn without_comment(line: &str) -> &str {
    match line.trim_start().starts_with("//") {
        true => "",
        false => line,
    }
}
