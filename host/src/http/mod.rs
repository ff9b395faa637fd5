//! The small server behind `--http`, on a thread and a runtime of its own: whoever asks, and however
//! slowly, no message waits for it.

mod pages;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::fault::Fault;
use crate::metrics::Monitor;
use crate::tokio_io::TokioIo;

/// Connections at once; whoever comes on top waits in the kernel.
const MOST: usize = 64;

/// From the first byte of a question to the last one of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a question.
const QUESTION: usize = 16 << 10;

/// How long nobody is let in after somebody could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that is taken, with nobody behind it yet.
#[derive(Debug)]
pub(crate) struct Door(TcpListener);

impl Door {
    /// Takes the address, while this process may still be somebody who can.
    pub(crate) fn take(address: SocketAddr) -> Result<Door, Fault> {
        let bound = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        bound.map(Door).map_err(|error| {
            let fault = Fault::failure(format!("cannot listen on {address} (`http`): {error}"));
            fault.help(match error.kind() {
                io::ErrorKind::AddrInUse => "another process has this port: name another one",
                io::ErrorKind::PermissionDenied => "ports below 1024 are root's: name a higher one",
                _ => "name an address that this machine has, such as 127.0.0.1:9808",
            })
        })
    }

    /// Answers from now on, for as long as the process lives.
    pub(crate) fn open(self, monitor: Arc<Monitor>) -> anyhow::Result<()> {
        let address = self.0.local_addr().context("cannot tell the address of `http`")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime of `http`")?;
        let serve = move || runtime.block_on(serve(self.0, monitor));
        let thread = thread::Builder::new().name("umbel-http".into());
        thread.spawn(serve).context("cannot start the thread of `http`")?;
        info!("metrics and health on http://{address}");
        Ok(())
    }
}

async fn serve(listener: TcpListener, monitor: Arc<Monitor>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("`http` does not answer: {error}"),
    };
    let places = Arc::new(Semaphore::new(MOST));
    let connections = TaskTracker::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // No file left for it, most likely.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let monitor = Arc::clone(&monitor);
        connections.spawn(async move {
            // Who is too slow or gone is not told so.
            let _ = tokio::time::timeout(PATIENCE, converse(stream, monitor)).await;
            drop(place);
        });
    }
}

/// One question, one answer: a connection that stays would keep a place that others may need.
async fn converse(stream: TcpStream, monitor: Arc<Monitor>) -> hyper::Result<()> {
    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let monitor = Arc::clone(&monitor);
        async move { Ok::<_, Infallible>(pages::answer(&request, &monitor).await) }
    });
    let mut connection = http1::Builder::new();
    connection.keep_alive(false).max_buf_size(QUESTION).half_close(false);
    connection.serve_connection(TokioIo(stream), answer).await
}
