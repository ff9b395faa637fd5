//! What one run may take: memory and tables as wasmtime asks for them. Time is `run`'s, fuel and
//! stack are wasmtime's own.

use std::fmt;

use wasmtime::ResourceLimiter;

/// Elements of one table.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;

/// Handles a guest may hold at once.
pub(crate) const HANDLES: usize = 10_000;

/// Memory of one run, all linear memories together.
pub(crate) struct Limits {
    most: usize,
    now: usize,
    peak: usize,
}

/// The memory limit was hit; ends the run.
#[derive(Debug)]
pub(crate) struct MemoryLimit;

impl Limits {
    pub(crate) fn new(memory: u64) -> Self {
        Self { most: usize::try_from(memory).unwrap_or(usize::MAX), now: 0, peak: 0 }
    }

    /// The highest total of linear memory.
    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
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
        Ok(desired <= TABLE_ELEMENTS)
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory limit was reached")
    }
}

impl std::error::Error for MemoryLimit {}
