//! What `umbel.toml` may say. Unknown keys are errors that name the nearest known one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use umbel_transport::amqp::QueueOptions;

use super::beat::{self, BeatEntry};
use super::plugins::{self, PluginTable};
use super::queues;
use super::table::{Kind, Setting, settings};
use crate::fault::Fault;

/// A file that was read: texts as a flag would have them, each with its line.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) values: Vec<FileValue>,
    /// Those of `queues` that are tables.
    pub(crate) queues: BTreeMap<String, QueueOptions>,
    pub(crate) plugins: Vec<PluginTable>,
    pub(crate) beat: Vec<BeatEntry>,
}

/// One value of the file.
#[derive(Debug)]
pub(crate) struct FileValue {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Keys of product versions to come: refused by name, never ignored.
const NOT_YET: &[(&str, &str)] =
    &[("policy", "`policy` (grants by pattern) is not supported by this version")];

/// Names of Celery's that are no single key here, and what to write.
const CELERYS: &[(&str, &str)] = &[
    ("task_acks_late", "write `acks = \"late\"` (the default) or `acks = \"early\"` in [tasks]"),
    (
        "task_acks_on_failure_or_timeout",
        "these are two keys of [tasks] here: `ack-on-failure` and `ack-on-timeout`",
    ),
    (
        "task_reject_on_worker_lost",
        "a message whose worker dies always comes again, `limits.deliveries` times; \
         `tasks.interrupted` decides about tasks that the worker's end cut off",
    ),
    (
        "broker_use_ssl",
        "write it into the URL: amqps://…?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE",
    ),
    ("broker_transport_options", "they are keys of [redis] here, or of the URL's query"),
    ("task_queues", "write them into `queues`: names, or tables with name, type, exchange, …"),
    ("task_annotations", "give the task a table: [plugins.NAME] tasks.FUNCTION = { … }"),
];

/// Reads the text of the file at `path`, which is used for messages and relative paths alone.
pub(crate) fn parse(path: &Path, text: &str) -> Result<File, Fault> {
    let source = Source { path, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        source.fault(&at, error.message().to_lowercase())
    })?;
    let root = Table { source, name: String::new(), entries: root.get_ref() };
    root.check_keys(&root_keys(), NOT_YET)?;
    let mut file = File { path: path.to_owned(), ..File::default() };
    section(&root, "", &["plugins", "beat"], &mut |table, setting, name, value| {
        if setting.kind == Kind::Queues {
            file.queues = queues::read(table, name.get_ref(), value)?;
        }
        let text = table.text(setting, name.get_ref(), value)?;
        file.push(setting, source.line(&name.span()), text)
    })?;
    file.named(&root, "plugins", &mut |file, table, name| {
        file.plugins.push(plugins::read(table, name)?);
        Ok(())
    })?;
    file.named(&root, "beat", &mut |file, table, name| {
        file.beat.push(beat::read(table, name)?);
        Ok(())
    })?;
    Ok(file)
}

/// What may stand outside of every table.
fn root_keys() -> Vec<&'static str> {
    let celerys = settings().flat_map(|setting| setting.celery).copied();
    words("").into_iter().chain(celerys).collect()
}

/// What may stand in the table whose settings' keys begin with `prefix`.
fn words(prefix: &str) -> Vec<&'static str> {
    let mut words: Vec<&str> = settings()
        .filter_map(|setting| setting.key.strip_prefix(prefix))
        .map(|rest| rest.split_once('.').map_or(rest, |(word, _)| word))
        .collect();
    words.dedup();
    words
}

/// Takes a setting out of a table: the table, the setting, its name there and its value.
type Take<'t> = dyn FnMut(
        &Table<'_, '_>,
        &'static Setting,
        &Spanned<DeString<'_>>,
        &Spanned<DeValue<'_>>,
    ) -> Result<(), Fault>
    + 't;

/// Takes every setting of a table whose settings' keys begin with `prefix`, those of tables inside
/// it included. Keys in `beside` are somebody else's.
pub(super) fn section(
    table: &Table<'_, '_>,
    prefix: &str,
    beside: &[&str],
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    if !prefix.is_empty() {
        table.check_keys(&[&words(prefix), beside].concat(), &[])?;
    }
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        if beside.contains(&name) {
            continue;
        }
        let full = format!("{prefix}{name}");
        let known = |setting: &&Setting| {
            setting.key == full || (prefix.is_empty() && setting.celery.contains(&name))
        };
        match settings().find(known) {
            Some(setting) => take(table, setting, key, value)?,
            None => section(&table.table(value, name)?, &format!("{full}."), &[], take)?,
        }
    }
    Ok(())
}

/// Takes a table that somebody named.
type TakeNamed<'t> = dyn FnMut(&mut File, &Table<'_, '_>, &str) -> Result<(), Fault> + 't;

