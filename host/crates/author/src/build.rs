//! `umbel build`: from a folder to a component, in one step for the caller.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::encode::World;
use crate::project::{self, Project};
use crate::tools::Job;
use crate::{Environment, Language, Problem, Show, encode, languages};

/// What JavaScript runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// About a megabyte; built by componentize-qjs.
    #[default]
    QuickJs,
    /// About twelve megabytes, with more of the web's interfaces; built by componentize-js.
    StarlingMonkey,
}

impl Engine {
    /// Both, in the order in which help names them.
    pub const ALL: [Engine; 2] = [Engine::QuickJs, Engine::StarlingMonkey];

    /// As the command line spells it.
    pub fn key(self) -> &'static str {
        match self {
            Engine::QuickJs => "quickjs",
            Engine::StarlingMonkey => "starlingmonkey",
        }
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `None`: as the folder looks.
    pub language: Option<Language>,
    /// Optimise for size and strip; otherwise as quick as the language allows.
    pub release: bool,
    /// Where the component goes; `None`: `build/NAME.wasm` in the project.
    pub output: Option<PathBuf>,
    /// For JavaScript and TypeScript.
    pub engine: Engine,
}

/// What a build has made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// What it was written in; `None`: it was a core module.
    pub language: Option<Language>,
}

/// Builds the project in this folder; or, if it is a file, makes a component of that core module.
/// The component appears under its name at once, whole.
pub fn build(
    place: &Path,
    options: &Options,
    environment: Environment<'_>,
    show: &mut dyn Show,
) -> Result<Built, Problem> {
    if place.is_file() {
        return wrap(place, options, show);
    }
    let project = Project::open(place)?;
    let language = options.language.map_or_else(|| project.language(), Ok)?;
    let module = languages::of(language);
    let name = module.name(&project)?;
    let release = options.release;
    let engine = options.engine;
    let mut job = Job { project: &project, name: name.clone(), release, engine, environment, show };
    let mut component = module.build(&mut job)?;
    if project.folder().join("wit").is_dir() {
        component = World::read(project.folder())?.document(component);
    }
    let file = match &options.output {
        Some(file) => file.clone(),
        // As it would be typed: without a dot in front.
        None => place.strip_prefix(".").unwrap_or(place).join("build").join(format!("{name}.wasm")),
    };
    put(&file, &component)?;
    Ok(Built { file, size: component.len(), language: Some(language) })
}

/// True if a change of this file may change what is built of the folder.
pub fn is_source(folder: &Path, path: &Path) -> bool {
    project::is_source(folder, path)
}

fn wrap(module: &Path, options: &Options, show: &mut dyn Show) -> Result<Built, Problem> {
    show.step("make a component");
    let bytes = fs::read(module).map_err(|why| Problem::file("read", module, why))?;
    let component = encode::wrap(module, &bytes)?;
    let stem = module.file_stem().unwrap_or_default().to_string_lossy();
    let beside = module.with_file_name(format!("{stem}_component.wasm"));
    let file = options.output.clone().unwrap_or(beside);
    put(&file, &component)?;
    Ok(Built { file, size: component.len(), language: None })
}

/// Writes a file beside its place and renames it: a worker may be watching.
fn put(file: &Path, content: &[u8]) -> Result<(), Problem> {
    let failed = |why: std::io::Error| Problem::file("write", file, why);
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut beside = tempfile::Builder::new();
    let beside = beside.prefix(".new-").permissions(fs::Permissions::from_mode(0o644));
    let mut beside = beside.tempfile_in(folder).map_err(failed)?;
    beside.write_all(content).map_err(failed)?;
    beside.persist(file).map_err(|why| failed(why.error))?;
    Ok(())
}
