//! Puts the files that `umbel new` writes, and the runtime package of Go's bindings, into the crate.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the helpers of a language leave behind where they are tested.
const SKIPPED: &[&str] = &["target", "node_modules", "build", "__pycache__", "package-lock.json"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder"));
    let root = here.join("../../..").canonicalize().expect("the crate lies in the repository");
    let mut list = String::from("&[\n");
    for folder in ["sdk", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        embed(&root.join(folder), folder, &mut list);
    }
    embed(&runtime_of_go(&here), "go-runtime", &mut list);
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names the folder"));
    fs::write(out.join("files.rs"), list).expect("the folder is cargo's own");
}

/// Adds one line for each file below the folder, in a fixed order.
fn embed(folder: &Path, name: &str, list: &mut String) {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    for path in entries {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.contains(&&*file) || file.ends_with(".pyc") {
            continue;
        }
        let place = format!("{name}/{file}");
        if path.is_dir() {
            embed(&path, &place, list);
        } else {
            writeln!(list, "    ({place:?}, include_bytes!({path:?})),").expect("text takes it");
        }
    }
}

/// Where cargo has unpacked the crate that writes Go's bindings: it carries the package that they
/// import, which has no other home.
fn runtime_of_go(here: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").expect("cargo names itself");
    let target = env::var_os("TARGET").expect("cargo names the target");
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--offline", "--filter-platform"]);
    let output = metadata.arg(target).current_dir(here).output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let manifest = text.split("\"manifest_path\":\"").skip(1).find_map(|rest| {
        let path = Path::new(rest.split('"').next()?);
        let folder = path.parent()?.file_name()?.to_str()?;
        folder.starts_with("wit-bindgen-go").then(|| path.to_owned())
    });
    let manifest = manifest.expect("wit-bindgen-go is a dependency");
    println!("cargo::rerun-if-changed={}", manifest.display());
    manifest.with_file_name("src").join("pkg")
}
