//! What one run may take: memory and tables as wasmtime asks for them. Time is `run`'s, fuel and
//! stack are wasmtime's own.

use std::fmt;

use umbel_task::policy::Sandbox;
use wasmtime::ResourceLimiter;

/// One run's memory, all linear memories together, and what it is made of.
pub(crate) struct Limits {
    most: usize,
    now: usize,
    peak: usize,
    table_elements: usize,
    largest_table: usize,
    instances: usize,
    memories: usize,
    tables: usize,
}

/// The memory limit was hit; ends the run.
#[derive(Debug)]
pub(crate) struct MemoryLimit;

impl Limits {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        Self {
            most: usize::try_from(sandbox.memory).unwrap_or(usize::MAX),
            now: 0,
            peak: 0,
            table_elements: sandbox.table_elements as usize,
            largest_table: 0,
            instances: sandbox.instances as usize,
            memories: sandbox.memories as usize,
            tables: sandbox.tables as usize,
        }
    }

    /// The highest total of linear memory.
    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }

    /// The most elements that one table had.
    pub(crate) fn table_elements(&self) -> u64 {
        self.largest_table as u64
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.now.saturating_add(desired.saturating_sub(current));
        // Beyond what it declared itself: the guest is told so, as WebAssembly has it.
        if maximum.is_some_and(|most| desired > most) && total <= self.most {
            return Ok(false);
        }
        if total > self.most {
            return Err(MemoryLimit.into());
        }
        self.now = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_elements {
            return Ok(false);
        }
        self.largest_table = self.largest_table.max(desired);
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory limit was reached")
    }
}

impl std::error::Error for MemoryLimit {}
