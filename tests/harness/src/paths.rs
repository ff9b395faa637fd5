//! Where the built parts are. The only place that reads the `UMBEL_*` variables of the tests.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The workspace's root folder.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the harness lies two folders deep").to_owned()
}

/// The folder that holds the system tests and their scripts.
pub fn tests() -> PathBuf {
    workspace().join("tests")
}

/// The `umbel` binary: `UMBEL_BIN`, else the release build.
pub fn umbel() -> PathBuf {
    built("UMBEL_BIN", "target/release/umbel", "cargo build --release -p umbel")
}

/// The example plugins: `UMBEL_PLUGINS`, else `target/plugins`.
pub fn plugins() -> PathBuf {
    built("UMBEL_PLUGINS", "target/plugins", "make plugins")
}

/// One example plugin by its name.
pub fn plugin(name: &str) -> PathBuf {
    needed(plugins().join(format!("{name}.wasm")), "make plugins")
}

/// One hostile guest by its name: in `UMBEL_GUESTS`, else in `target/guests`.
pub fn guest(name: &str) -> PathBuf {
    let folder = built("UMBEL_GUESTS", "target/guests", "scripts/build-guests.sh");
    needed(folder.join(format!("{name}.wasm")), "scripts/build-guests.sh")
}

/// One plugin of the tests' own by its name: in `UMBEL_TEST_PLUGINS`, else in `target/test-plugins`.
pub fn test_plugin(name: &str) -> PathBuf {
    let folder = built("UMBEL_TEST_PLUGINS", "target/test-plugins", "scripts/build-guests.sh");
    needed(folder.join(format!("{name}.wasm")), "scripts/build-guests.sh")
}

/// A Python that can import Celery 5.7: `UMBEL_PYTHON`, else the one of `target/venv`.
pub fn python() -> PathBuf {
    built("UMBEL_PYTHON", "target/venv/bin/python", "make venv")
}

/// A photograph in JPEG: `UMBEL_PHOTOGRAPH`, else the one that the demonstration uses.
pub fn photograph() -> PathBuf {
    built("UMBEL_PHOTOGRAPH", "target/samples/grace_hopper.jpg", "scripts/samples.sh")
}

/// Where servers keep their data: `UMBEL_SERVERS`, else with other temporary files.
pub(crate) fn servers() -> PathBuf {
    from_environment("UMBEL_SERVERS").unwrap_or_else(std::env::temp_dir)
}

/// A fresh folder for the data of one server.
pub(crate) fn server_folder(prefix: &str) -> TempDir {
    TempDir::with_prefix_in(prefix, servers()).expect("a temporary folder can be made")
}

/// Where the workers of all tests share their compiled code.
pub fn cache() -> PathBuf {
    let folder = from_environment("UMBEL_TEST_CACHE")
        .unwrap_or_else(|| workspace().join("target/test-cache"));
    std::fs::create_dir_all(&folder).expect("the cache folder can be made");
    folder
}

/// Where scripts have fetched compilers that the machine may lack: `UMBEL_COMPILERS`.
pub fn compilers() -> Option<PathBuf> {
    from_environment("UMBEL_COMPILERS")
}

/// Languages of plugins whose compilers are to be tried: `UMBEL_LANGUAGES`, none by default.
pub fn languages() -> Vec<String> {
    let named = std::env::var("UMBEL_LANGUAGES").unwrap_or_default();
    named.split_whitespace().map(str::to_owned).collect()
}

/// How much of a long proof to run: the number in this variable, else `short`.
pub fn amount(variable: &str, short: u64) -> u64 {
    let given = from_environment(variable);
    given.and_then(|given| given.to_str()?.parse().ok()).unwrap_or(short)
}

fn built(variable: &str, default: &str, command: &str) -> PathBuf {
    match from_environment(variable) {
        Some(path) => needed(path, &format!("set {variable} to an existing path")),
        None => needed(workspace().join(default), command),
    }
}

fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn needed(path: PathBuf, command: &str) -> PathBuf {
    assert!(path.exists(), "`{}` is missing\nhelp: {command}", path.display());
    path
}
