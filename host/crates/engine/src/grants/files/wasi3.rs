//! `wasi:filesystem` of WASI 0.3 over the same directories, quotas and rules as that of 0.2: the calls
//! that open something, make it longer or put it elsewhere are here, the others are WASI's own.

use std::sync::Arc;

use wasmtime::component::{
    Access, Accessor, FutureReader, Linker, LinkerInstance, Resource, StreamReader,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptorWithStore, OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemResult;

use super::super::quota::{Full, Quota};
use super::super::relay;
use super::{Guarded, Guards, guarded, listing};
use crate::state::State;

type Fd = Resource<Descriptor>;

/// What a call gives to the guest.
type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// What came of a stream.
type Outcome = FutureReader<Result<(), ErrorCode>>;

/// Puts the calls that are counted or refused in the place of WASI's own.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<State, Guards>(linker, guarded)?;
    let mut types = linker.instance("wasi:filesystem/types@0.3.0")?;
    streams(&mut types)?;
    type At = (Fd, PathFlags, String, OpenFlags, DescriptorFlags);
    types.func_wrap_concurrent("[method]descriptor.open-at", |store, at: At| {
        Box::pin(open_at(store, at))
    })?;
    types.func_wrap_concurrent("[method]descriptor.set-size", |store, to: (Fd, u64)| {
        Box::pin(set_size(store, to))
    })?;
    let name = "[method]descriptor.create-directory-at";
    types.func_wrap_concurrent(name, |store, at: (Fd, String)| {
        Box::pin(create_directory_at(store, at))
    })?;
    type Link = (Fd, PathFlags, String, Fd, String);
    types.func_wrap_concurrent("[method]descriptor.link-at", |store, link: Link| {
        Box::pin(link_at(store, link))
    })?;
    types.func_wrap_concurrent("[method]descriptor.symlink-at", |store, link| {
        Box::pin(symlink_at(store, link))
    })?;
    types.func_wrap_concurrent("[method]descriptor.rename-at", |store, names| {
        Box::pin(rename_at(store, names))
    })
}

fn streams(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    type Write = (Fd, StreamReader<u8>, u64);
    let name = "[method]descriptor.write-via-stream";
    types
        .func_wrap(name, |store, (fd, data, offset): Write| write(store, fd, data, Some(offset)))?;
    let name = "[method]descriptor.append-via-stream";
    types.func_wrap(name, |store, (fd, data): (Fd, StreamReader<u8>)| {
        write(store, fd, data, None)
    })?;
    types.func_wrap_async("[method]descriptor.read-directory", |store, (fd,): (Fd,)| {
        Box::new(listing::read_directory(store, fd))
    })
}

impl preopens::Host for Guarded<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let directories = preopens::Host::get_directories(&mut self.inner())?;
        self.files.told(directories.iter().map(|(fd, _)| fd));
        Ok(directories)
    }
}

/// WASI's own calls, for the run of this one.
fn own(store: &Accessor<State>) -> Accessor<State, WasiFilesystem> {
    store.with_getter::<WasiFilesystem>(State::filesystem)
}

fn answer<T>(result: FilesystemResult<T>) -> Answer<T> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => refused(error.downcast()?),
    }
}

fn refused<T>(code: ErrorCode) -> Answer<T> {
    Ok((Err(code),))
}

fn full(Full: Full) -> ErrorCode {
    ErrorCode::InsufficientSpace
}

/// The quota that a descriptor's growth counts towards.
fn quota(store: &Accessor<State>, fd: &Fd) -> Result<Quota, ErrorCode> {
    store.with(|mut access| {
        let (_, opened) = access.get().opened();
        opened.files.quota_of(fd).ok_or(ErrorCode::BadDescriptor)
    })
}

/// Nothing moves from one grant to another.
fn same_grant(store: &Accessor<State>, one: &Fd, other: &Fd) -> Result<Quota, ErrorCode> {
    let index = |fd: &Fd| store.with(|mut access| access.get().opened().1.files.index_of(fd));
    if index(one) != index(other) {
        return Err(ErrorCode::CrossDevice);
    }
    quota(store, one)
}

/// Makes a name if there is room for it.
async fn named<T>(
    quota: Result<Quota, ErrorCode>,
    made: impl Future<Output = FilesystemResult<T>>,
) -> Answer<T> {
    let quota = match quota.and_then(|quota| quota.entry().map(|()| quota).map_err(full)) {
        Ok(quota) => quota,
        Err(code) => return refused(code),
    };
    let made = made.await;
    answer(made.inspect_err(|_| quota.no_entry()))
}

