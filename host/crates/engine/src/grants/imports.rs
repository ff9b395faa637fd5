//! What a component may import: what everybody gets, and what its operator grants.

use super::offers::{Access, Import, instead};
use crate::load::{PluginSource, Refusal};

/// One import of a plugin, and what its operator has to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The interface, as the component spells it.
    pub import: String,
    /// The keys of `allow` any of which puts something behind it; none for what everybody has.
    pub grants: &'static [&'static str],
    /// The one of them that the plugin has.
    pub granted: Option<&'static str>,
}

/// Says of each import which grants it has to do with.
pub(crate) fn needs(imports: &[String], source: &PluginSource) -> Vec<Needs> {
    let of = |import: &String| {
        let access = Import::of(import).and_then(|import| import.access());
        let grants = access.map(Access::keys).unwrap_or_default();
        let granted = grants.iter().copied().find(|key| is_given(key, source));
        Needs { import: import.clone(), grants, granted }
    };
    imports.iter().map(of).collect()
}

/// Refuses every import that is not there for this plugin, all at once.
pub(crate) fn granted(imports: &[String], source: &PluginSource) -> Result<(), Refusal> {
    let mut refused = Vec::new();
    let mut missing: Vec<&str> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for import in imports {
        match Import::of(import).and_then(|import| import.access()) {
            Some(Access::Everybody | Access::Empty(_)) => continue,
            Some(Access::Granted(keys, _)) if keys.iter().any(|key| is_given(key, source)) => {
                continue;
            }
            Some(Access::Granted(_, line)) if missing.contains(&line) => {}
            Some(Access::Granted(_, line)) => missing.push(line),
            None => {
                let hint = instead(import);
                if !hints.contains(&hint) {
                    hints.push(hint);
                }
            }
        }
        refused.push(format!("`{import}`"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    if !missing.is_empty() {
        let plugin = toml_key(&source.plugin());
        let line = missing.join(", ");
        hints.insert(0, format!("to allow it, write [plugins.{plugin}] allow = {{ {line} }}"));
    }
    let what = format!("imports what is not granted: {}", refused.join(", "));
    Err((what, Some(hints.join("\nhelp: "))))
}

fn is_given(key: &str, source: &PluginSource) -> bool {
    let grants = &source.grants;
    match key {
        "submit" => may_send(source),
        "http" => !grants.http.is_empty(),
        "keyvalue" => grants.keyvalue.is_some(),
        "config" => !grants.config.is_empty(),
        "env" => !grants.env.is_empty(),
        "dirs" => !grants.dirs.is_empty(),
        "scratch" => grants.scratch.is_some(),
        "sockets" => !grants.sockets.is_empty(),
        _ => false,
    }
}

/// True if any task of the plugin may send anything; each run is held to its own task's names.
fn may_send(source: &PluginSource) -> bool {
    let own = source.tasks.iter().map(|(_, policy)| policy);
    std::iter::once(&source.policy)
        .chain(own)
        .any(|policy| !policy.handling.submit.names.is_empty())
}

/// A name as a key in TOML.
fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => format!("{name:?}"),
    }
}
