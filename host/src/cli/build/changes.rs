//! `umbel build --watch`: hears of saved files, and builds once they rest.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecursiveMode, Watcher};
use umbel_author::build::is_source;

use crate::fault::Fault;
use crate::{fault, out};

/// Editors save in several steps, and tools save several files.
const REST: Duration = Duration::from_millis(100);

/// Builds, and builds again after each change below the folder, until the process is ended. A build
/// that fails is told of, and the next change is waited for.
pub(super) fn build_on_each(
    folder: &Path,
    mut build: impl FnMut() -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    if !folder.is_dir() {
        let what = format!("{} is no folder", folder.display());
        return Err(Fault::usage(what).help("--watch builds projects").into());
    }
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let (tell, changes) = channel();
    let mut watcher = notify::recommended_watcher(listener(folder.clone(), tell))
        .context("the system cannot tell of changes")?;
    watcher
        .watch(&folder, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    loop {
        if let Err(error) = build() {
            fault::report(&error);
        }
        out::note("waiting for changes; Ctrl+C ends");
        if !changed(&changes) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn listener(folder: std::path::PathBuf, tell: Sender<()>) -> impl Fn(notify::Result<Event>) {
    move |event| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() && event.paths.iter().any(|path| is_source(&folder, path)) {
            // Nobody listens any more when the process ends.
            let _ = tell.send(());
        }
    }
}

/// Waits for a change and until no other follows; false if there will be none.
fn changed(changes: &Receiver<()>) -> bool {
    if changes.recv().is_err() {
        return false;
    }
    loop {
        match changes.recv_timeout(REST) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
