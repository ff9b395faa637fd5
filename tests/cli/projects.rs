//! Mistakes of authors: names, folders, languages, compilers that are not there.

use std::fs;
use std::path::Path;

use crate::{command, folder, run, umbel};

/// `umbel build` where no compiler can be found.
fn build_with_nothing(folder: &Path, project: &str) -> crate::Ended {
    let mut build = command(folder, &["build", project]);
    build.env("PATH", "/nowhere").env_remove("VIRTUAL_ENV").env_remove("RUSTC");
    build.env_remove("WASI_SDK_PATH").env_remove("WASI_SYSROOT");
    run(build)
}

#[test]
fn a_name_that_no_plugin_can_have_is_refused_with_one_that_would_do() {
    let folder = folder("");
    for (name, parts) in [
        ("MyThumbs", ["`MyThumbs` is no name for a plugin", "help: umbel new my-thumbs"]),
        ("class", ["it means something else in one of the languages", "`class-tools`"]),
        ("../up", ["lower-case letters", "help: umbel new up"]),
    ] {
        umbel(folder.path(), &["new", name, "--lang", "c"]).refused(2, &parts);
    }
    umbel(folder.path(), &["new", "thumbs", "--lang", "cobol"])
        .refused(2, &["invalid value 'cobol'", "possible values", "typescript"]);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = folder("");
    umbel(folder.path(), &["new", "thumbs", "--lang", "c"]).said(&["cd thumbs", "umbel build"]);
    umbel(folder.path(), &["new", "thumbs", "--lang", "go"])
        .refused(2, &["thumbs is there already, and not empty", "help: choose another name"]);
    assert!(!folder.path().join("thumbs/go.mod").exists());
}

#[test]
fn a_folder_of_no_language_or_of_two_is_told_so() {
    let folder = folder("");
    fs::create_dir(folder.path().join("empty")).expect("it is writable");
    umbel(folder.path(), &["build", "empty"])
        .refused(2, &["no project of a language that is known", "umbel new NAME --lang"]);
    umbel(folder.path(), &["build", "nowhere"]).refused(1, &["nowhere", "help: umbel build DIR"]);
    umbel(folder.path(), &["new", "both", "--lang", "go"]).said(&["cd both"]);
    fs::write(folder.path().join("both/Cargo.toml"), "[package]\nname = \"both\"\n")
        .expect("it is writable");
    umbel(folder.path(), &["build", "both"]).refused(
        2,
        &["may be a project in Rust or in Go", "help: say which: umbel build --lang rust"],
    );
}

#[test]
fn a_missing_compiler_is_named_with_the_way_to_get_it() {
    let folder = folder("");
    for (language, parts) in [
        ("c", ["neither `zig` nor `clang` is here", "help: pip install ziglang"]),
        ("go", ["`go` is needed to compile Go", "https://go.dev/dl"]),
    ] {
        umbel(folder.path(), &["new", language_name(language), "--lang", language]).said(&["cd "]);
        build_with_nothing(folder.path(), language_name(language)).refused(1, &parts);
    }
    fs::create_dir(folder.path().join("rusty")).expect("it is writable");
    fs::write(folder.path().join("rusty/Cargo.toml"), "[package]\nname = \"rusty\"\n")
        .expect("it is writable");
    build_with_nothing(folder.path(), "rusty").refused(1, &["`cargo` is needed", "rustup.rs"]);
}

fn language_name(language: &str) -> &'static str {
    if language == "c" { "in-c" } else { "in-golang" }
}

#[test]
fn a_mistake_in_wit_is_shown_where_it_stands() {
    let folder = folder("");
    umbel(folder.path(), &["new", "thumbs", "--lang", "c"]).said(&["cd thumbs"]);
    let file = folder.path().join("thumbs/wit/thumbs.wit");
    let wit = fs::read_to_string(&file).expect("umbel new wrote it");
    fs::write(&file, wit.replace("list<f64>", "list<number>")).expect("it is writable");
    umbel(folder.path(), &["build", "thumbs"]).refused(1, &["thumbs.wit:", "`number`"]);
}

#[test]
fn a_core_module_is_refused_with_the_way_to_a_component() {
    let folder = folder("");
    fs::write(folder.path().join("core.wasm"), b"\0asm\x01\0\0\0").expect("it is writable");
    let refused = ["is a core WebAssembly module", "help: ", "umbel build"];
    umbel(folder.path(), &["check", "core.wasm"]).refused(1, &refused);
    umbel(folder.path(), &["invoke", "core.wasm", "add"]).refused(1, &refused);
    umbel(folder.path(), &["build", "core.wasm"])
        .refused(1, &["does not say what the types of its functions are", "help: bindings"]);
    umbel(folder.path(), &["build", "core.wasm", "--watch"])
        .refused(2, &["--watch builds projects"]);
}
