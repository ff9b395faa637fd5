//! Runs tasks that are functions of WebAssembly components. The only crate that knows wasmtime;
//! it cannot spell Celery.

mod catalog;
mod config;
mod load;
mod signature;

pub use catalog::{Catalog, CatalogError};
pub use config::{Engine, EngineConfig, EngineError};
pub use load::{LoadError, LoadedTask, Plugin, PluginSource};
pub use signature::{Param, Signature};
