//! One core module, taken apart.

use std::collections::HashMap;

use anyhow::{Result, bail};
use wasm_reader::{
    DataSectionReader, ElementSectionReader, ExternalKind, FunctionBody, GlobalSectionReader,
    Import, KnownCustom, MemorySectionReader, Name, Parser, Payload, TableSectionReader,
    TypeSectionReader,
};

use super::graph::Unusual;

#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) types: Option<TypeSectionReader<'a>>,
    /// How many types there are, those in groups counted singly.
    pub(super) type_count: u32,
    pub(super) imports: Vec<Import<'a>>,
    /// The type of each function that it defines.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Option<TableSectionReader<'a>>,
    pub(super) memories: Option<MemorySectionReader<'a>>,
    pub(super) globals: Option<GlobalSectionReader<'a>>,
    pub(super) exports: HashMap<&'a str, (ExternalKind, u32)>,
    pub(super) elements: Option<ElementSectionReader<'a>>,
    pub(super) data: Option<DataSectionReader<'a>>,
    pub(super) code: Vec<FunctionBody<'a>>,
    /// What its functions are called.
    pub(super) names: Vec<(u32, &'a str)>,
}

impl<'a> Part<'a> {
    pub(super) fn read(module: &'a [u8]) -> Result<Self> {
        let mut part = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            part.add(payload?)?;
        }
        Ok(part)
    }

    fn add(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types.clone() {
                    self.type_count += u32::try_from(group?.types().len())?;
                }
                self.types = Some(types);
            }
            Payload::ImportSection(imports) => {
                self.imports = imports.into_imports().collect::<Result<_, _>>()?;
            }
            Payload::FunctionSection(types) => {
                self.functions = types.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::TableSection(tables) => self.tables = Some(tables),
            Payload::MemorySection(memories) => self.memories = Some(memories),
            Payload::GlobalSection(globals) => self.globals = Some(globals),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.exports.insert(export.name, (export.kind, export.index));
                }
            }
            Payload::ElementSection(elements) => self.elements = Some(elements),
            Payload::DataSection(data) => self.data = Some(data),
            Payload::CodeSectionEntry(body) => self.code.push(body),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    self.names = names.into_iter().flatten().flat_map(of_functions).collect();
                }
            }
            Payload::StartSection { .. } => bail!(Unusual("it runs code when it is instantiated")),
            Payload::TagSection(_) => bail!(Unusual("it has exceptions")),
            _ => {}
        }
        Ok(())
    }

    /// How many functions, tables, memories and globals it defines.
    pub(super) fn counts(&self) -> [u32; 4] {
        [
            self.code.len() as u32,
            self.tables.as_ref().map_or(0, |section| section.count()),
            self.memories.as_ref().map_or(0, |section| section.count()),
            self.globals.as_ref().map_or(0, |section| section.count()),
        ]
    }
}

/// Names that cannot be read are as good as none.
fn of_functions(name: Name<'_>) -> Vec<(u32, &str)> {
    match name {
        Name::Function(names) => {
            names.into_iter().flatten().map(|naming| (naming.index, naming.name)).collect()
        }
        _ => Vec::new(),
    }
}
