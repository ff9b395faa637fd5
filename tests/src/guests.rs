//! Hostile guests by name, built from Rust or from text.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use umbel_harness::paths;

/// The component of this guest: `tests/guests/<name>.wat` translated, or the folder of that name as
/// `scripts/build-guests.sh` built it.
pub fn guest(name: &str) -> PathBuf {
    let text = paths::tests().join("guests").join(format!("{name}.wat"));
    if !text.exists() {
        return paths::guest(name);
    }
    let binary = wat::parse_file(&text).unwrap_or_else(|why| panic!("{why}"));
    let folder = paths::workspace().join("target/guests-from-text");
    fs::create_dir_all(&folder).expect("target is writable");
    let file = folder.join(format!("{name}.wasm"));
    write_once(&file, &binary);
    file
}

/// Other tests, and other processes of tests, may read the file meanwhile.
fn write_once(file: &Path, binary: &[u8]) {
    static ONE_AT_A_TIME: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::read(file).is_ok_and(|there| there == binary) {
        return;
    }
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, binary).expect("target is writable");
    fs::rename(&beside, file).expect("target is writable");
}
