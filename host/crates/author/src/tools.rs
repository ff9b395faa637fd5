//! Finds the tools of a language where its people have them, and runs them.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::project::Project;
use crate::{Environment, Problem, Show};

/// How often a waiting author sees that something still happens.
const TICK: Duration = Duration::from_millis(50);

/// A program that a build needs, for whoever lacks it.
pub(crate) struct Tool {
    /// Its file: `go`.
    pub(crate) name: &'static str,
    /// Where its people put it inside a project, for example `node_modules/.bin`.
    pub(crate) inside: &'static [&'static str],
    /// What it is needed for, after "to": `compile Go`.
    pub(crate) purpose: &'static str,
    /// The exact commands that install it, one a line of help.
    pub(crate) install: &'static [&'static str],
}

/// A step that ended badly.
pub(crate) struct Failed {
    /// All that it printed.
    pub(crate) said: String,
    /// That it ended, and how.
    pub(crate) problem: Problem,
}

/// What a language's module works with.
pub(crate) struct Job<'a> {
    pub(crate) project: &'a Project,
    /// The plugin's name, as a file has it.
    pub(crate) name: String,
    /// Optimise for size and strip; otherwise be quick.
    pub(crate) release: bool,
    pub(crate) engine: crate::build::Engine,
    pub(crate) environment: Environment<'a>,
    pub(crate) show: &'a mut dyn Show,
}

impl Job<'_> {
    /// A folder below the project's `build` for what the language makes on its way.
    pub(crate) fn work(&self, name: &str) -> Result<PathBuf, Problem> {
        let folder = self.project.out().join(name);
        fs::create_dir_all(&folder).map_err(|why| Problem::file("create", &folder, why))?;
        Ok(folder)
    }

    /// A variable of the environment as a path, if it is set.
    pub(crate) fn variable(&self, name: &str) -> Option<PathBuf> {
        (self.environment)(name)
    }

    /// The tool in the project, in the active Python environment, or on the PATH.
    pub(crate) fn look_for(&self, tool: &Tool) -> Option<PathBuf> {
        let inside = tool.inside.iter().map(|place| self.project.folder().join(place));
        let active = self.variable("VIRTUAL_ENV").map(|folder| folder.join("bin"));
        let path = self.variable("PATH").unwrap_or_default();
        let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let mut places = inside.chain(active).chain(path).map(|place| place.join(tool.name));
        places.find(|file| is_program(file))
    }

    /// The tool, or an error that says how to get it.
    pub(crate) fn find(&self, tool: &Tool) -> Result<PathBuf, Problem> {
        self.look_for(tool).ok_or_else(|| missing(tool))
    }

    /// Runs a step to its end and gives what it printed. What a failing one printed goes to the
    /// author, for a compiler explains itself.
    pub(crate) fn run(&mut self, step: &str, command: &mut Command) -> Result<String, Problem> {
        self.attempt(step, command)?.map_err(|failed| {
            self.show.said(&failed.said);
            failed.problem
        })
    }

    /// Runs a step to its end and gives what it printed; of one that fails, both that and the end of
    /// it, for who knows better what the author should read.
    pub(crate) fn attempt(
        &mut self,
        step: &str,
        command: &mut Command,
    ) -> Result<Result<String, Failed>, Problem> {
        self.show.step(step);
        let program = Path::new(command.get_program()).to_owned();
        let failed = |why: std::io::Error| Problem::file("run", &program, why);
        let mut output = tempfile::tempfile().map_err(failed)?;
        let door = |output: &File| output.try_clone().map(Stdio::from);
        command.stdin(Stdio::null());
        command.stdout(door(&output).map_err(failed)?).stderr(door(&output).map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            self.show.tick();
            sleep(TICK);
        };
        let mut text = Vec::new();
        output.rewind().and_then(|()| output.read_to_end(&mut text)).map_err(failed)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if status.success() {
            return Ok(Ok(text));
        }
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let problem = Problem::new(format!("could not {step}: `{name}` ended with {status}"));
        Ok(Err(Failed { said: text, problem }))
    }
}

fn missing(tool: &Tool) -> Problem {
    let Tool { name, purpose, install, .. } = tool;
    let problem = Problem::new(format!("`{name}` is needed to {purpose}, and is not here"));
    install.iter().fold(problem, |problem, way| problem.help(*way))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
