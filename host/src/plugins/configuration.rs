//! The configuration, read again while the worker runs.

use std::path::PathBuf;

use super::happening::{Counts, Happening};
use crate::fault::Fault;
use crate::settings::{Settings, Shown, Sources, resolve};

/// What the command line said: with the environment and the file it makes the settings again.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    pub(crate) flags: Vec<(&'static str, String)>,
    pub(crate) config: Option<PathBuf>,
}

impl Again {
    /// Reads the file once more. A file that is gone changes nothing, and is said to be gone.
    pub(crate) fn read(&self, former: &Settings) -> Result<Settings, Fault> {
        let sources = Sources::gather(self.flags.clone(), self.config.clone())?;
        if sources.file.is_none() && former.has_file {
            let what = format!("the configuration {} is gone", former.config_file.display());
            return Err(Fault::usage(what));
        }
        let settings = resolve(sources)?;
        if settings.plugin_folder != former.plugin_folder {
            std::fs::read_dir(&settings.plugin_folder).map_err(|error| {
                let folder = settings.plugin_folder.display();
                Fault::usage(format!("cannot read the plugin folder {folder}: {error}"))
            })?;
        }
        Ok(settings)
    }
}

/// Tells which settings changed that a running worker cannot change. `started` is what it keeps.
pub(crate) fn tell_of_the_rest(
    started: &Settings,
    former: &Settings,
    settings: &Settings,
    counts: &Counts,
) {
    let find = |shown: &[Shown], key| shown.iter().find(|other| other.key == key).cloned();
    for new in settings.shown.iter().filter(|shown| !is_hot(shown.key)) {
        let (Some(before), Some(kept)) =
            (find(&former.shown, new.key), find(&started.shown, new.key))
        else {
            continue;
        };
        if new.value != before.value && new.value != kept.value {
            let quoted = |value: &str| format!("`{value}`");
            let (wanted, kept) = (quoted(&new.value), quoted(&kept.value));
            counts.tell(&Happening::NotNow { key: new.key, wanted, kept });
        }
    }
}

/// True for what a running worker takes up.
fn is_hot(key: &str) -> bool {
    let of_policy = key.starts_with("limits.") || key.starts_with("tasks.");
    let of_plugins = ["plugin-folder", "plugin-sweep", "keep-going", "json"].contains(&key);
    (of_policy && key != "limits.stack") || of_plugins
}
