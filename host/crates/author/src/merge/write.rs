//! Writes a component anew, with one module in the place of those that were merged.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::ReencodeComponent;
use wasm_encoder::{
    CanonicalFunctionSection, Component, ComponentAliasSection, ExportKind, InstanceSection,
    ModuleArg, ModuleSection, RawSection,
};
use wasm_reader::{ExternalKind, Instance};

use super::graph::{Item, Renumber, SPACES, Space, Unusual, space};
use super::link::Linked;
use super::{Fate, Plan, Wanted};

pub(super) struct Writer<'p, 'a> {
    plan: &'p Plan<'a>,
    wanted: &'p Wanted<'a>,
    component: Component,
    /// The new index of each item that has been written.
    numbers: HashMap<usize, u32>,
    /// The next index of each space.
    next: [u32; SPACES],
    /// The instance of the module that the others have become.
    whole: u32,
}

impl<'p, 'a> Writer<'p, 'a> {
    pub(super) fn new(plan: &'p Plan<'a>, wanted: &'p Wanted<'a>) -> Self {
        let component = Component::new();
        Self { plan, wanted, component, numbers: HashMap::new(), next: [0; SPACES], whole: 0 }
    }

    /// What comes before the module; the module; what follows from it.
    pub(super) fn write(mut self, linked: &Linked) -> Result<Vec<u8>> {
        let last = self.plan.instances.last().copied().unwrap_or_default();
        let items = 0..self.plan.graph.items.len();
        let (early, late): (Vec<usize>, Vec<usize>) = items
            .filter(|at| self.wanted.items.contains(at))
            .partition(|at| *at < last && self.plan.fates[*at] == Fate::Stays);
        let reordered = |at: &usize| *at < last && self.plan.graph.items[*at].defines().is_none();
        if late.iter().any(reordered) {
            bail!(Unusual("it exports functions before all modules are there"));
        }
        for at in early {
            self.item(at)?;
        }
        self.module(linked)?;
        for at in late {
            self.item(at)?;
        }
        Ok(self.component.finish())
    }

    fn module(&mut self, linked: &Linked) -> Result<()> {
        self.component.section(&ModuleSection(&linked.module));
        let module = self.take(Space::Module);
        let imports = linked.imports.iter().enumerate();
        let imports = imports
            .map(|(name, item)| Ok((name.to_string(), ExportKind::Func, self.number(*item)?)))
            .collect::<Result<Vec<_>>>()?;
        let mut instances = InstanceSection::new();
        instances.export_items(imports);
        let given = self.take(Space::Instance);
        instances.instantiate(module, [("", ModuleArg::Instance(given))]);
        self.whole = self.take(Space::Instance);
        self.component.section(&instances);
        Ok(())
    }

    fn item(&mut self, at: usize) -> Result<()> {
        let item = &self.plan.graph.items[at];
        match item {
            Item::Section(section) => {
                self.component.section(section);
            }
            Item::Module(data) => {
                let id = wasm_encoder::ComponentSectionId::CoreModule.into();
                self.component.section(&RawSection { id, data });
            }
            Item::Instance(instance) => self.instance(instance)?,
            Item::Alias { kind, instance, name } => self.alias(at, *kind, *instance, name)?,
            Item::Other(alias) => {
                let mut aliases = ComponentAliasSection::new();
                aliases.alias(self.renumber().component_alias(alias.clone())?);
                self.component.section(&aliases);
            }
            Item::Canon(function) => {
                let mut functions = CanonicalFunctionSection::new();
                self.renumber().parse_component_canonical(&mut functions, function.clone())?;
                self.component.section(&functions);
            }
        }
        if let Some(space) = item.defines() {
            let number = self.take(space);
            self.numbers.insert(at, number);
        }
        Ok(())
    }

    fn instance(&mut self, instance: &Instance<'_>) -> Result<()> {
        let mut instances = InstanceSection::new();
        match instance {
            Instance::Instantiate { module_index, args } => {
                let module = self.renumbered(Space::Module, *module_index)?;
                let args = args.iter().map(|arg| {
                    let instance = self.renumbered(Space::Instance, arg.index)?;
                    Ok((arg.name, ModuleArg::Instance(instance)))
                });
                instances.instantiate(module, args.collect::<Result<Vec<_>>>()?);
            }
            Instance::FromExports(exports) => {
                let exports = exports.iter().map(|export| {
                    let index = self.renumbered(space(export.kind)?, export.index)?;
                    Ok((export.name, ExportKind::from(export.kind), index))
                });
                instances.export_items(exports.collect::<Result<Vec<_>>>()?);
            }
        }
        self.component.section(&instances);
        Ok(())
    }

    /// An export of a merged instance has become one of the whole.
    fn alias(&mut self, at: usize, kind: ExternalKind, instance: u32, name: &str) -> Result<()> {
        let kind = ExportKind::from(kind);
        let merged = self.plan.export(at);
        let number = merged.and_then(|one| self.wanted.exports.iter().position(|all| *all == one));
        let mut aliases = ComponentAliasSection::new();
        let number = number.map(|number| number.to_string());
        aliases.alias(match &number {
            Some(name) => {
                wasm_encoder::Alias::CoreInstanceExport { instance: self.whole, kind, name }
            }
            None => {
                let instance = self.renumbered(Space::Instance, instance)?;
                wasm_encoder::Alias::CoreInstanceExport { instance, kind, name }
            }
        });
        self.component.section(&aliases);
        Ok(())
    }

    fn renumber(&self) -> Renumber<impl FnMut(Space, u32) -> Result<u32, Unusual>> {
        Renumber(|space, index| {
            self.renumbered(space, index).map_err(|_| Unusual("its items are in no order"))
        })
    }

    fn renumbered(&self, space: Space, index: u32) -> Result<u32> {
        self.number(self.plan.graph.item(space, index)?)
    }

    fn number(&self, item: usize) -> Result<u32> {
        self.numbers.get(&item).copied().context("something is used before it is made")
    }

    fn take(&mut self, space: Space) -> u32 {
        let next = &mut self.next[space as usize];
        *next += 1;
        *next - 1
    }
}
