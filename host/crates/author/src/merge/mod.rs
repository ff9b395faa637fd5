//! Makes one core module of those that a component links each time it is instantiated: imports are resolved, tables
//! filled and constants put in place once, when it is built.

mod graph;
mod link;
mod part;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;

use anyhow::{Result, bail};
use wasm_reader::{Instance, Validator, WasmFeatures};

use self::graph::{Graph, Item, Source, Space, Unusual};
use self::link::{Origin, link};
use self::part::Part;
use self::write::Writer;

/// The same component with its linked modules as one. It fails on components that do more than link:
/// they are good as they are.
pub(crate) fn merge(component: &[u8]) -> Result<Vec<u8>> {
    let graph = Graph::read(component)?;
    let plan = Plan::of(&graph)?;
    let wanted = plan.wanted();
    let exports: Vec<(usize, &str)> =
        wanted.exports.iter().map(|&(instance, name)| (plan.number(instance), name)).collect();
    let linked = link(&plan.parts, |part, module, name| plan.origin(part, module, name), &exports)?;
    let merged = Writer::new(&plan, &wanted).write(&linked)?;
    Validator::new_with_features(WasmFeatures::all()).validate_all(&merged)?;
    Ok(merged)
}

/// What becomes of an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays where it is.
    Stays,
    /// It is an instance of one of the modules that become one.
    Merged,
    /// It is made of something of these modules, so it comes after the one.
    Follows,
}

struct Plan<'a> {
    graph: &'a Graph<'a>,
    fates: Vec<Fate>,
    /// The instances that are merged, in their order.
    instances: Vec<usize>,
    parts: Vec<Part<'a>>,
}

impl<'a> Plan<'a> {
    fn of(graph: &'a Graph<'a>) -> Result<Self> {
        let (fates, instances, parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { graph, fates, instances, parts };
        for (at, item) in graph.items.iter().enumerate() {
            let fate = plan.fate(at, item)?;
            plan.fates.push(fate);
        }
        match plan.instances.len() {
            0 | 1 => bail!(Unusual("it has one module")),
            _ => Ok(plan),
        }
    }

    fn fate(&mut self, at: usize, item: &Item<'a>) -> Result<Fate> {
        if let Item::Instance(Instance::Instantiate { module_index, .. }) = item {
            let Item::Module(module) =
                self.graph.items[self.graph.item(Space::Module, *module_index)?]
            else {
                bail!("module {module_index} is none");
            };
            let part = Part::read(module);
            let all_known = |part: &Part<'a>| {
                part.imports.iter().all(|import| {
                    self.find(at, import.module, import.name).is_some_and(|source| match source {
                        Source::Export(instance, _) => self.fates[instance] == Fate::Merged,
                        Source::Canon(item) => self.fates[item] == Fate::Stays,
                    })
                })
            };
            let part = part?;
            if all_known(&part) {
                self.instances.push(at);
                self.parts.push(part);
                return Ok(Fate::Merged);
            }
        }
        let of = self.graph.parts(item)?;
        Ok(match of.iter().any(|&part| self.fates[part] != Fate::Stays) {
            true => Fate::Follows,
            false => Fate::Stays,
        })
    }

    /// What the import of an instance is given.
    fn find(&self, instance: usize, module: &str, name: &'a str) -> Option<Source<'a>> {
        let Item::Instance(Instance::Instantiate { args, .. }) = &self.graph.items[instance] else {
            return None;
        };
        let given = args.iter().find(|arg| arg.name == module)?;
        self.graph.source(self.graph.item(Space::Instance, given.index).ok()?, name)
    }

    fn origin(&self, part: usize, module: &str, name: &'a str) -> Option<Origin<'a>> {
        Some(match self.find(self.instances[part], module, name)? {
            Source::Export(instance, name) => Origin::Part(self.number(instance), name),
            Source::Canon(item) => Origin::Outside(item),
        })
    }

    /// Which of the merged instances this is.
    fn number(&self, instance: usize) -> usize {
        self.instances.partition_point(|&other| other < instance)
    }

    /// The export of a merged instance that an item stands for.
    fn export(&self, item: usize) -> Option<(usize, &'a str)> {
        let Item::Alias { instance, name, .. } = &self.graph.items[item] else { return None };
        let instance = self.graph.item(Space::Instance, *instance).ok()?;
        match self.graph.source(instance, name)? {
            Source::Export(instance, name) => {
                (self.fates[instance] == Fate::Merged).then_some((instance, name))
            }
            Source::Canon(_) => None,
        }
    }

    /// What is left to be written, and what it needs of the merged modules.
    fn wanted(&self) -> Wanted<'a> {
        let mut wanted = Wanted::default();
        let items = &self.graph.items;
        let mut open: Vec<usize> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let instantiated = matches!(item, Item::Instance(Instance::Instantiate { .. }));
            if item.defines().is_none() || (instantiated && self.fates[at] != Fate::Merged) {
                open.push(at);
            }
        }
        for (number, part) in self.parts.iter().enumerate() {
            let origins = part.imports.iter().map(|i| self.origin(number, i.module, i.name));
            open.extend(origins.filter_map(|origin| match origin {
                Some(Origin::Outside(item)) => Some(item),
                _ => None,
            }));
        }
        while let Some(at) = open.pop() {
            if !wanted.items.insert(at) {
                continue;
            }
            match self.export(at) {
                Some(export) => wanted.add(export),
                None => open.extend(self.graph.parts(&items[at]).unwrap_or_default()),
            }
        }
        wanted
    }
}

#[derive(Default)]
struct Wanted<'a> {
    items: HashSet<usize>,
    /// Exports of merged instances, each once.
    exports: Vec<(usize, &'a str)>,
}

impl<'a> Wanted<'a> {
    fn add(&mut self, export: (usize, &'a str)) {
        if !self.exports.contains(&export) {
            self.exports.push(export);
        }
    }
}
