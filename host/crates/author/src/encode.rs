//! Makes components: reads a project's WIT, writes its types into a core module, and puts the
//! adapter for WASI preview 1 beside it.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::Problem;

/// The world that a project's WIT describes.
pub(crate) struct World {
    pub(crate) resolve: Resolve,
    pub(crate) id: WorldId,
}

impl World {
    /// Reads the `wit` folder of a project: its one world, or the one called `plugin`.
    pub(crate) fn read(project: &Path) -> Result<World, Problem> {
        let folder = project.join("wit");
        if !folder.is_dir() {
            return Err(Problem::new(format!("there is no folder {}", folder.display())).help(
                "it holds a .wit file with the types of the tasks; `umbel new` writes an example",
            ));
        }
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(&folder).map_err(|why| mistake(&why))?;
        let id = resolve
            .select_world(&[package], None)
            .or_else(|why| resolve.select_world(&[package], Some("plugin")).map_err(|_| why));
        let id = id.map_err(|why| {
            mistake(&why).help("write one world, or call the one to be built `plugin`")
        })?;
        Ok(World { resolve, id })
    }

    /// The name of the package it belongs to, as a file has it.
    pub(crate) fn plugin(&self) -> Option<String> {
        let package = self.resolve.worlds[self.id].package?;
        Some(self.resolve.packages[package].name.name.replace('-', "_"))
    }

    /// A component of a core module that implements this world.
    pub(crate) fn component(&self, module: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut module = module.to_vec();
        embed_component_metadata(&mut module, &self.resolve, self.id, StringEncoding::UTF8, false)
            .map_err(|why| mistake(&why))?;
        component(&module)
    }
}

/// A component of a core module that says itself which world it implements.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>, Problem> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.adapter(ADAPTER_NAME, ADAPTER))
        .and_then(ComponentEncoder::encode)
        .map_err(|why| mistake(&why))
}

/// A component of a file that its author takes for one.
pub(crate) fn wrap(file: &Path, module: &[u8]) -> Result<Vec<u8>, Problem> {
    let name = file.display();
    match module {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => {
            Err(Problem::usage(format!("{name} is a component already"))
                .help(format!("umbel check {name}")))
        }
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => component(module),
        _ => Err(Problem::usage(format!("{name} is no WebAssembly"))
            .help("umbel build DIR, with the folder of a project")),
    }
}

/// The whole chain of what a library says.
fn mistake(why: &anyhow::Error) -> Problem {
    Problem::new(format!("{why:#}"))
}
