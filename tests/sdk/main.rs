//! The helper modules of Python and JavaScript: by their own languages' test runners, and in components. The projects
//! that `umbel new` writes: their tests, which need no worker.

mod components;
mod watching;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use umbel_harness::process::Process;
use umbel_harness::{paths, worker};

/// For compilers and test runners on a busy machine.
const LONG: Duration = Duration::from_secs(300);

/// Runs a command to its end, which must be a good one, and gives what it said.
#[track_caller]
fn succeed(name: &str, command: Command) -> String {
    let (code, text) = ended(name, command);
    assert_eq!(code, 0, "{name} failed:\n{text}");
    text
}

/// The exit code, and all that was said.
#[track_caller]
fn ended(name: &str, command: Command) -> (i32, String) {
    let mut process = Process::start(name, command);
    let status = process.await_end(LONG);
    (status.code().unwrap_or(-1), process.log())
}

/// Where `make plugins` has put this.
fn installed(place: &str) -> PathBuf {
    let plugins = paths::plugins().canonicalize().expect("the plugins were built");
    let found = plugins.parent().expect("they lie in a folder").join(place);
    assert!(found.exists(), "`{}` is missing\nhelp: make plugins", found.display());
    found
}

/// The programs that npm installed for the plugin in JavaScript.
fn node_modules() -> PathBuf {
    installed("plugins-build/text/node_modules")
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new(paths::python());
    command.args(["-m", "unittest"]).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder);
    command
}

fn node(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.args(words).current_dir(folder);
    command
}

/// A new project, with the helper where `npm install` would put it.
fn project(language: &str) -> (TempDir, PathBuf) {
    let home = TempDir::new().expect("a temporary folder can be made");
    let mut new = worker::command("new");
    new.args(["my-thumbs", "--lang", language]).current_dir(home.path());
    succeed("umbel new", new);
    let folder = home.path().join("my-thumbs");
    if language != "python" {
        let modules = folder.join("node_modules");
        std::fs::create_dir(&modules).expect("the folder can be made");
        symlink("../umbel", modules.join("umbel")).expect("a link can be made");
    }
    (home, folder)
}

#[test]
fn the_python_helper_passes_its_tests() {
    succeed("python", python(&paths::workspace().join("sdk/python")));
}

#[test]
fn the_javascript_helper_passes_its_tests() {
    let folder = paths::workspace().join("sdk/javascript");
    let files = std::fs::read_dir(folder.join("test")).expect("there are tests");
    let mut test = node(&folder, &["--test"]);
    test.args(files.map(|file| file.expect("it can be read").path()));
    succeed("node", test);
}

#[test]
fn the_c_helper_passes_its_tests() {
    let home = TempDir::new().expect("a temporary folder can be made");
    let sources = paths::workspace().join("sdk/c");
    let program = home.path().join("test_json");
    let mut compiler = Command::new("cc");
    compiler.args([
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Iumbel",
        "tests/test_json.c",
        "umbel/json.c",
    ]);
    compiler.arg("-o").arg(&program).current_dir(sources);
    succeed("cc", compiler);
    succeed("test_json", Command::new(program));
}

#[test]
fn a_new_python_project_passes_its_tests() {
    let (_home, folder) = project("python");
    let said = succeed("python", python(&folder));
    assert!(said.contains("Ran 4 tests"), "{said}");
}

#[test]
fn a_new_javascript_project_passes_its_tests() {
    let (_home, folder) = project("javascript");
    let said = succeed("node", node(&folder, &["--test"]));
    assert!(said.contains("pass 4"), "{said}");
}

#[test]
fn a_new_typescript_project_passes_its_tests() {
    let (_home, folder) = project("typescript");
    let mut bundle = Command::new(node_modules().join(".bin/esbuild"));
    bundle.args(["test/my_thumbs.test.ts", "--bundle", "--platform=node", "--format=esm"]);
    bundle.arg("--outdir=build/test").current_dir(&folder);
    succeed("esbuild", bundle);
    let said = succeed("node", node(&folder, &["--test", "build/test/my_thumbs.test.js"]));
    assert!(said.contains("pass 4"), "{said}");
}
