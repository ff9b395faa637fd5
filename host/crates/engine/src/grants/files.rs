//! `wasi:filesystem` over granted directories: WASI's own, with every growth counted, and with
//! nothing moved, linked or pointed from one grant into another.

mod calls;
mod listing;
mod wasi3;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::quota::{Full, Quota};
use super::stream::Counted;
use crate::state::State;

/// The directories of one run, in the order in which the guest is told of them.
#[derive(Default)]
pub(crate) struct Files {
    quotas: Vec<Quota>,
    /// Which directory each open descriptor lies in.
    of: HashMap<u32, usize>,
    scratch: Option<Scratch>,
}

/// The run's own directory, which is the last of its quotas.
struct Scratch(Option<TempDir>);

impl Files {
    /// One more directory.
    pub(super) fn add(&mut self, quota: Quota) {
        self.quotas.push(quota);
    }

    /// Makes the run's own directory and gives its path.
    pub(super) fn scratch_in(&mut self, folder: &Path) -> std::io::Result<PathBuf> {
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(folder)?;
        let path = dir.path().to_owned();
        self.scratch = Some(Scratch(Some(dir)));
        Ok(path)
    }

    fn is_scratch(&self, index: usize) -> bool {
        self.scratch.is_some() && index + 1 == self.quotas.len()
    }

    /// Which directory a descriptor lies in.
    fn index_of(&self, fd: &Resource<Descriptor>) -> Option<usize> {
        self.of.get(&fd.rep()).copied()
    }

    fn quota_of(&self, fd: &Resource<Descriptor>) -> Option<Quota> {
        self.quotas.get(self.index_of(fd)?).cloned()
    }

    /// The guest was told of its directories, in their order.
    fn told<'a>(&mut self, directories: impl Iterator<Item = &'a Resource<Descriptor>>) {
        self.of.extend(directories.enumerate().map(|(at, fd)| (fd.rep(), at)));
    }

    /// Something below `folder` was opened.
    fn opened(&mut self, folder: &Resource<Descriptor>, fd: &Resource<Descriptor>) {
        if let Some(index) = self.index_of(folder) {
            self.of.insert(fd.rep(), index);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let dir = self.0.take();
        // Ten thousand files take their time to remove: not on a thread that runs guests.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(dir));
        }
    }
}

/// One run's view of its files for one host call.
struct Guarded<'a> {
    ctx: &'a mut WasiCtx,
    table: &'a mut ResourceTable,
    files: &'a mut Files,
}

struct Guards;

impl HasData for Guards {
    type Data<'a> = Guarded<'a>;
}

impl WasiView for Guarded<'_> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.ctx, table: self.table }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<State, Guards>(linker, guarded)?;
    types::add_to_linker::<State, Guards>(linker, guarded)?;
    wasi3::add_to_linker(linker)
}

fn guarded(state: &mut State) -> Guarded<'_> {
    let (WasiCtxView { ctx, table }, opened) = state.surroundings();
    Guarded { ctx, table, files: &mut opened.files }
}

impl Guarded<'_> {
    fn inner(&mut self) -> WasiFilesystemCtxView<'_> {
        self.filesystem()
    }

    fn index(&self, fd: &Resource<Descriptor>) -> FsResult<usize> {
        self.files.index_of(fd).ok_or_else(|| ErrorCode::BadDescriptor.into())
    }

    fn quota(&self, fd: &Resource<Descriptor>) -> FsResult<Quota> {
        self.files.quota_of(fd).ok_or_else(|| ErrorCode::BadDescriptor.into())
    }

    /// Nothing moves from one grant to another.
    fn same_grant(
        &self,
        one: &Resource<Descriptor>,
        other: &Resource<Descriptor>,
    ) -> FsResult<Quota> {
        if self.index(one)? != self.index(other)? {
            return Err(ErrorCode::CrossDevice.into());
        }
        self.quota(one)
    }

    fn file(&self, fd: &Resource<Descriptor>) -> FsResult<Arc<std::fs::File>> {
        match self.table.get(fd)? {
            Descriptor::File(file) => Ok(file.file.clone()),
            Descriptor::Dir(_) => Err(ErrorCode::IsDirectory.into()),
        }
    }

    /// Room for what `fd` would grow by if the bytes up to `end` were there.
    fn grow(&self, fd: &Resource<Descriptor>, end: u64) -> FsResult<()> {
        let size = self.file(fd)?.metadata().map_or(0, |about| about.len());
        self.quota(fd)?.grow(size, end).map_err(full)
    }

    /// Puts a counting stream in the place of this one.
    fn count(
        &mut self,
        fd: &Resource<Descriptor>,
        stream: Resource<DynOutputStream>,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let (file, quota) = (self.file(fd)?, self.quota(fd)?);
        let inner = self.table.delete(stream)?;
        let counted: DynOutputStream = Box::new(Counted::new(inner, file, position, quota));
        Ok(self.table.push(counted)?)
    }
}

fn full(Full: Full) -> FsError {
    ErrorCode::InsufficientSpace.into()
}
