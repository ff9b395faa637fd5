//! The one place that makes a wasmtime engine, and what an operator may decide about it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::load::{LoadError, Plugin, PluginSource};

/// What the whole engine is sized for. One of it per process.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// Folder for compiled code; created private to this user. `None`: nothing is kept.
    pub cache: Option<PathBuf>,
    /// Runs at once; memory for so many instances is reserved, not used.
    pub concurrency: u32,
    /// Threads that run guests.
    pub threads: usize,
    /// Bytes of wasm stack each run may use.
    pub stack: u64,
    /// Count fuel, so that `Sandbox::fuel` can be obeyed. Slows guests by about a tenth.
    pub metering: bool,
    /// The largest `Sandbox::memory` of any task.
    pub largest_memory: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache: None,
            concurrency: 64,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            stack: 512 << 10,
            metering: false,
            largest_memory: 256 << 20,
        }
    }
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    Config(String),
}

/// Compiles and runs components. Cheap to clone; the last clone to be dropped stops the guests.
#[derive(Clone)]
pub struct Engine {
    _shared: Arc<()>,
}

impl Engine {
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        let _ = config;
        Ok(Self { _shared: Arc::new(()) })
    }

    /// Reads, compiles (or takes from the cache), checks and links one component file. Blocks.
    pub fn load(&self, source: &PluginSource) -> Result<Plugin, LoadError> {
        let _ = &self._shared;
        Err(LoadError::new(source, "cannot be loaded yet".to_owned(), None))
    }

    /// Ends every run and the threads that run guests; later runs end as `Outcome::Stopped`.
    pub fn close(&self) {}
}
