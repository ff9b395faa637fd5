//! What `umbel.toml` may say. Unknown keys are errors that name the nearest known one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::plugins::{self, LIMITS_NOT_YET, PluginTable};
use super::table::{Kind, Setting, settings};
use crate::fault::Fault;

/// A file that was read: texts as a flag would have them, each with its line.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) values: Vec<FileValue>,
    pub(crate) plugins: Vec<PluginTable>,
}

/// One value of the file.
#[derive(Debug)]
pub(crate) struct FileValue {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Keys of product versions to come: refused by name, never ignored.
const NOT_YET: &[(&str, &str)] = &[
    ("http", "`http` (health and metrics) is not supported by this version"),
    ("unknown", "`unknown` (parking messages of unknown tasks) is not supported by this version"),
    ("policy", "`policy` (grants by pattern) is not supported by this version"),
    ("beat", "`beat` (scheduled tasks) is not supported by this version"),
];

/// Reads the text of the file at `path`, which is used for messages and relative paths alone.
pub(crate) fn parse(path: &Path, text: &str) -> Result<File, Fault> {
    let source = Source { path, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        source.fault(&at, error.message().to_lowercase())
    })?;
    let root = Table { source, name: String::new(), entries: root.get_ref() };
    let mut known: Vec<&str> = vec!["limits", "plugins"];
    for setting in settings() {
        if !setting.key.contains('.') {
            known.push(setting.key);
        }
        known.extend(setting.celery);
    }
    root.check_keys(&known, NOT_YET)?;
    let mut file = File { path: path.to_owned(), ..File::default() };
    for (key, value) in root.entries {
        let name = key.get_ref().as_ref();
        match name {
            "limits" => {
                let limits = root.table(value, name)?;
                read_limits(&limits, &mut file)?;
            }
            "plugins" => {
                let tables = root.table(value, name)?;
                for (name, value) in tables.entries {
                    let name = name.get_ref().as_ref();
                    file.plugins.push(plugins::read(&tables.table(value, name)?, name)?);
                }
            }
            _ => {
                let setting = settings()
                    .find(|s| s.key == name || s.celery.contains(&name))
                    .expect("only known keys are left");
                file.push(setting, source.line(&key.span()), root.text(setting, name, value)?)?;
            }
        }
    }
    Ok(file)
}

fn read_limits(limits: &Table<'_, '_>, file: &mut File) -> Result<(), Fault> {
    let known: Vec<&str> = settings().filter_map(|s| s.key.strip_prefix("limits.")).collect();
    limits.check_keys(&known, LIMITS_NOT_YET)?;
    for (key, value) in limits.entries {
        let name = key.get_ref().as_ref();
        let full = format!("limits.{name}");
        let setting = settings().find(|s| s.key == full).expect("only known keys are left");
        let line = limits.source.line(&key.span());
        file.push(setting, line, limits.text(setting, name, value)?)?;
    }
    Ok(())
}

impl File {
    fn push(&mut self, setting: &Setting, line: usize, text: String) -> Result<(), Fault> {
        if let Some(first) = self.values.iter().find(|value| value.key == setting.key) {
            let what = format!(
                "{}:{line}: `{}` was given in line {} already, under one of its names",
                self.path.display(),
                setting.key,
                first.line
            );
            return Err(Fault::usage(what));
        }
        self.values.push(FileValue { key: setting.key, text, line });
        Ok(())
    }
}

/// The text that spans point into.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// Counted from one.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn fault(&self, span: &Range<usize>, what: impl AsRef<str>) -> Fault {
        let at = format!("{}:{}", self.path.display(), self.line(span));
        Fault::usage(format!("{at}: {}", what.as_ref()))
    }
}

/// A table of the file and how people would name it.
pub(super) struct Table<'a, 'i> {
    pub(super) source: Source<'a>,
    pub(super) name: String,
    pub(super) entries: &'a DeTable<'i>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// How people would name a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// A value that must be a table itself.
    pub(super) fn table(
        &self,
        value: &'a Spanned<DeValue<'i>>,
        key: &str,
    ) -> Result<Table<'a, 'i>, Fault> {
        match value.get_ref() {
            DeValue::Table(entries) => {
                Ok(Table { source: self.source, name: self.path(key), entries })
            }
            other => Err(self.wrong_type(value, key, other, "a table")),
        }
    }

