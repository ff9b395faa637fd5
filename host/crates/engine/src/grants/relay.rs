//! Streams of WASI 0.3 between a guest and WASI: looked at piece by piece, passed on as they are, and
//! cut off at the first piece that is too much.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::component::{
    ComponentType, Destination, FutureConsumer, FutureReader, Lift, Lower, Source, StreamConsumer,
    StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::error::Context as _;
use wasmtime::{AsContextMut, StoreContextMut};

use crate::state::State;

/// Bytes that are looked at, and held by the host, at once.
const PIECE: usize = 16 << 10;

/// Why a stream was cut off, if it was.
pub(super) struct Objection<E>(Arc<OnceLock<E>>);

/// Passes a stream on for as long as `look`, which is told of bytes before they are passed, has no
/// objection.
pub(super) fn watched<E: Send + Sync + 'static>(
    mut store: StoreContextMut<'_, State>,
    from: StreamReader<u8>,
    look: impl FnMut(u64) -> Result<(), E> + Send + Unpin + 'static,
) -> wasmtime::Result<(StreamReader<u8>, Objection<E>)> {
    let objection = Arc::new(OnceLock::new());
    let (sender, receiver) = mpsc::channel(1);
    let sender = PollSender::new(sender);
    from.pipe(&mut store, Taking { sender, look, objection: objection.clone() })?;
    let passed_on = StreamReader::new(&mut store, Giving(receiver))?;
    Ok((passed_on, Objection(objection)))
}

/// What came of a watched stream: the objection to it, or else what WASI says.
pub(super) fn outcome<E>(
    mut store: StoreContextMut<'_, State>,
    said: FutureReader<Result<(), E>>,
    objection: Objection<E>,
) -> wasmtime::Result<FutureReader<Result<(), E>>>
where
    E: ComponentType + Lift + Lower + Clone + Send + Sync + 'static,
{
    let (sender, receiver) = oneshot::channel();
    said.pipe(&mut store, Hearing(Some(sender)))?;
    FutureReader::new(&mut store, async move {
        // Nobody says anything of a stream that nobody waits for any more.
        let said = receiver.await.unwrap_or(Ok(()));
        wasmtime::error::Ok(objection.0.get().cloned().map_or(said, Err))
    })
}

/// Takes what is written.
struct Taking<L, E> {
    sender: PollSender<Vec<u8>>,
    look: L,
    objection: Arc<OnceLock<E>>,
}

impl<L, E> StreamConsumer<State> for Taking<L, E>
where
    L: FnMut(u64) -> Result<(), E> + Send + Unpin + 'static,
    E: Send + Sync + 'static,
{
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.sender.poll_reserve(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            reserved => {
                if ready!(reserved).is_err() {
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
            }
        }
        store.data().meter.host_call();
        let mut source = source.as_direct(store);
        let offered = source.remaining();
        let piece = offered[..offered.len().min(PIECE)].to_vec();
        let length = piece.len();
        if length == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if let Err(why) = (self.look)(length as u64) {
            // There is one at the most: nothing is taken after it.
            let _ = self.objection.set(why);
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        if self.sender.send_item(piece).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        source.mark_read(length);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// Gives out what was taken.
struct Giving(mpsc::Receiver<Vec<u8>>);

impl StreamProducer<State> for Giving {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
        mut destination: Destination<'_, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store.as_context_mut()) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let result = match self.0.poll_recv(cx) {
            Poll::Ready(Some(piece)) => {
                destination.set_buffer(piece.into());
                StreamResult::Completed
            }
            Poll::Ready(None) => StreamResult::Dropped,
            Poll::Pending if finish => StreamResult::Cancelled,
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Ok(result))
    }
}

/// Hears what WASI says of a stream.
struct Hearing<E>(Option<oneshot::Sender<Result<(), E>>>);

impl<E: ComponentType + Lift + Send + 'static> FutureConsumer<State> for Hearing<E> {
    type Item = Result<(), E>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        mut source: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut said = None;
        source.read(store, &mut said)?;
        let said = said.context("what came of a stream is missing")?;
        if let Some(sender) = self.0.take() {
            let _ = sender.send(said);
        }
        Poll::Ready(Ok(()))
    }
}
