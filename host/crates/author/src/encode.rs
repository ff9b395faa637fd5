//! Makes components: reads a project's WIT, writes its types into a core module, and puts the
//! adapter for WASI preview 1 beside it.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_bindgen_core::wit_parser::{PackageMetadata, Resolve, WorldId};
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
        let pushed = resolve.push_dir(&folder);
        // With file, line and the piece of text that is meant.
        let (package, _) = pushed.map_err(|why| misread(resolve.render_error(&why)))?;
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

impl World {
    /// The component with what the WIT says of its tasks, which compilers leave out; where they did
    /// not, it stays as it is.
    pub(crate) fn document(&self, mut component: Vec<u8>) -> Vec<u8> {
        let section = PackageMetadata::SECTION_NAME.as_bytes();
        let there = component.windows(section.len()).any(|bytes| bytes == section);
        let Some(package) = self.resolve.worlds[self.id].package.filter(|_| !there) else {
            return component;
        };
        let Ok(docs) = PackageMetadata::extract(&self.resolve, package).encode() else {
            return component;
        };
        // A custom section: its number, its size, its name's size, its name, what it holds.
        let mut content = leb(section.len());
        content.extend(section);
        content.extend(docs);
        component.push(0);
        component.extend(leb(content.len()));
        component.extend(content);
        component
    }
}

/// A core module without what only debuggers read.
pub(crate) fn strip(module: &[u8]) -> Vec<u8> {
    let (header, mut rest) = module.split_at(module.len().min(8));
    let mut kept = header.to_vec();
    while let Some((&id, tail)) = rest.split_first() {
        let Some((size, start)) = read_leb(tail) else { break };
        let end = (1 + start + size).min(rest.len());
        let (section, after) = rest.split_at(end);
        if id != 0 || !is_for_debuggers(&section[(1 + start).min(end)..]) {
            kept.extend(section);
        }
        rest = after;
    }
    kept.extend(rest);
    kept
}

fn is_for_debuggers(section: &[u8]) -> bool {
    let Some((length, start)) = read_leb(section) else { return false };
    let name = section.get(start..start.saturating_add(length)).unwrap_or_default();
    name == b"name" || name == b"producers" || name.starts_with(b".debug")
}

/// A size as WebAssembly writes it, and how many bytes it takes.
fn read_leb(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        number |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

/// A size as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// What the reader of WIT says, and the way out of what authors meet most.
fn misread(said: String) -> Problem {
    const TYPES: &str = "the types of WIT are bool, s8 to s64, u8 to u64, f32, f64, char, string, \
                         list<T>, option<T>, result<T, E> and tuple<A, B>, and what the file itself \
                         calls a record, variant, enum or flags; any JSON is `json`, after `use \
                         umbel:task/types@0.1.0.{json};`";
    const PACKAGES: &str = "a package is known once its .wit files lie in a folder of wit/deps; `umbel \
                            check` of a component says which of its imports a worker has, in which \
                            version";
    const NAMES: &str = "types and functions of one interface have different names";
    let meant = [("does not exist", TYPES), ("not found", PACKAGES), ("duplicate name", NAMES)];
    let help = meant.iter().find(|(words, _)| said.contains(words));
    let problem = Problem::new(said);
    match help {
        Some((_, help)) => problem.help(*help),
        None => problem,
    }
}

/// A component of a core module that says itself which world it implements.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>, Problem> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.adapter(ADAPTER_NAME, ADAPTER))
        .and_then(ComponentEncoder::encode)
        .map_err(|why| unfit(mistake(&why)))
}

/// What a module lacks to be a component, and where it would come from.
fn unfit(problem: Problem) -> Problem {
    let said = problem.to_string();
    if said.contains("cabi_realloc") {
        return problem.help(
            "texts and lists are put into memory that the module gives by this function; the bindings \
             have it: compile plugin.c with your own files, and keep its exports",
        );
    }
    match said.contains("failed to find export") {
        true => problem.help(
            "write the function, or take it out of the .wit file; in C, plugin.h has its declaration, \
             and plugin.c exports it",
        ),
        false => problem,
    }
}

/// A component of a core module in a file.
pub(crate) fn wrap(file: &Path, module: &[u8]) -> Result<Vec<u8>, Problem> {
    let name = file.display();
    match module {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => {
            Err(Problem::usage(format!("{name} is a component already"))
                .help(format!("umbel check {name}")))
        }
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] if !names_types(module) => {
            Err(Problem::new(format!(
                "{name} is a core module that does not say what the types of its functions are"
            ))
            .help("bindings of a WIT file carry them: see a project that `umbel new` writes"))
        }
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => component(module),
        _ => Err(Problem::usage(format!("{name} is no WebAssembly"))
            .help("umbel build DIR, with the folder of a project")),
    }
}

/// True if bindings have left a section with the component's type in it.
fn names_types(module: &[u8]) -> bool {
    const SECTION: &[u8] = b"component-type";
    module.windows(SECTION.len()).any(|bytes| bytes == SECTION)
}

/// The whole chain of what a library says.
fn mistake(why: &anyhow::Error) -> Problem {
    Problem::new(format!("{why:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_wrapped_is_told_apart() {
        for (bytes, part) in [
            (b"\0asm\x0d\0\x01\0".as_slice(), "is a component already\nhelp: umbel check x.wasm"),
            (b"\0asm\x01\0\0\0", "does not say what the types"),
            (b"hello", "is no WebAssembly"),
        ] {
            let problem = wrap(Path::new("x.wasm"), bytes).expect_err(part);
            assert!(problem.to_string().contains(part), "{problem}");
        }
    }

    #[test]
    fn a_mistake_in_wit_comes_with_the_way_out() {
        for (said, part) in [
            ("name `number` does not exist", "help: the types of WIT are bool"),
            ("package 'wasi:http@0.2.99' not found", "help: a package is known once"),
            ("duplicate name `bill`", "help: types and functions of one interface"),
        ] {
            let problem = misread(said.to_owned()).to_string();
            assert!(problem.starts_with(said) && problem.contains(part), "{problem}");
        }
        assert_eq!(misread("expected `{`".to_owned()).to_string(), "expected `{`");
    }

    #[test]
    fn what_only_debuggers_read_is_stripped() {
        let custom =
            |name: &[u8]| [&[0, 2 + name.len() as u8, name.len() as u8], name, b"x"].concat();
        let header = b"\0asm\x01\0\0\0";
        let kept = [custom(b"component-type:x"), vec![1, 1, 0]].concat();
        let module = [header.as_slice(), &custom(b"name"), &kept, &custom(b".debug_info")].concat();
        assert_eq!(strip(&module), [header.as_slice(), &kept].concat());
        assert_eq!(strip(b"\0asm"), b"\0asm");
    }

    #[test]
    fn sizes_are_written_as_webassembly_has_them() {
        for (number, bytes) in [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 1])] {
            assert_eq!(leb(number), bytes);
            assert_eq!(read_leb(&bytes), Some((number, bytes.len())));
        }
    }
}
