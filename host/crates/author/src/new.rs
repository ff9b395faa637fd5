//! `umbel new`: writes a project.

use std::fs;
use std::path::{Path, PathBuf};

use crate::languages::{self, Source};
use crate::project::Project;
use crate::{Language, Name, Problem, files};

/// Writes a project of this language to a folder of its own below `parent`, and gives the folder. A
/// folder that holds anything is left alone.
pub fn create(name: &Name, language: Language, parent: &Path) -> Result<PathBuf, Problem> {
    let folder = parent.join(name.typed());
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Problem::usage(format!(
            "{} is there already, and not empty",
            folder.display()
        ))
        .help("choose another name, or remove the folder"));
    }
    if folder.exists() && !folder.is_dir() {
        return Err(Problem::usage(format!("{} is there already", folder.display()))
            .help("choose another name"));
    }
    let project = languages::of(language);
    if project.sources().is_empty() {
        return Err(Problem::new(format!("there is no template for {language} yet")));
    }
    for source in project.sources() {
        write(source, name, &folder)?;
    }
    project.prepare(&Project::open(&folder)?)?;
    Ok(folder)
}

/// What to type next, one command a line.
pub fn next_steps(name: &Name, language: Language) -> Vec<String> {
    let project = languages::of(language);
    let mut lines = vec![format!("cd {}", name.typed())];
    lines.extend(project.preparation().iter().map(|line| (*line).to_owned()));
    lines.push("umbel build".to_owned());
    lines.push(format!("umbel invoke build/{name}.wasm {}", project.example()));
    lines
}

fn write(source: &Source, name: &Name, folder: &Path) -> Result<(), Problem> {
    for (place, content) in files::below(source.from) {
        let place = folder.join(source.to).join(name.fill(place));
        let content = match std::str::from_utf8(content) {
            Ok(text) if source.template => name.fill(text).into_bytes(),
            _ => content.to_vec(),
        };
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|why| Problem::file("create", parent, why))?;
        }
        fs::write(&place, content).map_err(|why| Problem::file("write", &place, why))?;
    }
    Ok(())
}
