//! C: clang with a WASI sysroot or zig, and bindings that are made in this process.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOST, Module, Source, helper, template};
use crate::encode::{self, World};
use crate::project::Project;
use crate::tools::{Failed, Job, Tool};
use crate::{Problem, bindings};

pub(crate) struct C;

const BINDINGS: [&str; 2] = ["build/bindings/plugin.c", "build/bindings/plugin_component_type.o"];

const CLANG: Tool = Tool {
    name: "clang",
    inside: &[],
    purpose: "compile C",
    install: &[
        "pip install ziglang",
        "or, from https://github.com/WebAssembly/wasi-sdk, wasi-sdk with WASI_SDK_PATH set to its folder",
        "or, on Debian: apt-get install clang lld wasi-libc",
    ],
};

const ZIG: Tool = Tool { name: "zig", inside: &[".venv/bin"], ..CLANG };

/// What Python's package `ziglang` installs.
const PYTHON_ZIG: Tool = Tool { name: "python-zig", ..ZIG };

impl Module for C {
    fn claims(&self, project: &Project) -> bool {
        let others = ["Cargo.toml", "go.mod", "package.json"];
        !others.iter().any(|file| project.has(file)) && !project.with_extension("c").is_empty()
    }

    fn sources(&self) -> &'static [Source] {
        const SOURCES: &[Source] =
            &[template("sdk/c/template"), helper("sdk/c/umbel", "umbel"), HOST];
        SOURCES
    }

    fn example(&self) -> &'static str {
        "summarize '[[3, 1, 2]]'"
    }

    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        let mut world = World::read(job.project.folder())?;
        let made = job.work("bindings")?;
        for (name, content) in bindings::c(&mut world)? {
            bindings::write(&made.join(name), &content)?;
        }
        let mut command = compiler(job)?;
        let (folder, core) = (job.project.folder(), job.work("c")?.join("core.wasm"));
        command.current_dir(folder).env("ZIG_LOCAL_CACHE_DIR", job.work("c/zig")?);
        command.args([
            "-mexec-model=reactor",
            "-std=gnu11",
            "-Wall",
            "-Ibuild/bindings",
            "-Iumbel",
        ]);
        // The same for both kinds of build: zig makes a C library for each set of options. It also
        // reserves a large stack, and checks what traps anyway.
        command.args(["-Os", "-g", "-fno-sanitize=undefined", "-Wl,-z,stack-size=1048576"]);
        if job.show.colour() {
            command.arg("-fcolor-diagnostics");
        }
        // Relative, so that messages name files as the author knows them.
        command.args(files(job.project)).args(BINDINGS).arg("-o").arg(&core);
        let said = match job.attempt("compile C", &mut command)? {
            Ok(said) => said,
            Err(failed) => return Err(explain(failed, job, &made.join("plugin.h"))),
        };
        if !said.trim().is_empty() {
            job.show.said(&said);
        }
        job.show.step("make a component");
        let module = std::fs::read(&core).map_err(|why| Problem::file("read", &core, why))?;
        encode::component(&if job.release { encode::strip(&module) } else { module })
    }
}

/// What the compiler said; where a task's function is missing, how it would begin.
fn explain(failed: Failed, job: &mut Job<'_>, header: &Path) -> Problem {
    let header = std::fs::read_to_string(header).unwrap_or_default();
    let missing = failed.said.lines().find_map(|line| line.split_once("undefined symbol: "));
    let declared = missing.and_then(|(_, name)| declaration(&header, name.trim()));
    if let Some(declaration) = declared {
        return Problem::new("a function is missing that the .wit file exports")
            .help(format!("write it: {declaration}"))
            .help("or take it out of the .wit file in wit/");
    }
    job.show.said(&failed.said);
    failed.problem
}

/// The declaration of this function, without what ends it.
fn declaration<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let called = format!("{name}(");
    let line = header.lines().find(|line| line.contains(&called))?;
    Some(line.trim_start_matches("extern ").trim_end_matches(';'))
}

/// The project's own files and its helpers.
fn files(project: &Project) -> Vec<PathBuf> {
    let inside = |path: PathBuf| path.strip_prefix(project.folder()).map(Path::to_owned).ok();
    project.with_extension("c").into_iter().filter_map(inside).chain(helpers(project)).collect()
}

fn helpers(project: &Project) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.folder().join("umbel")).into_iter().flatten().flatten();
    let names = entries.map(|entry| Path::new("umbel").join(entry.file_name()));
    let mut found: Vec<PathBuf> =
        names.filter(|name| name.extension().is_some_and(|end| end == "c")).collect();
    found.sort();
    found
}

/// The first compiler that has a C library for WASI.
fn compiler(job: &Job<'_>) -> Result<Command, Problem> {
    if let Some(sdk) = job.variable("WASI_SDK_PATH") {
        return Ok(clang(&sdk.join("bin/clang"), &sdk.join("share/wasi-sysroot")));
    }
    let named = job.variable("WASI_SYSROOT");
    let sysroot = named.or_else(|| has_library(Path::new("/usr")).then(|| PathBuf::from("/usr")));
    if let (Some(program), Some(sysroot)) = (job.look_for(&CLANG), sysroot) {
        return Ok(clang(&program, &sysroot));
    }
    if let Some(zig) = job.look_for(&ZIG).or_else(|| job.look_for(&PYTHON_ZIG)) {
        let mut command = Command::new(zig);
        command.args(["cc", "--target=wasm32-wasi-musl"]);
        return Ok(command);
    }
    Err(Problem::new(match job.look_for(&CLANG) {
        None => "a C compiler for WebAssembly is needed, and neither `zig` nor `clang` is here",
        Some(_) => "`clang` is here, but no C library for WebAssembly",
    })
    .help(CLANG.install[0])
    .help(CLANG.install[1])
    .help(CLANG.install[2]))
}

fn clang(program: &Path, sysroot: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--target=wasm32-wasi").arg(format!("--sysroot={}", sysroot.display()));
    command
}

fn has_library(sysroot: &Path) -> bool {
    sysroot.join("lib/wasm32-wasi/libc.a").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_declared_as_its_author_would_begin_it() {
        let header = "// Exported Functions\nbool exports_a_add(plugin_string_t *text, double *ret);\n\
                      extern void exports_a_add_up(void);\n";
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(declaration(header, name), expected, "{name}");
        };
        check("exports_a_add", Some("bool exports_a_add(plugin_string_t *text, double *ret)"));
        check("exports_a_add_up", Some("void exports_a_add_up(void)"));
        check("malloc", None);
    }
}
