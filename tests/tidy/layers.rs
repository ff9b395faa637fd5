//! The layer rule: a manifest may name only crates below its own.

use std::collections::BTreeMap;

use crate::sources::{files, read, relative};

/// Each package and ours that it may depend on. A new edge is agreed first and comes in a commit
/// of its own.
const LAYERS: &[(&str, &[&str])] = &[
    // The values both worlds speak.
    ("umbel-value", &[]),
    // When something is due; no world of its own.
    ("umbel-schedule", &[]),
    // What the author of a plugin does: no world of its own either.
    ("umbel-author", &[]),
    // Celery's world.
    ("umbel-protocol", &["umbel-value"]),
    ("umbel-transport", &["umbel-value", "umbel-protocol"]),
    ("umbel-protocol-fuzz", &["umbel-value", "umbel-protocol"]),
    // The sandbox's world.
    ("umbel-task", &["umbel-value"]),
    ("umbel-engine", &["umbel-value", "umbel-task"]),
    ("umbel-engine-fuzz", &["umbel-value", "umbel-task", "umbel-engine"]),
    // Where they are introduced to each other.
    ("umbel-worker", &["umbel-value", "umbel-protocol", "umbel-task", "umbel-transport"]),
    (
        "umbel",
        &[
            "umbel-value",
            "umbel-protocol",
            "umbel-task",
            "umbel-schedule",
            "umbel-author",
            "umbel-transport",
            "umbel-engine",
            "umbel-worker",
        ],
    ),
    // Tests run the binary; they never link the engine or the worker.
    ("umbel-harness", &[]),
    ("umbel-system-tests", &["umbel-harness", "umbel-value", "umbel-protocol", "umbel-transport"]),
    (
        "umbel-bench",
        &[
            "umbel-harness",
            "umbel-system-tests",
            "umbel-value",
            "umbel-protocol",
            "umbel-transport",
        ],
    ),
];

/// What any package may name for its own tests, beside itself.
const FOR_TESTS: &[&str] = &["umbel-harness"];

/// Libraries that others must not wait for, and the packages that have them.
const HEAVY: &[(&str, &[&str])] = &[
    ("wasmtime", &["umbel-engine"]),
    ("wasmtime-wasi", &["umbel-engine"]),
    ("lapin", &["umbel-transport", "umbel-bench"]),
    ("redis", &["umbel-transport", "umbel-bench"]),
    ("rusqlite", &["umbel-transport"]),
    ("clap", &["umbel"]),
    ("tracing-subscriber", &["umbel"]),
];

/// Pure packages have no runtime. `umbel-task` may use tokio-util's cancellation token.
const PURE: &[&str] = &["umbel-value", "umbel-protocol", "umbel-task", "umbel-schedule"];
const IMPURE: &[&str] = &["tokio", "lapin", "redis", "rusqlite", "wasmtime", "rustix", "tracing"];

#[test]
fn a_manifest_names_only_crates_below_its_own() {
    let mut wrong = Vec::new();
    for package in packages() {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            wrong.push(format!("{} has no line in LAYERS", package.name));
            continue;
        };
        for dependency in package.of_ours() {
            let for_tests = dependency.for_tests
                && (dependency.name == package.name || FOR_TESTS.contains(&&*dependency.name));
            if !allowed.contains(&&*dependency.name) && !for_tests {
                wrong.push(format!("{} may not depend on {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_layer_is_listed_that_does_not_exist() {
    let packages = packages();
    for (name, allowed) in LAYERS {
        for name in std::iter::once(name).chain(*allowed) {
            assert!(packages.iter().any(|package| package.name == *name), "{name} is no package");
        }
    }
}

#[test]
fn the_worker_builds_without_any_broker_client() {
    for package in packages().iter().filter(|package| package.name == "umbel-worker") {
        for dependency in package.of_ours().filter(|one| !one.for_tests) {
            assert!(!dependency.line.contains("features"), "{}", dependency.line);
        }
    }
}

#[test]
fn heavy_libraries_stay_behind_their_border() {
    let mut wrong = Vec::new();
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|one| !one.for_tests) {
            let heavy = HEAVY.iter().find(|(name, _)| *name == dependency.name);
            if heavy.is_some_and(|(_, allowed)| !allowed.contains(&&*package.name)) {
                wrong.push(format!("{} may not depend on {}", package.name, dependency.name));
            }
            if PURE.contains(&&*package.name) && IMPURE.contains(&&*dependency.name) {
                wrong.push(format!("{} is pure: no {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_shared_dependency_says_why_it_is_there() {
    let manifest = read("Cargo.toml");
    let mut inside = false;
    let mut above = false;
    let mut silent = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if inside && line.contains(" = ") && !line.starts_with("umbel-") {
            let (_, beside) = line.split_once('#').unwrap_or((line, ""));
            if beside.trim().is_empty() && !above {
                silent.push(line.to_owned());
            }
        }
        above = line.starts_with("# ");
    }
    assert!(silent.is_empty(), "no reason given in Cargo.toml:\n{}", silent.join("\n"));
}

struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    line: String,
    for_tests: bool,
}

impl Package {
    fn of_ours(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|one| one.name.starts_with("umbel-"))
    }
}

/// Every member of the workspace. The sdk, the plugins and the guests are workspaces of their own.
fn packages() -> Vec<Package> {
    let mut found = BTreeMap::new();
    for path in files(&["host", "tests"], &["toml"]) {
        let place = relative(&path);
        let apart =
            ["tests/guests", "tests/plugins"].iter().any(|folder| place.starts_with(folder));
        if !place.ends_with("Cargo.toml") || apart {
            continue;
        }
        let package = package(&read(&place));
        assert!(!package.name.is_empty(), "{place} names no package");
        found.insert(package.name.clone(), package);
    }
    found.into_values().collect()
}

/// As much TOML as our manifests use: one dependency a line.
fn package(manifest: &str) -> Package {
    let mut package = Package { name: String::new(), dependencies: Vec::new() };
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            // `[dependencies.name]`
            if let Some((table, name)) = section.split_once('.')
                && table.ends_with("dependencies")
            {
                package.add(table, name, line);
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim();
        if section == "package" && key == "name" {
            package.name = value.trim().trim_matches('"').to_owned();
        } else if section.ends_with("dependencies") && !key.starts_with('#') {
            package.add(section, key.split('.').next().unwrap_or(key), line);
        }
    }
    package
}

impl Package {
    fn add(&mut self, section: &str, name: &str, line: &str) {
        let for_tests = section.ends_with("dev-dependencies");
        self.dependencies.push(Dependency {
            name: name.trim_matches('"').to_owned(),
            line: line.to_owned(),
            for_tests,
        });
    }
}
