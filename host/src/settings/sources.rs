//! Where texts come from: flags, environment, file, defaults. The strongest one that has a text wins.

use std::path::PathBuf;

use super::Origin;
use super::collector::VARIABLES;
use super::file::{self, File};
use super::table::Setting;
use crate::fault::{Fault, redact};

/// The file that is read when nothing names another.
const DEFAULT_FILE: &str = "umbel.toml";

/// All that settings are made of.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) flags: Vec<(&'static str, String)>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) file: Option<File>,
    /// Where the file is, or would be.
    pub(crate) path: PathBuf,
}

impl Sources {
    /// Reads the process's environment, and the file that flag, variable or custom name.
    pub(crate) fn gather(
        flags: Vec<(&'static str, String)>,
        config: Option<PathBuf>,
    ) -> Result<Sources, Fault> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("UMBEL_") || VARIABLES.contains(&name.as_str()))
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(Fault::usage(format!("the variable {name} is not UTF-8"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let named = config.or_else(|| {
            let value = variables.iter().find(|(name, _)| name == "UMBEL_CONFIG");
            value.filter(|(_, path)| !path.is_empty()).map(|(_, path)| path.into())
        });
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(file::parse(&path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                let what = format!("cannot read the configuration {}: {error}", path.display());
                return Err(Fault::usage(what));
            }
        };
        Ok(Sources { flags, variables, file, path })
    }

    /// The text of a setting, from the strongest source that has one.
    pub(super) fn find(&self, setting: &Setting) -> Found {
        let key = setting.key;
        if let Some((_, text)) = self.flags.iter().find(|(flag, _)| *flag == key) {
            let text = setting.with_celerys_unit(text);
            return Found { key, text, origin: Origin::Flag(setting.long) };
        }
        let name = setting.variable();
        // An empty variable is one that somebody wanted out of the way.
        let value = self.variables.iter().find(|(n, value)| *n == name && !value.is_empty());
        if let Some((_, text)) = value {
            return Found { key, text: text.clone(), origin: Origin::Variable(name) };
        }
        if let Some(file) = &self.file
            && let Some(value) = file.values.iter().find(|value| value.key == key)
        {
            let origin = Origin::File { path: file.path.clone(), line: value.line };
            return Found { key, text: value.text.clone(), origin };
        }
        Found { key, text: setting.default.to_owned(), origin: Origin::Default }
    }
}

/// The text of one setting.
pub(super) struct Found {
    pub(super) key: &'static str,
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Found {
    pub(super) fn fault(&self, why: &str) -> Fault {
        let key = self.key;
        // A URL's parser repeats nothing; the rest cannot hold a password, unless misplaced.
        let why = redact(why);
        match &self.origin {
            Origin::File { .. } => Fault::usage(format!("{}: `{key}`: {why}", self.origin)),
            origin => Fault::usage(format!("{origin}: {why}")),
        }
    }
}
