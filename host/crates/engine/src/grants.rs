//! What a component may import: what everybody gets, and what its operator grants.

use crate::load::{PluginSource, Refusal};

/// Refuses every import that is not there for this plugin, all at once.
pub(crate) fn granted(imports: &[String], source: &PluginSource) -> Result<(), Refusal> {
    let mut refused = Vec::new();
    let (mut unknown, mut sending) = (false, false);
    for import in imports {
        match offer(import) {
            Offer::Everybody => continue,
            Offer::Senders if may_send(source) => continue,
            Offer::Senders => sending = true,
            Offer::Nobody => unknown = true,
        }
        refused.push(format!("`{import}`"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let mut help = Vec::new();
    if sending {
        help.push(format!(
            "name the tasks it may send: [plugins.{}] allow = {{ submit = [\"…\"] }}",
            toml_key(&source.plugin())
        ));
    }
    if unknown {
        help.push(
            "a plugin may import clocks, random numbers, standard streams and `umbel:task`; build \
             it without the others"
                .to_owned(),
        );
    }
    let what = format!("imports what is not granted: {}", refused.join(", "));
    Err((what, Some(help.join("\nhelp: "))))
}

/// Who may import an interface.
enum Offer {
    Everybody,
    /// Plugins that may send tasks.
    Senders,
    Nobody,
}

/// WASI 0.2 as far as it can be offered empty, and `umbel:task` 0.1.
fn offer(import: &str) -> Offer {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    match name.split_once('/') {
        Some((
            "wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:io" | "wasi:random"
            | "wasi:sockets",
            _,
        )) if version.starts_with("0.2.") => Offer::Everybody,
        Some(("umbel:task", interface)) if version.starts_with("0.1.") => match interface {
            "types" | "context" | "progress" | "log" => Offer::Everybody,
            "tasks" => Offer::Senders,
            _ => Offer::Nobody,
        },
        _ => Offer::Nobody,
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
