//! What went wrong, and the way out.

use std::fmt;
use std::path::Path;

/// A mistake or a failure, for people: the text, then lines that start with `help: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    what: String,
    help: Vec<String>,
    usage: bool,
}

impl Problem {
    /// Something failed: a compiler, a file.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: Vec::new(), usage: false }
    }

    /// The command line asked for what makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new(what) }
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// True if the command line is at fault.
    pub fn is_usage(&self) -> bool {
        self.usage
    }

    /// What failed with a file, and why.
    pub(crate) fn file(doing: &str, path: &Path, why: impl fmt::Display) -> Self {
        Self::new(format!("cannot {doing} {}: {why}", path.display()))
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.help.iter().try_for_each(|help| write!(f, "\nhelp: {help}"))
    }
}
