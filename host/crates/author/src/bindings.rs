//! Bindings of a project's WIT for languages whose compilers know nothing of it, written in this
//! process.

use std::fs;
use std::path::Path;

use wit_bindgen_core::{Files, WorldGenerator};

use crate::Problem;
use crate::encode::World;

/// The files of C's bindings, whatever the world is called: `plugin.h`, `plugin.c`, and
/// `plugin_component_type.o`, which carries the types into the module.
pub(crate) fn c(world: &mut World) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let options = wit_bindgen_c::Opts {
        rename_world: Some("plugin".to_owned()),
        ..wit_bindgen_c::Opts::default()
    };
    generate(&mut *options.build(), world)
}

/// The files of Go's bindings as packages below `package`, the bodies of exported functions left open.
pub(crate) fn go(world: &mut World, package: &str) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let options = wit_bindgen_go::Opts {
        format: wit_bindgen_go::Format::False,
        generate_stubs: true,
        pkg_name: Some(package.to_owned()),
        quiet: true,
        ..wit_bindgen_go::Opts::default()
    };
    generate(&mut *options.build(), world)
}

fn generate(
    generator: &mut dyn WorldGenerator,
    world: &mut World,
) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut files = Files::default();
    generator
        .generate(&mut world.resolve, world.id, &mut files)
        .map_err(|why| Problem::new(format!("cannot write bindings: {why:#}")))?;
    Ok(files.iter().map(|(name, content)| (name.to_owned(), content.to_vec())).collect())
}

/// Writes a file unless it is there already and the same: a compiler looks at its time.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<(), Problem> {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|why| Problem::file("create", folder, why))?;
    }
    fs::write(file, content).map_err(|why| Problem::file("write", file, why))
}
