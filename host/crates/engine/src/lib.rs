//! Runs tasks that are functions of WebAssembly components. The only crate that knows wasmtime;
//! it cannot spell Celery.

mod arguments;
mod backtrace;
mod bindings;
mod cache;
mod capture;
mod catalog;
mod ceiling;
mod compile;
mod config;
mod cpu;
mod deadlines;
mod describe;
mod ending;
mod grants;
mod hostcalls;
mod limits;
mod load;
mod meter;
mod mistaken;
mod profile;
mod run;
mod sections;
mod shape;
mod signature;
mod size;
mod state;
mod tally;
mod ticker;
mod trust;
mod value;
mod wasi3;

pub use catalog::{Catalog, CatalogError, Share, Versions};
pub use ceiling::{Ceiling, Start};
pub use compile::{Compiler, Product, Rejected, Target, compile, memory_file};
pub use config::{Engine, EngineConfig, EngineError};
pub use grants::{Needs, Resolver};
pub use load::{LoadError, LoadedTask, Plugin, PluginSource};
pub use profile::Profiler;
pub use signature::{Param, Signature};
pub use tally::Runs;
pub use trust::Trust;

/// How many functions a component says that can be tasks: its reader alone, for whoever feeds it what
/// no compiler has validated.
#[doc(hidden)]
pub fn count_tasks(component: &[u8]) -> Result<usize, String> {
    describe::describe(component).map(|description| description.functions.len())
}
