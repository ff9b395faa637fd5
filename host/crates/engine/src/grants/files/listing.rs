//! What is in a folder, for WASI 0.3: read at once and then given out, so that a listing that nobody
//! reads to its end holds no thread.

use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, Resource, StreamReader};
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types as p2;
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi::p3::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use crate::state::State;

type Listing = (StreamReader<DirectoryEntry>, FutureReader<Result<(), ErrorCode>>);

/// The entries up to the first that cannot be read, and what came of it.
pub(super) async fn read_directory(
    mut store: StoreContextMut<'_, State>,
    fd: Resource<Descriptor>,
) -> wasmtime::Result<(Listing,)> {
    let (mut entries, mut end) = (Vec::new(), Ok(()));
    match all(store.data_mut(), fd).await {
        Ok(all) => {
            for entry in all {
                match entry {
                    Ok(entry) => entries.push(told(entry)),
                    Err(why) => {
                        end = Err(code(why)?);
                        break;
                    }
                }
            }
        }
        Err(why) => end = Err(code(why)?),
    }
    let entries = StreamReader::new(&mut store, entries)?;
    let end = FutureReader::new(&mut store, async move { wasmtime::error::Ok(end) })?;
    Ok(((entries, end),))
}

/// As 0.2 reads them.
async fn all(
    state: &mut State,
    fd: Resource<Descriptor>,
) -> FsResult<impl Iterator<Item = FsResult<p2::DirectoryEntry>> + use<>> {
    let listing = p2::HostDescriptor::read_directory(&mut state.filesystem(), fd).await?;
    let (WasiCtxView { table, .. }, _) = state.opened();
    Ok(table.delete(listing)?.into_iter())
}

fn told(entry: p2::DirectoryEntry) -> DirectoryEntry {
    let type_ = match entry.type_ {
        p2::DescriptorType::BlockDevice => DescriptorType::BlockDevice,
        p2::DescriptorType::CharacterDevice => DescriptorType::CharacterDevice,
        p2::DescriptorType::Directory => DescriptorType::Directory,
        p2::DescriptorType::Fifo => DescriptorType::Fifo,
        p2::DescriptorType::SymbolicLink => DescriptorType::SymbolicLink,
        p2::DescriptorType::RegularFile => DescriptorType::RegularFile,
        p2::DescriptorType::Socket => DescriptorType::Socket,
        p2::DescriptorType::Unknown => DescriptorType::Other(None),
    };
    DirectoryEntry { type_, name: entry.name }
}

fn code(error: FsError) -> wasmtime::Result<ErrorCode> {
    Ok(match error.downcast()? {
        p2::ErrorCode::Access => ErrorCode::Access,
        p2::ErrorCode::BadDescriptor => ErrorCode::BadDescriptor,
        p2::ErrorCode::IllegalByteSequence => ErrorCode::IllegalByteSequence,
        p2::ErrorCode::NoEntry => ErrorCode::NoEntry,
        p2::ErrorCode::NotDirectory => ErrorCode::NotDirectory,
        p2::ErrorCode::NotPermitted => ErrorCode::NotPermitted,
        _ => ErrorCode::Io,
    })
}
