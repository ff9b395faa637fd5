//! One module for each language: what its projects look like, and how a component is made of one.

mod c;
mod declarations;
mod go;
mod javascript;
mod python;
mod rust;
mod shapes;
mod sourcemap;

use std::fs;
use std::path::Path;

use crate::encode::World;
use crate::project::Project;
use crate::tools::Job;
use crate::{Language, Problem};

/// What a language's module does.
pub(crate) trait Module: Sync {
    /// True if the folder holds a project of this language. Each looks for what the others do not.
    fn claims(&self, project: &Project) -> bool;

    /// The files of a new project; none: there is no template yet.
    fn sources(&self) -> &'static [Source];

    /// Commands between `umbel new` and the first `umbel build`, for example `npm install`.
    fn preparation(&self) -> &'static [&'static str] {
        &[]
    }

    /// A task of the template and its arguments, as `umbel invoke` takes them.
    fn example(&self) -> &'static str;

    /// The plugin's name, which becomes the component's file name.
    fn name(&self, project: &Project) -> Result<String, Problem> {
        let folder = project.folder().file_name().unwrap_or_default().to_string_lossy();
        let named = World::read(project.folder())?.plugin();
        Ok(named.unwrap_or_else(|| folder.replace('-', "_")))
    }

    /// Writes what editors need beside the project's own files, once it is there.
    fn prepare(&self, _: &Project) -> Result<(), Problem> {
        Ok(())
    }

    /// Finds the tools, builds, and gives a component. Steps go to `job.run`, files made on the way
    /// to `job.work`.
    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem>;
}

/// A file or folder that this crate carries, and where it goes in a project.
pub(crate) struct Source {
    /// As in the repository: `sdk/c/template`, `wit/task.wit`.
    pub(crate) from: &'static str,
    /// The folder it goes to; empty: the project itself.
    pub(crate) to: &'static str,
    /// True if names are to be filled in.
    pub(crate) template: bool,
}

/// The template of a language.
const fn template(from: &'static str) -> Source {
    Source { from, to: "", template: true }
}

/// A helper that is copied as it is.
const fn helper(from: &'static str, to: &'static str) -> Source {
    Source { from, to, template: false }
}

/// The host's WIT, for projects that have a `wit` folder.
const HOST: Source = helper("wit/task.wit", "wit/deps/umbel-task");

/// Writes a file that is made on the way, and the folders it lies in.
fn write(file: &Path, content: &[u8]) -> Result<(), Problem> {
    let failed = |why: std::io::Error| Problem::file("write", file, why);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, content).map_err(failed)
}

/// The module of a language.
pub(crate) fn of(language: Language) -> &'static dyn Module {
    match language {
        Language::Rust => &rust::Rust,
        Language::Python => &python::Python,
        Language::JavaScript => &javascript::JavaScript { typed: false },
        Language::TypeScript => &javascript::JavaScript { typed: true },
        Language::C => &c::C,
        Language::Go => &go::Go,
    }
}