    /// Refuses every key that is neither in `known` nor planned.
    pub(super) fn check_keys(&self, known: &[&str], not_yet: &[(&str, &str)]) -> Result<(), Fault> {
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            if let Some((_, why)) = not_yet.iter().find(|(planned, _)| *planned == name) {
                let fault = self.source.fault(&key.span(), why);
                return Err(fault.help("take it out; nothing it would grant or limit is in force"));
            }
            let what = format!("unknown key `{}`", self.path(name));
            let fault = self.source.fault(&key.span(), what);
            return Err(match nearest(name, known) {
                Some(nearest) => fault.help(format!("did you mean `{}`?", self.path(nearest))),
                None => fault.help(format!("known keys here: {}", known.join(", "))),
            });
        }
        Ok(())
    }

    /// The value of a setting as a flag would have it.
    pub(super) fn text(
        &self,
        setting: &Setting,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<String, Fault> {
        let inner = value.get_ref();
        // Celery counts seconds, bare; we ask for a unit everywhere else.
        if setting.kind == Kind::Duration && setting.celery.contains(&key) {
            match inner {
                DeValue::Integer(number) => return Ok(format!("{}s", number.as_str())),
                DeValue::Float(number) => return Ok(format!("{}s", number.as_str())),
                _ => {}
            }
        }
        self.plain(setting.kind, key, value)
    }

    /// The value as text, if its type fits.
    pub(super) fn plain(
        &self,
        kind: Kind,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<String, Fault> {
        let inner = value.get_ref();
        let expected = match (kind, inner) {
            (Kind::Switch, DeValue::Boolean(on)) => return Ok(on.to_string()),
            (Kind::Count | Kind::Fuel, DeValue::Integer(number)) => {
                return Ok(number.as_str().replace('_', ""));
            }
            (Kind::List, DeValue::Array(items)) => {
                let items: Option<Vec<&str>> = items.iter().map(|v| v.get_ref().as_str()).collect();
                match items {
                    Some(items) if items.iter().all(|item| !item.contains(',')) => {
                        return Ok(items.join(","));
                    }
                    _ => "an array of texts without commas",
                }
            }
            (Kind::Switch, _) => "true or false",
            (Kind::Count, _) => "a whole number",
            (Kind::Duration, DeValue::Integer(number)) => {
                return Err(self.unitless(value, key, number.as_str(), "s"));
            }
            (Kind::Size, DeValue::Integer(number)) => {
                return Err(self.unitless(value, key, number.as_str(), "MiB"));
            }
            (_, DeValue::String(text)) => return Ok(text.to_string()),
            (Kind::Fuel, _) => "a whole number or \"off\"",
            (Kind::List, _) => "an array of texts",
            (Kind::Duration, _) => "text with a unit, for example \"30s\"",
            (Kind::Size, _) => "text with a unit, for example \"256MiB\"",
            _ => "text",
        };
        Err(self.wrong_type(value, key, inner, expected))
    }

    fn unitless(&self, at: &Spanned<DeValue<'_>>, key: &str, number: &str, unit: &str) -> Fault {
        let what = format!("`{}` has no unit", self.path(key));
        self.source.fault(&at.span(), what).help(format!("write \"{number}{unit}\", with quotes"))
    }

    fn wrong_type(
        &self,
        at: &Spanned<DeValue<'_>>,
        key: &str,
        found: &DeValue<'_>,
        expected: &str,
    ) -> Fault {
        let found = match found {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let help = match self.path(key).as_str() {
            "plugins" => {
                "name the folder with `plugin-folder = \"…\"`; \
                          `[plugins.NAME]` configures a single plugin"
            }
            _ => "",
        };
        let what = format!("`{}` must be {expected}, not {found}", self.path(key));
        let fault = self.source.fault(&at.span(), what);
        if help.is_empty() { fault } else { fault.help(help) }
    }
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
