//! Rust: cargo, for `wasm32-wasip2`, whose linker makes a component.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{Module, Source, helper, template};
use crate::Problem;
use crate::project::Project;
use crate::tools::{Job, Tool};

pub(crate) struct Rust;

const TARGET: &str = "wasm32-wasip2";

const CARGO: Tool = Tool {
    name: "cargo",
    inside: &[],
    purpose: "compile Rust",
    install: &["curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"],
};

const RUSTC: Tool = Tool { name: "rustc", ..CARGO };

impl Module for Rust {
    fn claims(&self, project: &Project) -> bool {
        project.has("Cargo.toml")
    }

    fn sources(&self) -> &'static [Source] {
        const SOURCES: &[Source] = &[
            template("sdk/rust/template"),
            helper("sdk/rust/Cargo.toml", "umbel"),
            helper("sdk/rust/README.md", "umbel"),
            helper("sdk/rust/src", "umbel/src"),
            helper("sdk/rust/macros", "umbel/macros"),
            helper("wit/task.wit", "umbel/wit"),
        ];
        SOURCES
    }

    fn example(&self) -> &'static str {
        "summarize '[[3, 1, 2]]'"
    }

    fn name(&self, project: &Project) -> Result<String, Problem> {
        let manifest = project.folder().join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).map_err(|why| Problem::file("read", &manifest, why))?;
        name(&text).ok_or_else(|| {
            Problem::new(format!("{} names no package", manifest.display()))
                .help("build the folder of one package, not that of a whole workspace")
        })
    }

    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        let cargo = job.find(&CARGO)?;
        has_target(job)?;
        let mut command = Command::new(cargo);
        command.current_dir(job.project.folder()).args(["build", "--lib", "--target", TARGET]);
        command.arg("--message-format=json-render-diagnostics");
        command.args(["--color", if job.show.colour() { "always" } else { "never" }]);
        if job.variable("CARGO_TARGET_DIR").is_none() {
            command.arg("--target-dir").arg(job.work("cargo")?);
        }
        if job.release {
            command.arg("--release");
        }
        let said = job.run("compile with cargo", &mut command)?;
        let warnings: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
        let warnings = warnings.join("\n");
        if warnings.contains("warning") {
            job.show.said(&warnings);
        }
        let file = made(&said).ok_or_else(|| {
            Problem::new("cargo made no WebAssembly of this package")
                .help("add to Cargo.toml: [lib] crate-type = [\"cdylib\"]")
        })?;
        fs::read(&file).map_err(|why| Problem::file("read", &file, why))
    }
}

/// The compiler that cargo will use has the target's standard library.
fn has_target(job: &mut Job<'_>) -> Result<(), Problem> {
    let rustc = job.variable("RUSTC").map_or_else(|| job.find(&RUSTC), Ok)?;
    let mut ask = Command::new(rustc);
    ask.current_dir(job.project.folder()).args(["--print", "target-libdir", "--target", TARGET]);
    let folder = job.run("look for Rust's WebAssembly target", &mut ask)?;
    let mut entries = fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    let standard =
        |entry: fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"libstd");
    if entries.any(standard) {
        return Ok(());
    }
    Err(Problem::new(format!("Rust's standard library for {TARGET} is needed, and is not here"))
        .help(format!("rustup target add {TARGET}")))
}

/// The last component that cargo says it made.
fn made(said: &str) -> Option<PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut files =
        messages.filter(|message| message["reason"] == "compiler-artifact").flat_map(|one| {
            let files = one["filenames"].as_array().cloned().unwrap_or_default();
            files.into_iter().filter_map(|file| file.as_str().map(PathBuf::from))
        });
    files.rfind(|file| file.extension().is_some_and(|end| end == "wasm"))
}

/// The library's name, or the package's.
fn name(manifest: &str) -> Option<String> {
    let mut section = "";
    let mut package = None;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some(("name", value)) = line.split_once('=').map(|(key, value)| (key.trim(), value))
        else {
            continue;
        };
        let value = value.split('"').nth(1)?.replace('-', "_");
        match section {
            "[lib]" => return Some(value),
            "[package]" => package = Some(value),
            _ => {}
        }
    }
    package
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_called_as_its_library_or_else_as_its_package() {
        for (manifest, expected) in [
            ("[package]\nname = \"my-thumbs\"\nversion = \"1\"", Some("my_thumbs")),
            ("[package]\nname = \"a\"\n[lib]\nname = \"b\"", Some("b")),
            ("[package]\nname = \"a\"\n[[bin]]\nname = \"b\"", Some("a")),
            ("[workspace]\nmembers = []", None),
        ] {
            assert_eq!(name(manifest).as_deref(), expected, "{manifest}");
        }
    }

    #[test]
    fn the_last_wasm_that_cargo_names_is_the_component() {
        let said = concat!(
            "   Compiling x v0.1.0\n",
            r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","filenames":["/t/x.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#
        );
        assert_eq!(made(said), Some(PathBuf::from("/t/x.wasm")));
        assert_eq!(made(""), None);
    }
}