impl File {
    /// The tables of things that people name, and the settings beside them that hold for all.
    fn named(
        &mut self,
        root: &Table<'_, '_>,
        key: &str,
        take: &mut TakeNamed<'_>,
    ) -> Result<(), Fault> {
        let Some((name, value)) = root.entries.get_key_value(key) else { return Ok(()) };
        let tables = root.table(value, name.get_ref())?;
        for (name, value) in tables.entries {
            let word = name.get_ref().as_ref();
            let full = tables.path(word);
            let every = settings().find(|setting| setting.key == full);
            match every {
                Some(setting) if !value.get_ref().is_table() => {
                    let text = tables.text(setting, word, value)?;
                    self.push(setting, root.source.line(&name.span()), text)?;
                }
                _ if value.get_ref().is_table() => {
                    take(self, &tables.table(value, word)?, word)?;
                }
                _ => {
                    let fault = tables.wrong_type(value, word, value.get_ref(), "a table");
                    let known = words(&tables.path(""));
                    return Err(match nearest(word, &known) {
                        Some(near) => fault.help(format!("did you mean `{}`?", tables.path(near))),
                        None => fault,
                    });
                }
            }
        }
        Ok(())
    }

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

    /// Where the first of its keys stands.
    pub(super) fn place(&self) -> Range<usize> {
        let first = self.entries.keys().map(Spanned::span).min_by_key(|span| span.start);
        first.unwrap_or_default()
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
            if let Some((_, ours)) = CELERYS.iter().find(|(celerys, _)| *celerys == name) {
                return Err(fault.help(*ours));
            }
            return Err(match nearest(name, known) {
                Some(nearest) => fault.help(format!("did you mean `{}`?", self.path(nearest))),
                None => {
                    // Celery's names are for those who have them.
                    let ours = known.iter().filter(|name| !name.contains('_')).copied();
                    let ours = ours.collect::<Vec<_>>().join(", ");
                    fault.help(format!("known keys here: {ours}"))
                }
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
        let bare = match value.get_ref() {
            DeValue::Integer(number) => Some(number.as_str()),
            DeValue::Float(number) => Some(number.as_str()),
            _ => None,
        };
        if let Some(number) = bare
            && setting.kind == Kind::Duration
            && setting.celery.contains(&key)
        {
            return Ok(setting.with_celerys_unit(&number.replace('_', "")));
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
            (Kind::Count | Kind::Amount | Kind::Rate, DeValue::Integer(number)) => {
                return Ok(number.as_str().replace('_', ""));
            }
            (Kind::Rate, DeValue::Float(number)) => return Ok(number.as_str().to_owned()),
            (Kind::List | Kind::Queues, DeValue::Array(items)) => {
                let items: Option<Vec<&str>> = items.iter().map(|v| item(kind, v)).collect();
                match items {
                    Some(items) if items.iter().all(|item| !item.contains(',')) => {
                        return Ok(items.join(","));
                    }
                    _ if kind == Kind::Queues => "an array of names without commas and of tables",
                    _ => "an array of texts without commas",
                }
            }
            // Servers that are tried in turn.
            (Kind::Url, DeValue::Array(items))
                if items.iter().all(|url| url.get_ref().is_str()) =>
            {
                let urls: Vec<&str> =
                    items.iter().filter_map(|url| url.get_ref().as_str()).collect();
                return Ok(urls.join(";"));
            }
            (Kind::Pairs, DeValue::Table(_)) => return self.table(value, key)?.pairs(),
            (Kind::Pairs, _) => "a table of texts",
            (Kind::Switch, _) => "true or false",
            (Kind::Count, _) => "a whole number",
            (Kind::Duration, DeValue::Integer(number)) => {
                return Err(self.unitless(value, key, number.as_str(), "s"));
            }
            (Kind::Size, DeValue::Integer(number)) => {
                return Err(self.unitless(value, key, number.as_str(), "MiB"));
            }
            (_, DeValue::String(text)) => return Ok(text.to_string()),
            (Kind::Amount, _) => "a whole number or \"off\"",
            (Kind::Rate, _) => "text, for example \"100/m\"",
            (Kind::List | Kind::Queues, _) => "an array of texts",
            (Kind::Duration, _) => "text with a unit, for example \"30s\"",
            (Kind::Size, _) => "text with a unit, for example \"256MiB\"",
            _ => "text",
        };
        Err(self.wrong_type(value, key, inner, expected))
    }

    /// `name=value`, with commas between, in the order of the file.
    fn pairs(&self) -> Result<String, Fault> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut pairs = Vec::new();
        for (name, value) in entries {
            let name = name.get_ref().as_ref();
            let text = self.plain(Kind::Text, name, value)?;
            if [name, &text].iter().any(|word| word.contains([',', '='])) {
                let what = format!("`{}` holds a `,` or a `=`", self.path(name));
                return Err(self.source.fault(&value.span(), what));
            }
            pairs.push(format!("{name}={text}"));
        }
        Ok(pairs.join(","))
    }

    fn unitless(&self, at: &Spanned<DeValue<'_>>, key: &str, number: &str, unit: &str) -> Fault {
        let what = format!("`{}` has no unit", self.path(key));
        self.source.fault(&at.span(), what).help(format!("write \"{number}{unit}\", with quotes"))
    }

    pub(super) fn wrong_type(
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

/// The text of one of an array's items.
fn item<'a>(kind: Kind, value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
    match value.get_ref() {
        DeValue::Table(table) if kind == Kind::Queues => table.get("name")?.get_ref().as_str(),
        other => other.as_str(),
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
