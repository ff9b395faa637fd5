//! Components that ask for what is not there, or not so: each is a load error that names it.

use std::fs;

use tempfile::TempDir;
use umbel_harness::worker;

/// A component that imports an instance of this name with this in it.
fn importing(name: &str, inside: &str) -> String {
    format!("(component (import \"{name}\" (instance {inside})))")
}

/// What `umbel check` says of it, and of two others in the same folder: it ends, with code 1.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("guest.wasm");
    let binary = wat::parse_str(text).unwrap_or_else(|why| panic!("{why}"));
    fs::write(&file, binary).expect("a temporary folder is writable");
    let ended = worker::run("check", &[&file.display().to_string()]);
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{text}\n{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` for\n{text}\nin\n{said}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let open = "(export \"open\" (func))";
    refused(&importing("acme:vault/doors@1.0.0", open), &["acme:vault/doors@1.0.0"]);
    refused(&importing("wasi:nn/graph@0.2.0", open), &["wasi:nn/graph@0.2.0"]);
    refused(&importing("umbel:task/secrets@0.1.0", open), &["umbel:task/secrets@0.1.0"]);
    let three = "(component (import \"a:a/a\" (instance)) (import \"b:b/b\" (instance)) \
                 (import \"c:c/c\" (instance)))";
    refused(three, &["`a:a/a`", "`b:b/b`", "`c:c/c`"]);
}

#[test]
fn a_known_package_at_another_version_is_named() {
    for name in [
        "umbel:task/context@9.0.0",
        "umbel:task/context@0.2.0",
        "umbel:task/context",
        "wasi:cli/environment@0.1.0",
        "wasi:cli/environment@1.0.0",
        "wasi:io/poll@9.9.9",
    ] {
        refused(&importing(name, "(export \"current\" (func))"), &[name]);
    }
}

#[test]
fn a_known_interface_of_another_type_is_named() {
    for (name, inside, part) in [
        (
            "umbel:task/context@0.1.0",
            "(export \"remaining-ms\" (func (result string)))",
            "remaining-ms",
        ),
        ("umbel:task/context@0.1.0", "(export \"no-such-function\" (func))", "no-such-function"),
        (
            "wasi:random/random@0.2.0",
            "(export \"get-random-u64\" (func (param \"a\" u8)))",
            "get-random-u64",
        ),
        ("wasi:clocks/monotonic-clock@0.2.0", "(export \"now\" (func (result u8)))", "now"),
    ] {
        refused(&importing(name, inside), &[name, part]);
    }
}

#[test]
fn bare_functions_and_nested_components_are_no_way_round() {
    refused("(component (import \"open\" (func)))", &["open"]);
    let nested = "(component (import \"steal\" (func $f)) \
                  (component $inner (import \"steal\" (func $f)) (export \"f\" (func $f))) \
                  (instance (instantiate $inner (with \"steal\" (func $f)))))";
    refused(nested, &["steal"]);
}

/// Valid by the letter of the component model, but no tool makes it.
#[test]
fn a_function_under_an_interfaces_name_is_refused() {
    refused("(component (import \"c:c/c\" (func)))", &["guest.wasm"]);
}
