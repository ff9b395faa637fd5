//! Python: componentize-py puts CPython, the project and what it imports into one component, as some twelve modules that
//! are linked at each start; here they become one. Between the component's exports and the author's functions stands the
//! helper's `_guest`, told of their types by a module that is written here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::shapes::{self, pascal, snake};
use super::{HOST, Module, Source, helper, template, write};
use crate::encode::World;
use crate::merge::merge;
use crate::project::Project;
use crate::tools::{Failed, Job, Tool};
use crate::{Problem, files};

pub(crate) struct Python;

const COMPONENTIZE: Tool = Tool {
    name: "componentize-py",
    inside: &[".venv/bin", "venv/bin"],
    purpose: "put Python into a component",
    install: &["python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"],
};

/// The module that componentize-py is given.
const ENTRY: &str = "umbel_entry";

impl Module for Python {
    fn claims(&self, project: &Project) -> bool {
        !project.has("Cargo.toml")
            && !project.has("package.json")
            && (project.has("pyproject.toml") || !project.with_extension("py").is_empty())
    }

    fn sources(&self) -> &'static [Source] {
        const { &[template("sdk/python/template"), helper("sdk/python/umbel", "umbel"), HOST] }
    }

    fn preparation(&self) -> &'static [&'static str] {
        COMPONENTIZE.install
    }

    fn example(&self) -> &'static str {
        "summarize '[[3, 1, 2]]'"
    }

    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        let world = World::read(job.project.folder())?;
        let author = Author::find(job.project, &job.name)?;
        let tool = job.find(&needed(job.project))?;
        let work = job.work("python")?;
        let entry = work.join("entry");
        let helper = work.join("helper");
        write(&entry.join(ENTRY).with_extension("py"), entry_text(&world, &author).as_bytes())?;
        for (place, content) in files::below("sdk/python/umbel") {
            write(&helper.join("umbel").join(place), content)?;
        }
        let wit = job.project.folder().join("wit");
        let world = &world.resolve.worlds[world.id].name;
        let componentize = || {
            let mut command = Command::new(&tool);
            command.current_dir(job.project.folder()).arg("--quiet");
            command.arg("--wit-path").arg(&wit).args(["--world", world]);
            if let Some(environment) = environment_of(&tool) {
                command.env("VIRTUAL_ENV", environment);
            }
            command
        };
        // What editors read; componentize-py writes it only where nothing is.
        let types = job.project.out().join("bindings");
        let _ = fs::remove_dir_all(&types);
        let mut bindings = componentize();
        bindings.arg("bindings").arg(&types);
        let mut component = componentize();
        component.args(["componentize", ENTRY]);
        for folder in [&author.folder, &entry, &helper] {
            component.arg("--python-path").arg(folder);
        }
        let made = work.join("component.wasm");
        component.arg("--output").arg(&made);
        job.attempt("write types for editors", &mut bindings)?
            .map_err(|failed| explain(failed, job, &author))?;
        job.attempt("put Python into a component", &mut component)?
            .map_err(|failed| explain(failed, job, &author))?;
        let bytes = fs::read(&made).map_err(|why| Problem::file("read", &made, why))?;
        let _ = fs::remove_file(&made);
        job.show.step("link its modules");
        Ok(merge(&bytes).unwrap_or_else(|why| {
            job.show.said(&format!("its modules stay apart, and each task starts later: {why:#}"));
            bytes
        }))
    }
}

/// The tool, and the way to it that this project has.
fn needed(project: &Project) -> Tool {
    let install: &[&str] = if project.has("requirements.txt") {
        COMPONENTIZE.install
    } else {
        &["python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1"]
    };
    Tool { install, ..COMPONENTIZE }
}

/// The virtual environment that a tool lies in: what is installed there can be imported.
fn environment_of(tool: &Path) -> Option<&Path> {
    let folder = tool.parent()?.parent()?;
    folder.join("pyvenv.cfg").is_file().then_some(folder)
}

/// The author's module: its name, and the folder that it is imported from.
struct Author {
    module: String,
    folder: PathBuf,
}

impl Author {
    fn find(project: &Project, name: &str) -> Result<Author, Problem> {
        let folders = [project.folder().to_owned(), project.folder().join("src")];
        for module in [name, "app"] {
            for folder in &folders {
                let file = folder.join(module).with_extension("py");
                if file.is_file() || folder.join(module).join("__init__.py").is_file() {
                    return Ok(Author { module: module.to_owned(), folder: folder.clone() });
                }
            }
        }
        let here = project.folder().display();
        Err(Problem::new(format!("there is no {name}.py in {here}"))
            .help("the module that has the tasks is called as the package in wit/, or app.py"))
    }
}

/// The module that has the exported classes.
fn entry_text(world: &World, author: &Author) -> String {
    let imported = |name: &str| match world.import(name) {
        Some(_) => format!("import_module(\"wit_world.imports.{}\")", host_module(world, name)),
        None => "None".to_owned(),
    };
    let mut text = format!(
        r#""""Written by `umbel build`: the component's exports, made of the module `{module}`."""

from importlib import import_module
from json import loads
from sys import modules

from umbel import _guest

import {module} as author

if "socket" in modules:
    # It looks names up with this codec, which it would import only then.
    import encodings.idna

_guest.connect(
    _guest.Worker(
        context={context},
        progress={progress},
        log={log},
        tasks={tasks},
    )
)
_types = {types}
"#,
        module = author.module,
        context = imported("context"),
        progress = imported("progress"),
        log = imported("log"),
        tasks = imported("tasks"),
        types = imported("types"),
    );
    for exported in world.exported() {
        let table = shapes::table(&world.resolve, &exported, snake);
        let (module, class) = match exported.interface {
            Some(name) => ("wit_world.exports", pascal(name)),
            None => ("wit_world", "WitWorld".to_owned()),
        };
        let base = format!("import_module({module:?}).{class}");
        let shapes = format!("loads(r\"\"\"\n{table}\n\"\"\")");
        text += &format!("\n{class} = _guest.implement({base}, author, {shapes}, _types)\n");
    }
    text
}

