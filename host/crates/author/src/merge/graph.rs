//! What a component defines, item by item in its own order, and what each item is made of.

use std::fmt;

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::{self, Reencode, ReencodeComponent};
use wasm_encoder::{CanonicalFunctionSection, RawSection};
use wasm_reader::ComponentOuterAliasKind::{CoreModule, CoreType};
use wasm_reader::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentType,
    ExternalKind, Instance, Parser, Payload,
};

/// What indices count. Those of types, component functions and the like are none of them: their
/// items are copied in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Func,
    Table,
    Memory,
    Global,
    Module,
    Instance,
}

/// How many spaces there are.
pub(super) const SPACES: usize = 6;

pub(super) enum Item<'a> {
    /// Defines nothing of these spaces and names nothing of them.
    Section(RawSection<'a>),
    Module(&'a [u8]),
    Instance(Instance<'a>),
    /// An export of a core instance.
    Alias {
        kind: ExternalKind,
        instance: u32,
        name: &'a str,
    },
    /// An alias of anything else.
    Other(ComponentAlias<'a>),
    Canon(CanonicalFunction),
}

#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// The items behind the indices of each space.
    defined: [Vec<usize>; SPACES],
}

/// Where a name of an instance leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// To what this instance of a module exports under a name.
    Export(usize, &'a str),
    /// To what the component itself makes.
    Canon(usize),
}

/// The component has something that is never in one that only links modules.
#[derive(Debug)]
pub(super) struct Unusual(pub(super) &'static str);

impl std::error::Error for Unusual {}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'a> Graph<'a> {
    pub(super) fn read(component: &'a [u8]) -> Result<Self> {
        let mut graph = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            let within = depth > 0;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if !within {
                graph.add(payload, component)?;
            }
        }
        Ok(graph)
    }

    fn add(&mut self, payload: Payload<'a>, component: &'a [u8]) -> Result<()> {
        let section = payload.as_section();
        match payload {
            Payload::ModuleSection { unchecked_range: range, .. } => {
                let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                self.push(Item::Module(component.get(start..end).context("it is cut off")?));
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    self.push(Item::Instance(instance?));
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    self.push(Item::Canon(function?));
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.add_alias(alias?)?;
                }
            }
            Payload::CoreTypeSection(_) => bail!(Unusual("it has types of core modules")),
            // Its names go by indices that change.
            Payload::CustomSection(custom) if custom.name() == "component-name" => {}
            other => {
                no_module_crosses(&other)?;
                if let Some((id, range)) = section {
                    let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                    let data = component.get(start..end).context("it is cut off")?;
                    self.push(Item::Section(RawSection { id, data }));
                }
            }
        }
        Ok(())
    }

    fn add_alias(&mut self, alias: ComponentAlias<'a>) -> Result<()> {
        self.push(match alias {
            ComponentAlias::CoreInstanceExport { kind, instance_index: instance, name } => {
                space(kind)?;
                Item::Alias { kind, instance, name }
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer { kind: CoreModule | CoreType, .. } => {
                bail!(Unusual("it takes a core module from elsewhere"))
            }
            other => Item::Other(other),
        });
        Ok(())
    }

    fn push(&mut self, item: Item<'a>) {
        if let Some(space) = item.defines() {
            self.defined[space as usize].push(self.items.len());
        }
        self.items.push(item);
    }

    /// The item behind an index.
    pub(super) fn item(&self, space: Space, index: u32) -> Result<usize> {
        let item = self.defined[space as usize].get(index as usize);
        item.copied().with_context(|| format!("there is no {space:?} {index}"))
    }

    /// The items that an item is made of.
    pub(super) fn parts(&self, item: &Item<'a>) -> Result<Vec<usize>> {
        let mut named = Vec::new();
        match item {
            Item::Section(_) | Item::Module(_) | Item::Other(_) => {}
            Item::Alias { instance, .. } => named.push((Space::Instance, *instance)),
            Item::Instance(Instance::Instantiate { module_index, args }) => {
                named.push((Space::Module, *module_index));
                named.extend(args.iter().map(|arg| (Space::Instance, arg.index)));
            }
            Item::Instance(Instance::FromExports(exports)) => {
                for export in exports {
                    named.push((space(export.kind)?, export.index));
                }
            }
            Item::Canon(function) => {
                let mut look = Renumber(|space, index| {
                    named.push((space, index));
                    Ok(index)
                });
                let mut nowhere = CanonicalFunctionSection::new();
                look.parse_component_canonical(&mut nowhere, function.clone())?;
            }
        }
        named.into_iter().map(|(space, index)| self.item(space, index)).collect()
    }

    /// Where a name of an instance leads, through instances that only gather what others export.
    pub(super) fn source<'n>(&'n self, instance: usize, name: &'n str) -> Option<Source<'n>> {
        let exports = match &self.items[instance] {
            Item::Instance(Instance::FromExports(exports)) => exports,
            _ => return Some(Source::Export(instance, name)),
        };
        let export = exports.iter().find(|export| export.name == name)?;
        let item = self.item(space(export.kind).ok()?, export.index).ok()?;
        match &self.items[item] {
            Item::Alias { instance, name, .. } => {
                self.source(self.item(Space::Instance, *instance).ok()?, name)
            }
            _ => Some(Source::Canon(item)),
        }
    }
}

impl Item<'_> {
    pub(super) fn defines(&self) -> Option<Space> {
        match self {
            Item::Section(_) | Item::Other(_) | Item::Canon(CanonicalFunction::Lift { .. }) => None,
            Item::Module(_) => Some(Space::Module),
            Item::Instance(_) => Some(Space::Instance),
            Item::Alias { kind, .. } => space(*kind).ok(),
            Item::Canon(_) => Some(Space::Func),
        }
    }
}

/// The space that items of a kind are in.
pub(super) fn space(kind: ExternalKind) -> Result<Space, Unusual> {
    Ok(match kind {
        ExternalKind::Func | ExternalKind::FuncExact => Space::Func,
        ExternalKind::Table => Space::Table,
        ExternalKind::Memory => Space::Memory,
        ExternalKind::Global => Space::Global,
        ExternalKind::Tag => return Err(Unusual("it has exceptions")),
    })
}

/// Refuses sections that are copied and name a core item.
fn no_module_crosses(payload: &Payload<'_>) -> Result<()> {
    let mut crosses = false;
    match payload {
        Payload::ComponentTypeSection(section) => {
            for ty in section.clone() {
                crosses |= matches!(ty?, ComponentType::Resource { dtor: Some(_), .. });
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section.clone() {
                crosses |= import?.ty.kind() == ComponentExternalKind::Module;
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section.clone() {
                crosses |= export?.kind == ComponentExternalKind::Module;
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section.clone() {
                crosses |= match instance? {
                    ComponentInstance::Instantiate { args, .. } => {
                        args.iter().any(|arg| arg.kind == ComponentExternalKind::Module)
                    }
                    ComponentInstance::FromExports(exports) => {
                        exports.iter().any(|one| one.kind == ComponentExternalKind::Module)
                    }
                };
            }
        }
        _ => {}
    }
    if crosses {
        bail!(Unusual("a core module or the end of a resource is one of its own items"));
    }
    Ok(())
}

/// Encodes items anew, with the indices that the function gives.
pub(super) struct Renumber<F>(pub(super) F);

type Renumbered = Result<u32, reencode::Error<Unusual>>;

impl<F: FnMut(Space, u32) -> Result<u32, Unusual>> Renumber<F> {
    fn number(&mut self, space: Space, index: u32) -> Renumbered {
        self.0(space, index).map_err(reencode::Error::UserError)
    }
}

impl<F: FnMut(Space, u32) -> Result<u32, Unusual>> Reencode for Renumber<F> {
    type Error = Unusual;

    fn function_index(&mut self, index: u32) -> Renumbered {
        self.number(Space::Func, index)
    }

    fn table_index(&mut self, index: u32) -> Renumbered {
        self.number(Space::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Renumbered {
        self.number(Space::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Renumbered {
        self.number(Space::Global, index)
    }
}

impl<F: FnMut(Space, u32) -> Result<u32, Unusual>> ReencodeComponent for Renumber<F> {}
