//! `allow` in `[plugins.NAME]`: what a plugin may reach. Nobody but the operator writes it.

use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;
use umbel_task::grants::keyvalue::KeyValueGrant;
use umbel_task::grants::{Access, DirGrant, Grants};
use umbel_transport::address::{Address, Scheme};

use super::file::Table;
use super::policy::Changes;
use super::table::Kind;
use super::units;
use crate::fault::Fault;

/// What a plugin may reach, before the environment is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GrantTable {
    given: Grants,
    /// Variables whose values are those of the worker.
    passed: Vec<String>,
}

impl GrantTable {
    /// With the values of this environment; a variable that is not there is not passed on. Paths
    /// of the host are relative to `folder`.
    pub(crate) fn resolve(
        &self,
        folder: &std::path::Path,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Grants {
        let mut grants = self.given.clone();
        for name in &self.passed {
            grants.env.extend(variables(name).map(|value| (name.clone(), value)));
        }
        for dir in &mut grants.dirs {
            dir.host = folder.join(&dir.host);
        }
        grants
    }
}

/// Those that are a matter of policy, so that a task's own table may change them.
const POLICY: &[(&str, &str, Kind)] = &[
    ("submit", "allow.submit", Kind::List),
    ("submit-queues", "allow.submit-queues", Kind::List),
    ("submit-count", "allow.submit-count", Kind::Count),
    ("submit-depth", "allow.submit-depth", Kind::Count),
];

const REST: &[&str] =
    &["http", "sockets", "private", "dirs", "scratch", "env", "config", "keyvalue", "coarse-clock"];

/// Bytes a run may add to a directory that it may write to, where nothing is said.
const QUOTA: u64 = 64 << 20;

/// Bytes of a value in a key-value store, where nothing is said.
const MAX_VALUE: u64 = 1 << 20;

/// What a bucket is called where nothing is said.
const BUCKET: &str = "default";

/// Reads the table `allow`.
pub(super) fn read(
    table: &Table<'_, '_>,
    changes: &mut Changes,
    grants: &mut GrantTable,
) -> Result<(), Fault> {
    let policy = POLICY.iter().map(|(name, ..)| *name);
    let known: Vec<&str> = REST.iter().copied().chain(policy).collect();
    table.check_keys(&known, &[])?;
    for (name, value) in table.entries {
        let name = name.get_ref().as_ref();
        match POLICY.iter().find(|(known, ..)| *known == name) {
            Some((_, key, kind)) => changes.add(key, *kind, table, name, value)?,
            None => grant(table, name, value, grants)?,
        }
    }
    Ok(())
}

fn grant(
    table: &Table<'_, '_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    grants: &mut GrantTable,
) -> Result<(), Fault> {
    let GrantTable { given, passed } = grants;
    match name {
        "http" => given.http = patterns(table, name, value)?,
        "sockets" => given.sockets = patterns(table, name, value)?,
        "private" => given.private = patterns(table, name, value)?,
        "dirs" => given.dirs = dirs(table, name, value)?,
        "scratch" => given.scratch = Some(parsed(table, name, value, Kind::Size, units::size)?),
        "config" => given.config = pairs(&table.table(value, name)?)?,
        "keyvalue" => given.keyvalue = Some(keyvalue(&table.table(value, name)?, value)?),
        "coarse-clock" => {
            let step = parsed(table, name, value, Kind::Duration, units::duration)?;
            given.coarse_clock = (!step.is_zero()).then_some(step);
        }
        _ if value.get_ref().is_table() => given.env = pairs(&table.table(value, name)?)?,
        _ => *passed = patterns(table, name, value)?,
    }
    Ok(())
}

/// One value, read; a refusal gets file, line and key.
fn parsed<T>(
    table: &Table<'_, '_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    kind: Kind,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Fault> {
    let text = table.plain(kind, name, value)?;
    read(&text)
        .map_err(|why| table.source.fault(&value.span(), format!("`{}`: {why}", table.path(name))))
}

/// An array of texts, each read.
fn patterns<T: FromStr<Err: ToString>>(
    table: &Table<'_, '_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<T>, Fault> {
    let DeValue::Array(items) = value.get_ref() else {
        return Err(table.wrong_type(value, name, value.get_ref(), "an array of texts"));
    };
    let read = |text: &str| text.parse::<T>().map_err(|why| why.to_string());
    items.iter().map(|item| parsed(table, name, item, Kind::Text, read)).collect()
}

/// Names and texts, in the order of the file.
fn pairs(table: &Table<'_, '_>) -> Result<Vec<(String, String)>, Fault> {
    let mut entries: Vec<_> = table.entries.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let pair = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &toml::de::DeString<'_> = name.get_ref();
        Ok((name.to_string(), table.plain(Kind::Text, name.as_ref(), value)?))
    };
    entries.into_iter().map(pair).collect()
}

/// `{ url, prefix, buckets, max-value }`
fn keyvalue(table: &Table<'_, '_>, at: &Spanned<DeValue<'_>>) -> Result<KeyValueGrant, Fault> {
    table.check_keys(&["url", "prefix", "buckets", "max-value"], &[])?;
    let needed = |key: &str| {
        let what = || format!("`{}` is missing", table.path(key));
        let help = "write keyvalue = { url = \"redis://HOST\", prefix = \"NAME\" }";
        table.entries.get(key).ok_or_else(|| table.source.fault(&at.span(), what()).help(help))
    };
    let url = parsed(table, "url", needed("url")?, Kind::Url, |url| match Address::parse(url) {
        Ok(address) if address.scheme == Scheme::Redis => Ok(url.to_owned()),
        Ok(_) => Err("only Redis keeps keys and values for plugins".to_owned()),
        Err(wrong) => Err(wrong.what),
    })?;
    let prefix = parsed(table, "prefix", needed("prefix")?, Kind::Text, str::parse)?;
    let buckets = match table.entries.get("buckets") {
        Some(value) => patterns(table, "buckets", value)?,
        None => vec![BUCKET.parse().expect("it is a good name")],
    };
    let max_value = match table.entries.get("max-value") {
        Some(value) => parsed(table, "max-value", value, Kind::Size, units::size)?,
        None => MAX_VALUE,
    };
    Ok(KeyValueGrant { url, prefix, buckets, max_value })
}

fn dirs(
    table: &Table<'_, '_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<DirGrant>, Fault> {
    let DeValue::Array(items) = value.get_ref() else {
        let expected = "an array of tables { host, guest, mode, quota }";
        return Err(table.wrong_type(value, name, value.get_ref(), expected));
    };
    items.iter().map(|item| dir(&table.table(item, name)?, item)).collect()
}

fn dir(table: &Table<'_, '_>, at: &Spanned<DeValue<'_>>) -> Result<DirGrant, Fault> {
    table.check_keys(&["host", "guest", "mode", "quota"], &[])?;
    let wrong = |what: String| table.source.fault(&at.span(), what);
    let text = |key: &str, kind: Kind| {
        table.entries.get(key).map(|value| table.plain(kind, key, value)).transpose()
    };
    let host = text("host", Kind::Path)?
        .ok_or_else(|| wrong(format!("`{}` is missing", table.path("host"))))?;
    let guest = text("guest", Kind::Text)?.unwrap_or_else(|| host.clone());
    if !guest.starts_with('/') {
        let what = format!("`{}`: `{guest}` does not begin with `/`", table.path("guest"));
        return Err(wrong(what));
    }
    let quota = match table.entries.get("quota") {
        Some(value) => Some(parsed(table, "quota", value, Kind::Size, units::size)?),
        None => None,
    };
    let access = match (text("mode", Kind::Text)?.as_deref(), quota) {
        (Some("rw"), quota) => Access::Write { quota: quota.unwrap_or(QUOTA) },
        (None | Some("ro"), None) => Access::Read,
        (None | Some("ro"), Some(_)) => {
            let what = format!("`{}` means nothing where nothing is written", table.path("quota"));
            return Err(wrong(what).help("for a directory to write to, add mode = \"rw\""));
        }
        (Some(other), _) => {
            let what = format!("`{}`: `{other}` is neither `ro` nor `rw`", table.path("mode"));
            return Err(wrong(what));
        }
    };
    Ok(DirGrant { host: PathBuf::from(host), guest, access })
}
