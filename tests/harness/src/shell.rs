//! What people type into a shell, with the tested `umbel` first in its PATH.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{paths, worker};

/// A shell in this folder that runs `line`. Nothing of the environment configures `umbel`; programs
/// are looked for in `folders`, among the compilers that scripts have fetched, and then as everywhere.
pub fn typed(line: &str, folder: &Path, folders: &[PathBuf]) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(folder);
    for (name, value) in worker::command("version").get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let own = paths::umbel().parent().map(Path::to_owned);
    let first = own.into_iter().chain(folders.iter().cloned()).chain(paths::compilers());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::join_paths(first.chain(std::env::split_paths(&path)));
    command.env("PATH", all.expect("folders of a PATH make a PATH"));
    command
}
