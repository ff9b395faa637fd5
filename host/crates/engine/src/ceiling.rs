//! What an engine reserves room for: the most that any policy allows. Checked when a plugin loads.

use umbel_task::policy::{Sandbox, TaskPolicy};
use wasmtime::component::Component;

use crate::load::{PluginSource, Refusal};

/// The most of each that any run may use. Nothing larger loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub memory: u64,
    pub instances: u32,
    pub memories: u32,
    pub tables: u32,
    pub table_elements: u32,
    /// Bytes of wasm stack; the same for each run.
    pub stack: u64,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self::of(&Sandbox::default())
    }
}

impl Ceiling {
    /// As high as the highest of these plugins' policies; the default if there is none.
    pub fn over(sources: &[PluginSource]) -> Self {
        sources
            .iter()
            .flat_map(policies)
            .map(|policy| Self::of(&policy.sandbox))
            .reduce(Self::or)
            .unwrap_or_default()
    }

    fn of(sandbox: &Sandbox) -> Self {
        let Sandbox { memory, instances, memories, tables, table_elements, stack, .. } = *sandbox;
        Self { memory, instances, memories, tables, table_elements, stack }
    }

    fn or(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            instances: self.instances.max(other.instances),
            memories: self.memories.max(other.memories),
            tables: self.tables.max(other.tables),
            table_elements: self.table_elements.max(other.table_elements),
            stack: self.stack.max(other.stack),
        }
    }

    /// Refuses a policy that is wider than what the engine was made for.
    pub(crate) fn covers(&self, sandbox: &Sandbox, task: &str) -> Result<(), Refusal> {
        let wanted = Self::of(sandbox);
        let rows = [
            ("memory", wanted.memory, self.memory),
            ("instances", wanted.instances.into(), self.instances.into()),
            ("memories", wanted.memories.into(), self.memories.into()),
            ("tables", wanted.tables.into(), self.tables.into()),
            ("table-elements", wanted.table_elements.into(), self.table_elements.into()),
        ];
        match rows.into_iter().find(|(_, wanted, most)| wanted > most) {
            None => Ok(()),
            Some((name, wanted, most)) => Err((
                format!("lets `{task}` use {wanted} (`{name}`), but the engine is made for {most}"),
                Some("start the worker anew: room for it is reserved at the start".to_owned()),
            )),
        }
    }
}

/// The policies of a plugin's tasks, its own first.
pub(crate) fn policies(source: &PluginSource) -> impl Iterator<Item = &TaskPolicy> {
    std::iter::once(&source.policy).chain(source.tasks.iter().map(|(_, policy)| policy))
}

/// What a run has before its first instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Bytes of the largest memory.
    pub memory: u64,
    pub memories: u32,
    pub tables: u32,
    /// Elements of the largest table.
    pub table_elements: u64,
}

impl Start {
    /// `None` where it is only known at instantiation.
    pub(crate) fn of(component: &Component) -> Option<Self> {
        let needs = component.resources_required()?;
        Some(Self {
            memory: needs.max_initial_memory_size.unwrap_or(0).saturating_mul(64 << 10),
            memories: needs.num_memories,
            tables: needs.num_tables,
            table_elements: needs.max_initial_table_size.unwrap_or(0),
        })
    }

    /// Refuses a component that is larger from its start than its task may grow.
    pub(crate) fn fits(&self, sandbox: &Sandbox, task: &str) -> Result<(), Refusal> {
        let elements = (self.table_elements, sandbox.table_elements.into());
        let rows = [
            ("memory", "bytes of memory", (self.memory, sandbox.memory)),
            ("memories", "memories", (self.memories.into(), sandbox.memories.into())),
            ("tables", "tables", (self.tables.into(), sandbox.tables.into())),
            ("table-elements", "elements in a table", elements),
        ];
        match rows.into_iter().find(|(_, _, (needed, most))| needed > most) {
            None => Ok(()),
            Some((name, what, (needed, most))) => Err((
                format!("starts with {needed} {what}, but `{task}` may only use {most}"),
                Some(format!("raise its limit `{name}`")),
            )),
        }
    }
}

/// Which limit stands in the way of a component that the engine has no room for.
pub(crate) fn limit_named(why: &str) -> Option<&'static str> {
    const WORDS: &[(&str, &str)] = &[
        ("core module instances", "instances"),
        ("Wasm linear memories", "memories"),
        ("defined memories count", "memories"),
        ("contains tables", "tables"),
        (" tables, which", "tables"),
        ("defined tables count", "tables"),
        ("table index", "table-elements"),
        ("minimum byte size", "memory"),
    ];
    WORDS.iter().find(|(words, _)| why.contains(words)).map(|(_, limit)| *limit)
}
