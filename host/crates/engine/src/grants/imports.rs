//! What a component may import: what everybody gets, and what its operator grants.

use crate::load::{PluginSource, Refusal};

/// Refuses every import that is not there for this plugin, all at once.
pub(crate) fn granted(imports: &[String], source: &PluginSource) -> Result<(), Refusal> {
    let mut refused = Vec::new();
    let mut missing: Vec<&str> = Vec::new();
    let mut unknown = false;
    for import in imports {
        match offer(import) {
            Offer::Everybody => continue,
            Offer::Granted(grant) if (grant.is_given)(source) => continue,
            Offer::Granted(grant) if missing.contains(&grant.line) => {}
            Offer::Granted(grant) => missing.push(grant.line),
            Offer::Nobody => unknown = true,
        }
        refused.push(format!("`{import}`"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let mut help = Vec::new();
    if !missing.is_empty() {
        help.push(format!(
            "to allow it, write [plugins.{}] allow = {{ {} }}",
            toml_key(&source.plugin()),
            missing.join(", ")
        ));
    }
    if unknown {
        help.push(
            "no plugin may import anything but WASI 0.2 and `umbel:task`; build it without the \
             others"
                .to_owned(),
        );
    }
    let what = format!("imports what is not granted: {}", refused.join(", "));
    Err((what, Some(help.join("\nhelp: "))))
}

/// Who may import an interface.
enum Offer {
    Everybody,
    Granted(&'static Grant),
    Nobody,
}

/// What must be granted for an interface to be there.
struct Grant {
    package: &'static str,
    interfaces: &'static [&'static str],
    versions: &'static str,
    /// As the operator would write it.
    line: &'static str,
    is_given: fn(&PluginSource) -> bool,
}

const GRANTS: &[Grant] = &[
    Grant {
        package: "umbel:task",
        interfaces: &["tasks"],
        versions: "0.1.",
        line: "submit = [\"NAME\"]",
        is_given: may_send,
    },
    Grant {
        package: "wasi:http",
        interfaces: &["types", "outgoing-handler"],
        versions: "0.2.",
        line: "http = [\"https://HOST\"]",
        is_given: |source| !source.grants.http.is_empty(),
    },
    Grant {
        package: "wasi:keyvalue",
        interfaces: &["store", "atomics", "batch"],
        versions: "0.2.0-draft",
        line: "keyvalue = { url = \"redis://HOST\", prefix = \"NAME\" }",
        is_given: |source| source.grants.keyvalue.is_some(),
    },
    Grant {
        package: "wasi:config",
        interfaces: &["store"],
        versions: "0.2.0",
        line: "config = { KEY = \"VALUE\" }",
        is_given: |source| !source.grants.config.is_empty(),
    },
];

/// Interfaces that language runtimes always import: there for everybody, and empty without a grant.
const ALWAYS: &[&str] =
    &["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

fn offer(import: &str) -> Offer {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, interface)) = name.split_once('/') else { return Offer::Nobody };
    if ALWAYS.contains(&package) && version.starts_with("0.2.") {
        return Offer::Everybody;
    }
    let open = ["types", "context", "progress", "log"];
    if package == "umbel:task" && version.starts_with("0.1.") && open.contains(&interface) {
        return Offer::Everybody;
    }
    let grant = GRANTS.iter().find(|grant| {
        grant.package == package
            && grant.interfaces.contains(&interface)
            && version.starts_with(grant.versions)
    });
    grant.map_or(Offer::Nobody, Offer::Granted)
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
