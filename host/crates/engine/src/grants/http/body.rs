//! A body whose bytes are counted before anybody gets them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::too_much;
use crate::meter::Meter;

/// Passes frames on as long as the run may move more bytes and they keep coming.
pub(super) struct Counted {
    inner: WasiBody,
    meter: Arc<Meter>,
    patience: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Counted {
    /// `patience` is how long the next frame may take; without it, as long as it likes.
    pub(super) fn new(inner: WasiBody, meter: Arc<Meter>, patience: Option<Duration>) -> Self {
        let patience = patience.map(|time| (time, Box::pin(tokio::time::sleep(time))));
        Self { inner, meter, patience }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => match &mut self.patience {
                None => return Poll::Pending,
                Some((_, timer)) => {
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
                }
            },
        };
        if let Some((time, timer)) = &mut self.patience {
            timer.as_mut().reset(Instant::now() + *time);
        }
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        match self.meter.request_bytes(length) {
            Ok(()) => Poll::Ready(frame),
            Err(exceeded) => Poll::Ready(Some(Err(too_much(exceeded)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
