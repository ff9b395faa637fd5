//! From a component file to a checked plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use umbel_task::call::Call;
use umbel_task::name::PluginVersion;
use umbel_task::outcome::{Cost, Ended, Outcome};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Outbox, Task};

use crate::signature::Signature;

/// Where a plugin comes from and how its tasks are to be treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSource {
    /// The component.
    pub file: PathBuf,
    /// The plugin's name; the file's stem by default.
    pub name: Option<String>,
    /// Replaces the plugin's name in the names of its tasks.
    pub prefix: Option<String>,
    /// Full task name and the function that gets it, in WIT's or in Python's spelling.
    pub names: Vec<(String, String)>,
    /// For every task that `tasks` does not name.
    pub policy: TaskPolicy,
    /// Function, in WIT's or in Python's spelling, and its own policy.
    pub tasks: Vec<(String, TaskPolicy)>,
}

impl PluginSource {
    /// A component file with defaults for everything else.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: path.into(), ..Self::default() }
    }
}

/// One content of one component file, checked and ready to run.
pub struct Plugin {
    pub version: PluginVersion,
    /// Sorted by name.
    pub tasks: Vec<Arc<LoadedTask>>,
    /// Exported functions that are no tasks, and why.
    pub skipped: Vec<(String, String)>,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// True if its code was compiled earlier.
    pub from_cache: bool,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{}` {what}{}", file.display(), help.as_deref().map(|h| format!("\nhelp: {h}")).unwrap_or_default())]
pub struct LoadError {
    file: PathBuf,
    what: String,
    help: Option<String>,
}

impl LoadError {
    pub(crate) fn new(source: &PluginSource, what: String, help: Option<String>) -> Self {
        Self { file: source.file.clone(), what, help }
    }

    /// The file that was refused.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// A task of one plugin version.
pub struct LoadedTask {
    signature: Signature,
    version: PluginVersion,
    policy: TaskPolicy,
}

impl LoadedTask {
    /// Its name, parameters and result.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
}

#[async_trait]
impl Task for LoadedTask {
    fn policy(&self) -> &TaskPolicy {
        &self.policy
    }

    fn version(&self) -> &PluginVersion {
        &self.version
    }

    async fn run(&self, _call: Call, _outbox: Arc<dyn Outbox>, _stop: CancellationToken) -> Ended {
        Ended { outcome: Outcome::Stopped, cost: Cost::default() }
    }
}
