//! A connection's streams, whose bytes are counted before anybody gets them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use crate::meter::Meter;

/// Passes bytes on as long as the run may move more.
pub(super) struct Counted<S> {
    inner: S,
    meter: Arc<Meter>,
}

impl<S> Counted<S> {
    pub(super) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }

    fn count(&self, bytes: &Bytes) -> StreamResult<()> {
        let counted = self.meter.request_bytes(bytes.len() as u64);
        counted.map_err(|exceeded| StreamError::LastOperationFailed(exceeded.into()))
    }
}

#[async_trait]
impl InputStream for Counted<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.inner.read(size)?;
        self.count(&bytes)?;
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for Counted<DynInputStream> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Counted<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(&bytes)?;
        self.inner.write(bytes)
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
impl Pollable for Counted<DynOutputStream> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[cfg(test)]
mod tests {
    use umbel_task::outcome::Cost;
    use umbel_task::policy::Sandbox;
    use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

    use super::*;

    #[test]
    fn both_directions_share_one_limit() {
        let sandbox = Sandbox { request_bytes: 10, ..Sandbox::default() };
        let meter = Arc::new(Meter::new(&sandbox));
        let input: DynInputStream = Box::new(MemoryInputPipe::new("0123456789"));
        let output: DynOutputStream = Box::new(MemoryOutputPipe::new(100));
        let mut input = Counted::new(input, meter.clone());
        let mut output = Counted::new(output, meter.clone());
        assert_eq!(input.read(6).expect("it is within the limit"), "012345");
        output.write("abcd".into()).expect("it is within the limit");
        let refused = |result: StreamResult<()>| match result {
            Err(StreamError::LastOperationFailed(why)) => why.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(output.write("e".into())), "more than 10 bytes over the network");
        assert_eq!(refused(input.read(1).map(drop)), "more than 10 bytes over the network");
        let mut cost = Cost::default();
        meter.bill(&mut cost);
        assert_eq!(cost.request_bytes, 10);
    }
}
