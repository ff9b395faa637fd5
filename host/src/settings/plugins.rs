//! `[plugins.NAME]`: where a plugin comes from, what its tasks are called, how they are treated.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;
use umbel_task::grants::Grants;

use super::file::{Table, section};
use super::grants::{self, GrantTable};
use super::policy::Changes;
use super::table::Kind;
use super::values;
use crate::fault::Fault;

/// One plugin's table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PluginTable {
    pub(crate) name: String,
    pub(crate) source: Option<PathBuf>,
    /// Versions that share its messages, the established one first. Empty: there is only one.
    pub(crate) versions: Vec<Version>,
    pub(crate) prefix: Option<String>,
    /// What its file's content must hash to, in hexadecimal; versions have their own.
    pub(crate) sha256: Option<String>,
    /// Full task name and the function that gets it.
    pub(crate) names: Vec<(String, String)>,
    /// What it may reach, as the file has it.
    pub(super) allow: GrantTable,
    /// The same with the values of this environment.
    pub(crate) grants: Grants,
    /// What it changes for all its tasks.
    pub(crate) changes: Changes,
    /// Function and what changes for it alone.
    pub(crate) tasks: Vec<(String, Changes)>,
}

/// One of several versions that serve side by side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) source: PathBuf,
    /// Its share of the messages, beside the weights of the others.
    pub(crate) weight: u32,
    /// What its content must hash to, in hexadecimal.
    pub(crate) sha256: Option<String>,
}

/// Reads the table `[plugins.<name>]`.
pub(super) fn read(table: &Table<'_, '_>, name: &str) -> Result<PluginTable, Fault> {
    table.check_keys(
        &["source", "versions", "prefix", "sha256", "names", "allow", "limits", "tasks"],
        &[],
    )?;
    let mut plugin = PluginTable { name: name.to_owned(), ..PluginTable::default() };
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        match key {
            "source" => plugin.source = Some(table.plain(Kind::Path, key, value)?.into()),
            "versions" => plugin.versions = versions(table, key, value)?,
            "sha256" => plugin.sha256 = Some(sha256(table, key, value)?),
            "prefix" => plugin.prefix = Some(table.plain(Kind::Text, key, value)?),
            "names" => {
                let names = table.table(value, key)?;
                for (task, function) in names.entries {
                    let task = task.get_ref().as_ref();
                    let function = names.plain(Kind::Text, task, function)?;
                    plugin.names.push((task.to_owned(), function));
                }
            }
            "allow" => {
                let PluginTable { changes, allow, .. } = &mut plugin;
                grants::read(&table.table(value, key)?, changes, allow)?;
            }
            "limits" => settings(&table.table(value, key)?, "limits.", &mut plugin.changes)?,
            _ => {
                let tasks = table.table(value, key)?;
                for (function, value) in tasks.entries {
                    let function = function.get_ref().as_ref();
                    let own = task(&tasks.table(value, function)?)?;
                    plugin.tasks.push((function.to_owned(), own));
                }
            }
        }
    }
    Ok(plugin)
}

fn sha256<'a, 'i>(
    table: &Table<'a, 'i>,
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
) -> Result<String, Fault> {
    let text = table.plain(Kind::Text, key, value)?;
    let wrong = |why| table.source.fault(&value.span(), format!("`{}`: {why}", table.path(key)));
    values::sha256(&text).map_err(wrong)
}

/// `[{ source = "a.wasm", weight = 95 }, …]`
fn versions<'a, 'i>(
    table: &Table<'a, 'i>,
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
) -> Result<Vec<Version>, Fault> {
    let help = "write versions = [{ source = \"a.wasm\", weight = 95 }, { source = \"b.wasm\", \
                weight = 5 }]";
    let fault = |what: String| table.source.fault(&value.span(), what).help(help);
    let DeValue::Array(items) = value.get_ref() else {
        return Err(table.wrong_type(value, key, value.get_ref(), "an array of tables").help(help));
    };
    for (other, help) in
        [("source", "keep one of them"), ("sha256", "put it into the braces of its version")]
    {
        if let Some((found, _)) = table.entries.get_key_value(other) {
            let what = format!("`{}` beside `{}`", table.path(other), table.path(key));
            return Err(table.source.fault(&found.span(), what).help(help));
        }
    }
    let mut versions: Vec<Version> = Vec::new();
    for item in items {
        let item = table.table(item, key)?;
        item.check_keys(&["source", "weight", "sha256"], &[])?;
        let text = |name: &str, kind| match item.entries.get(name) {
            Some(value) => item.plain(kind, name, value),
            None => Err(fault(format!("a version in `{}` has no `{name}`", table.path(key)))),
        };
        let weight = text("weight", Kind::Count)?;
        let weight = weight.parse().map_err(|_| fault(format!("`{weight}` is no weight")))?;
        let source = PathBuf::from(text("source", Kind::Path)?);
        if versions.iter().any(|version| version.source == source) {
            return Err(fault(format!("{} is there twice", source.display())));
        }
        let pin = item.entries.get("sha256").map(|pin| sha256(&item, "sha256", pin)).transpose()?;
        versions.push(Version { source, weight, sha256: pin });
    }
    match versions.iter().any(|version| version.weight > 0) {
        true => Ok(versions),
        false => Err(fault(format!("no version in `{}` has any weight", table.path(key)))),
    }
}

/// A task's own table: the keys of `[tasks]`, and limits.
fn task(table: &Table<'_, '_>) -> Result<Changes, Fault> {
    let mut changes = Changes::default();
    if let Some((key, value)) = table.entries.get_key_value("limits") {
        let limits = table.table(value, key.get_ref())?;
        if let Some((key, _)) = limits.entries.get_key_value("concurrency") {
            let what = format!("`{}` would be the whole plugin's", limits.path("concurrency"));
            let fault = limits.source.fault(&key.span(), what);
            return Err(fault.help(format!("for this task write `{}`", table.path("concurrency"))));
        }
        settings(&limits, "limits.", &mut changes)?;
    }
    settings(table, "tasks.", &mut changes)?;
    Ok(changes)
}

fn settings(table: &Table<'_, '_>, prefix: &str, changes: &mut Changes) -> Result<(), Fault> {
    if prefix == "limits."
        && let Some((key, _)) = table.entries.get_key_value("stack")
    {
        let what = format!("`{}`: the stack is the same for every plugin", table.path("stack"));
        let fault = table.source.fault(&key.span(), what);
        return Err(fault.help("write it into [limits]"));
    }
    // A task's table holds one of limits, which its caller reads.
    let beside: &[&str] = if prefix == "tasks." { &["limits"] } else { &[] };
    section(table, prefix, beside, &mut |table, setting, name, value| {
        changes.add(setting.key, setting.kind, table, name.get_ref(), value)
    })
}
