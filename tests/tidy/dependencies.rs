//! The rules of `deny.toml` that need no database: licences, sources, crates that are banned. Checked
//! here as well, because `cargo deny` is not on every machine.

use std::process::Command;

use serde_json::Value;

use crate::sources::{read, root};

/// Where everything that is not ours comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn licences_sources_and_bans_are_kept() {
    let rules = read("deny.toml");
    let allowed = quoted(section(&rules, "allow = ["));
    let banned = quoted(section(&rules, "deny = ["));
    assert!(allowed.contains(&"MIT") && banned.contains(&"openssl-sys"), "deny.toml is understood");
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(source) = package["source"].as_str() else { continue };
        if source != REGISTRY {
            wrong.push(format!("{name} comes from {source}"));
        }
        if banned.contains(&name) {
            wrong.push(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        if !holds(&licence, &allowed) {
            wrong.push(format!("{name} is under `{licence}`"));
        }
    }
    assert!(wrong.is_empty(), "see deny.toml:\n{}", wrong.join("\n"));
}

/// What is locked and built for this machine.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut metadata = Command::new(cargo);
    metadata.current_dir(root()).args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
    ]);
    metadata.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = metadata.output().expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    tree["packages"].as_array().expect("a list of packages").clone()
}

/// What stands between this opening and the bracket that closes it.
fn section<'a>(text: &'a str, opening: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{opening}")).expect(opening);
    rest.split("\n]").next().unwrap_or_default()
}

/// The first text in quotes of each line.
fn quoted(lines: &str) -> Vec<&str> {
    lines.lines().filter_map(|line| line.split('"').nth(1)).collect()
}

/// True if an expression of licences can be met with these.
fn holds(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim();
    if expression.is_empty() {
        return false;
    }
    if let Some(parts) = split(expression, " OR ") {
        return parts.iter().any(|part| holds(part, allowed));
    }
    if let Some(parts) = split(expression, " AND ") {
        return parts.iter().all(|part| holds(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => holds(inner, allowed),
        None => allowed.contains(&expression),
    }
}

/// The parts between a word outside all brackets, if it occurs.
fn split<'a>(expression: &'a str, word: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && expression[at..].starts_with(word) => {
                parts.push(&expression[start..at]);
                start = at + word.len();
            }
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| {
        parts.push(&expression[start..]);
        parts
    })
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(MIT OR GPL-3.0) AND GPL-2.0", false),
        ("GPL-2.0 OR Apache-2.0 WITH LLVM-exception", true),
    ] {
        assert_eq!(holds(expression, &allowed), expected, "{expression}");
    }
}
