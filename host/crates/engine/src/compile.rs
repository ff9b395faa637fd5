//! From a component to machine code and a description of it: in this process, or wherever the host
//! has it done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use crate::ceiling::limit_named;
use crate::config::{self, Flavour, fingerprint};
use crate::describe::{describe, no_async_inside};
use crate::load::Refusal;
use crate::shape::Description;

/// What of an engine's configuration decides about compiled code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Bytes of wasm stack each run may use.
    pub(crate) stack: u64,
    pub(crate) metered: bool,
}

/// Compiles components in another process, so that one that is made to exhaust the compiler does
/// not exhaust the worker.
pub trait Compiler: Send + Sync {
    /// Carries [`compile`] out elsewhere. Blocks until it is done or has been given up.
    fn compile(&self, component: &[u8], target: &Target) -> Result<Product, Rejected>;
}

/// What has been made of a component.
#[derive(Debug)]
pub struct Product {
    /// Machine code; nobody writes to it any more.
    pub code: File,
    /// What [`compile`] says of it.
    pub report: Vec<u8>,
}

/// Why nothing can be made of a component: continues the sentence "the plugin …".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    pub what: String,
    pub help: Option<String>,
}

/// What is said of compiled code.
#[derive(Serialize, Deserialize)]
struct Report {
    /// The engine that it was compiled for.
    engine: String,
    description: Description,
}

/// Compiles a component in this process and writes the code to `code`; gives the report.
pub fn compile(
    component: &[u8],
    target: &Target,
    mut code: impl Write,
) -> Result<Vec<u8>, Rejected> {
    let internal = |e: &dyn std::fmt::Display| Rejected {
        what: format!("cannot be compiled: {e}"),
        help: None,
    };
    let engine = wasmtime::Engine::new(&config::compiling(target))
        .map_err(|e| internal(&format!("{e:#}")))?;
    let compiled = engine.precompile_component(component).map_err(|e| Rejected {
        what: format!("cannot be compiled: {e:#}"),
        help: Some(match format!("{e:#}").contains("wasi_snapshot_preview1") {
            true => "it still has imports of WASI preview 1; `umbel build` puts the adapter for \
                     them in, and so does `wasm-tools component new --adapt`"
                .to_owned(),
            false => "check it with `wasm-tools validate --features all`".to_owned(),
        }),
    })?;
    no_async_inside(component).map_err(|what| Rejected {
        what,
        help: Some("only the outermost component may have async functions".to_owned()),
    })?;
    code.write_all(&compiled).map_err(|e| internal(&e))?;
    drop(compiled);
    // It is valid by now; what is not would keep the reader busy for minutes.
    let description = catch_unwind(AssertUnwindSafe(|| describe(component)));
    let description = description.unwrap_or_else(|_| Err("the reader fails".to_owned()));
    let description = description.map_err(|e| Rejected {
        what: format!("has interfaces that cannot be read: {e}"),
        help: Some("look at them with `wasm-tools component wit`".to_owned()),
    })?;
    let report = Report { engine: fingerprint(&engine), description };
    serde_json::to_vec(&report).map_err(|e| internal(&e))
}

/// Compiled code that was opened, and what is known of it.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) description: Description,
    pub(crate) from_cache: bool,
}

/// Takes a component's code from the cache, or compiles it and keeps it there.
pub(crate) fn compiled(flavour: &Flavour, bytes: &[u8], digest: &str) -> Result<Compiled, Refusal> {
    if let Some(entry) = flavour.cache.as_ref().and_then(|cache| cache.get(digest))
        && let Ok(component) = open(&flavour.engine, &entry.code)
    {
        return Ok(Compiled { component, description: entry.description, from_cache: true });
    }
    let made = match &flavour.compiler {
        Some(compiler) => compiler.compile(bytes, &flavour.target),
        None => here(bytes, &flavour.target),
    };
    let Product { code, report } = made.map_err(|Rejected { what, help }| (what, help))?;
    let report: Report = serde_json::from_slice(&report)
        .map_err(|e| (format!("is described in a way that cannot be read: {e}"), None))?;
    if report.engine != fingerprint(&flavour.engine) {
        return Err(("was compiled for another engine than this one".to_owned(), None));
    }
    let path = kept(flavour, digest, &code, &report.description);
    let component = open(&flavour.engine, &path).map_err(too_large)?;
    Ok(Compiled { component, description: report.description, from_cache: false })
}

/// Why code that was compiled cannot be used: the pool has no room for it.
fn too_large(error: wasmtime::Error) -> Refusal {
    let why = format!("{error:#}");
    let help = limit_named(&why)
        .map(|limit| format!("it is larger than the limit `{limit}` of every task allows"));
    (format!("cannot be loaded: {why}"), help)
}

fn here(bytes: &[u8], target: &Target) -> Result<Product, Rejected> {
    let room = |e: io::Error| Rejected { what: format!("cannot be compiled: {e}"), help: None };
    let mut code = memory_file("code").map_err(room)?;
    let report = compile(bytes, target, &mut code)?;
    Ok(Product { code, report })
}

/// A file that is in no folder and gone with its last handle; no process that is started inherits
/// it.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// Where the code can be opened: in the cache, or where it is now if the cache cannot keep it.
fn kept(flavour: &Flavour, digest: &str, code: &File, description: &Description) -> PathBuf {
    let as_it_is = || PathBuf::from(format!("/proc/self/fd/{}", code.as_raw_fd()));
    let Some(cache) = &flavour.cache else { return as_it_is() };
    cache.put(digest, code, description).unwrap_or_else(|why| {
        // A full disk costs the next start its time, not this one its plugin.
        tracing::warn!(%why, "compiled code cannot be kept");
        as_it_is()
    })
}

fn open(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "the file is machine code; it was compiled just now, or only this user can write \
                  its folder, its name is made of the component's content and of the engine's \
                  configuration, and its checksum was compared"
    )]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}

/// Calls `each` with the pieces of a file from its start, so that 33 MB of code do not become
/// resident.
pub(crate) fn in_pieces(
    mut file: impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut piece = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(length),
            n => {
                length += n as u64;
                each(&piece[..n])?;
            }
        }
    }
}