/// What componentize-py calls an interface of the host's: its name, or a longer one if others share it.
fn host_module(world: &World, name: &str) -> String {
    let imports = world.imports();
    let short = |import: &&String| import.split(['/', '@']).nth(1) == Some(name);
    match imports.iter().filter(short).count() {
        0 | 1 => name.to_owned(),
        _ => format!("umbel_task_{name}"),
    }
}

/// What Python said of the author's module, without what stands around it.
fn explain(failed: Failed, job: &mut Job<'_>, author: &Author) -> Problem {
    let Some(told) = traceback(&failed.said, author) else {
        job.show.said(message(&failed.said));
        return failed.problem;
    };
    let last = told.lines().last().unwrap_or_default();
    if let Some((_, mismatch)) = last.split_once("_guest.Mismatch: ") {
        return Problem::new(mismatch)
            .help("change the function or the .wit file in wit/: both say the same");
    }
    job.show.said(&told);
    let problem = Problem::new(format!("Python could not load `{}`", author.module));
    match last.strip_prefix("ModuleNotFoundError: No module named '") {
        Some(rest) => {
            let package = rest.split(['.', '\'']).next().unwrap_or_default();
            problem.help(format!(
                "name it in requirements.txt, and .venv/bin/pip install -r requirements.txt; or \
                 rename what imports `{package}`, if it is not in Python's library for WebAssembly"
            ))
        }
        None => problem,
    }
}

/// What componentize-py says itself, without where in its own code it says so.
fn message(said: &str) -> &str {
    let said = said.split("\n\nStack backtrace:").next().unwrap_or(said);
    said.split_once("\nAssertionError: ").map_or(said, |(_, message)| message)
}

/// The traceback that Python printed in the component, of the author's files alone; none if there is no such.
fn traceback(said: &str, author: &Author) -> Option<String> {
    const BEGIN: &str = "Traceback (most recent call last):\n";
    // The first one may be that of componentize-py itself, whose folders have other names.
    let begin = said.rfind(BEGIN)?;
    let rest = &said[begin + BEGIN.len()..];
    let mounted = |folder: &str| rest.starts_with(&format!("  File \"/{folder}/"));
    if !["0", "1", "2", "python"].into_iter().any(mounted) {
        return None;
    }
    let rest = rest.split("\n\nCaused by:").next().unwrap_or(rest);
    let mut lines = Vec::new();
    let mut ours = false;
    let mut frames = false;
    for line in rest.trim_end().lines() {
        if let Some(frame) = line.strip_prefix("  File \"/") {
            ours = frame.contains("umbel_entry.py\"") || frame.contains("umbel/_guest.py\"");
            frames |= !ours;
            // The folders that modules are imported from are numbered there: the first is the author's.
            let frame = match frame.strip_prefix("0/") {
                Some(frame) => format!("{}/{frame}", author.folder.display()),
                None => format!("/{frame}"),
            };
            if !ours {
                lines.push(format!("  File \"{frame}"));
            }
        } else if !ours || !line.starts_with("    ") {
            ours = false;
            lines.push(line.to_owned());
        }
    }
    let begin = if frames { BEGIN } else { "" };
    Some(begin.to_owned() + &lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> Author {
        Author { module: "thumbs".to_owned(), folder: PathBuf::from("/p") }
    }

    #[test]
    fn a_mistake_is_shown_as_python_says_it_and_in_the_authors_file() {
        let said = "Traceback (most recent call last):\n  File \"/p/.venv/bin/componentize-py\", line 8, in <module>\n    sys.exit(script())\nAssertionError: Traceback (most recent call last):\n  File \"/1/umbel_entry.py\", line 2, in <module>\n    import thumbs as author\n  File \"/0/thumbs.py\", line 3\n    def load(rows limit):\n                  ^^^^^\nSyntaxError: invalid syntax\n\n\nCaused by:\n    SyntaxError: invalid syntax\n\nStack backtrace:\n   0: anyhow\n";
        let shown = "Traceback (most recent call last):\n  File \"/p/thumbs.py\", line 3\n    def load(rows limit):\n                  ^^^^^\nSyntaxError: invalid syntax";
        assert_eq!(traceback(said, &author()).as_deref(), Some(shown));
    }

    #[test]
    fn a_mismatch_is_left_alone_without_our_own_frames() {
        let said = "AssertionError: Traceback (most recent call last):\n  File \"/1/umbel_entry.py\", line 8, in <module>\n    Tasks = _guest.implement(\n    ...<8 lines>...\n    )\n  File \"/2/umbel/_guest.py\", line 90, in implement\n    _check(call)\n    ~~~~~~^^^^^^\numbel._guest.Mismatch: thumbs has no function `load(rows)`\n\n\nCaused by:\n";
        let shown = "umbel._guest.Mismatch: thumbs has no function `load(rows)`";
        assert_eq!(traceback(said, &author()).as_deref(), Some(shown));
        let own = "Traceback (most recent call last):\n  File \"/p/bin/componentize-py\", line 8\nAssertionError: File exists\n\nStack backtrace:\n   0: x\n";
        assert_eq!(traceback(own, &author()), None);
        assert_eq!(message(own), "File exists");
    }
}
