//! A file's output stream that asks for room before it writes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::quota::{Full, Quota};

/// Writes as the inner stream does, as long as there is room.
pub(super) struct Counted {
    inner: DynOutputStream,
    file: Arc<std::fs::File>,
    /// Where the next byte goes; `None` is the end of the file.
    position: Option<u64>,
    quota: Quota,
}

impl Counted {
    pub(super) fn new(
        inner: DynOutputStream,
        file: Arc<std::fs::File>,
        position: Option<u64>,
        quota: Quota,
    ) -> Self {
        Self { inner, file, position, quota }
    }
}

/// The error a full disk gives.
pub(super) fn no_space() -> std::io::Error {
    std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

#[async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let length = bytes.len() as u64;
        let (size, end) = match self.position {
            // Earlier writes may still be on their way: all of it is growth.
            None => (0, length),
            Some(position) => {
                let size = self.file.metadata().map_or(0, |about| about.len());
                (size, position.saturating_add(length))
            }
        };
        let full = |Full| StreamError::LastOperationFailed(no_space().into());
        self.quota.grow(size, end).map_err(full)?;
        self.inner.write(bytes)?;
        self.position = self.position.map(|position| position.saturating_add(length));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}
