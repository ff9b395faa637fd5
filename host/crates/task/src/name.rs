//! Names of tasks and versions of plugins.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name a task is called by (`images.make_thumb`). Any text; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskName(Arc<str>);

impl TaskName {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TaskName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which content of a plugin a task comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginVersion {
    /// The plugin's name: the stem of its file, or its table's name in the configuration.
    pub plugin: Arc<str>,
    /// SHA-256 of the component file, 64 hexadecimal digits.
    pub digest: Arc<str>,
}

impl PluginVersion {
    /// The first twelve digits: enough for people.
    pub fn short(&self) -> &str {
        self.digest.get(..12).unwrap_or(&self.digest)
    }
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.plugin, self.short())
    }
}