async fn open_at(
    store: &Accessor<State>,
    (fd, path_flags, path, open_flags, flags): (Fd, PathFlags, String, OpenFlags, DescriptorFlags),
) -> Answer<Fd> {
    let own = own(store);
    let same = || Resource::new_borrow(fd.rep());
    let makes = open_flags.contains(OpenFlags::CREATE)
        && WasiFilesystem::stat_at(&own, same(), path_flags, path.clone()).await.is_err();
    let opening = WasiFilesystem::open_at(&own, same(), path_flags, path, open_flags, flags);
    let opened = match (makes, quota(store, &fd)) {
        (true, quota) => named(quota, opening).await?,
        (false, Ok(_)) => answer(opening.await)?,
        (false, Err(code)) => return refused(code),
    };
    if let (Ok(opened),) = &opened {
        store.with(|mut access| access.get().opened().1.files.opened(&fd, opened));
    }
    Ok(opened)
}

async fn set_size(store: &Accessor<State>, (fd, size): (Fd, u64)) -> Answer<()> {
    let file = store.with(|mut access| file(access.get(), &fd));
    let room = file.and_then(|file| {
        let now = file.metadata().map_or(0, |about| about.len());
        quota(store, &fd)?.grow(now, size).map_err(full)
    });
    match room {
        Ok(()) => answer(WasiFilesystem::set_size(&own(store), fd, size).await),
        Err(code) => refused(code),
    }
}

async fn create_directory_at(store: &Accessor<State>, (fd, path): (Fd, String)) -> Answer<()> {
    let quota = quota(store, &fd);
    named(quota, WasiFilesystem::create_directory_at(&own(store), fd, path)).await
}

async fn link_at(
    store: &Accessor<State>,
    (fd, flags, path, new_fd, new_path): (Fd, PathFlags, String, Fd, String),
) -> Answer<()> {
    let quota = same_grant(store, &fd, &new_fd);
    named(quota, WasiFilesystem::link_at(&own(store), fd, flags, path, new_fd, new_path)).await
}

async fn symlink_at(
    store: &Accessor<State>,
    (fd, path, new_path): (Fd, String, String),
) -> Answer<()> {
    // Others, who may follow it anywhere, look into a directory of the host.
    let may = store.with(|mut access| {
        let (_, opened) = access.get().opened();
        opened.files.index_of(&fd).is_some_and(|index| opened.files.is_scratch(index))
    });
    if !may {
        return refused(ErrorCode::NotPermitted);
    }
    let quota = quota(store, &fd);
    named(quota, WasiFilesystem::symlink_at(&own(store), fd, path, new_path)).await
}

async fn rename_at(
    store: &Accessor<State>,
    (fd, path, new_fd, new_path): (Fd, String, Fd, String),
) -> Answer<()> {
    match same_grant(store, &fd, &new_fd) {
        Ok(_) => answer(WasiFilesystem::rename_at(&own(store), fd, path, new_fd, new_path).await),
        Err(code) => refused(code),
    }
}

fn file(state: &mut State, fd: &Fd) -> Result<Arc<std::fs::File>, ErrorCode> {
    let (WasiCtxView { table, .. }, _) = state.opened();
    match table.get(fd) {
        Ok(Descriptor::File(file)) => Ok(file.file.clone()),
        Ok(Descriptor::Dir(_)) => Err(ErrorCode::IsDirectory),
        Err(_) => Err(ErrorCode::BadDescriptor),
    }
}

/// Writes what comes, as long as there is room; without a position, at the end.
fn write(
    mut store: StoreContextMut<'_, State>,
    fd: Fd,
    data: StreamReader<u8>,
    position: Option<u64>,
) -> wasmtime::Result<(Outcome,)> {
    let state = store.data_mut();
    let room = (file(state, &fd).ok(), state.opened().1.files.quota_of(&fd));
    let (mut next, mut counted) = (position, 0);
    let (data, objection) = relay::watched(store.as_context_mut(), data, move |length| {
        // Without both WASI writes nothing.
        let (Some(file), Some(quota)) = &room else { return Ok(()) };
        let Some(start) = next else {
            // At the end all is growth: what was written before may still be on its way.
            return quota.grow(0, length).map_err(full);
        };
        let end = start.saturating_add(length);
        // So may what was counted before.
        let size = file.metadata().map_or(0, |about| about.len()).max(counted);
        quota.grow(size, end).map_err(full)?;
        (next, counted) = (Some(end), end);
        Ok(())
    })?;
    let own = Access::<_, WasiFilesystem>::new(store.as_context_mut(), State::filesystem);
    let outcome = match position {
        Some(offset) => WasiFilesystem::write_via_stream(own, fd, data, offset)?,
        None => WasiFilesystem::append_via_stream(own, fd, data)?,
    };
    Ok((relay::outcome(store, outcome, objection)?,))
}
