//! One connection to one of the servers: dialled when needed, dialled again when lost. What an error
//! of the client library means to us.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lapin::{Connection, ErrorKind};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::dial::dial;
use super::options::AmqpOptions;
use crate::address::Address;
use crate::broker::BrokerError;
use crate::reconnect::Backoff;

/// A server that refuses us this often in a row means it; a starting one may refuse for a moment.
const REFUSALS: u32 = 3;

/// A connection that is replaced when it is lost.
pub(crate) struct Link {
    /// Never empty; each is as good as the others.
    addresses: Vec<Address>,
    /// Counts up; the server whose turn it is.
    turn: AtomicUsize,
    pub(crate) options: AmqpOptions,
    /// No longer wanted.
    pub(crate) closed: CancellationToken,
    /// What was on its way when it was closed will not arrive any more.
    pub(crate) gone: CancellationToken,
    purpose: &'static str,
    // Held while dialling: those who come meanwhile want the same connection.
    live: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    /// Dials nothing yet. `purpose` is shown in the server's list of connections.
    pub(crate) fn new(address: &Address, options: AmqpOptions, purpose: &'static str) -> Arc<Self> {
        Arc::new(Self {
            addresses: address.servers(),
            turn: AtomicUsize::new(0),
            options,
            closed: CancellationToken::new(),
            gone: CancellationToken::new(),
            purpose,
            live: Mutex::new(None),
        })
    }

    /// The server in use.
    pub(crate) fn address(&self) -> &Address {
        &self.addresses[self.turn.load(Ordering::Relaxed) % self.addresses.len()]
    }

    /// The live connection; dials each server once if there is none.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut live = self.live.lock().await;
        if self.closed.is_cancelled() {
            return Err(BrokerError::Closed);
        }
        if let Some(connection) = &*live
            && connection.status().connected()
        {
            return Ok(connection.clone());
        }
        *live = None;
        let connection = Arc::new(self.dial_each().await?);
        *live = Some(connection.clone());
        Ok(connection)
    }

    async fn dial_each(&self) -> Result<Connection, BrokerError> {
        let mut left = self.addresses.len();
        loop {
            let failed = match dial(self, self.purpose).await {
                Ok(connection) => return Ok(connection),
                Err(failed) => failed,
            };
            left -= 1;
            if left == 0 {
                return Err(failed);
            }
            self.turn.fetch_add(1, Ordering::Relaxed);
            let next = self.address();
            tracing::warn!(error = %describe(&failed), %next, "trying another server");
        }
    }

    /// Tries until it works, until the server means no, or until we are closed. Only a connection
    /// that can be used counts as a success, so `then` is part of the attempt.
    pub(crate) async fn persist<T, F>(
        &self,
        mut then: impl FnMut(Arc<Connection>) -> F,
    ) -> Result<T, BrokerError>
    where
        F: Future<Output = Result<T, BrokerError>>,
    {
        let mut backoff = Backoff::default();
        let mut refusals = 0;
        loop {
            let pause = backoff.next(spread());
            tokio::select! {
                () = self.closed.cancelled() => return Err(BrokerError::Closed),
                () = tokio::time::sleep(pause) => {}
            }
            let attempt = async {
                let connection = self.connection().await?;
                let done = then(connection.clone()).await;
                if let Err(BrokerError::Unreachable { .. }) = done {
                    self.discard(&connection).await;
                }
                done
            };
            let failed = tokio::select! {
                () = self.closed.cancelled() => return Err(BrokerError::Closed),
                done = attempt => match done {
                    Ok(done) => return Ok(done),
                    Err(failed) => failed,
                },
            };
            refusals = if matches!(failed, BrokerError::Refused { .. }) { refusals + 1 } else { 0 };
            match &failed {
                BrokerError::Conflict { .. } | BrokerError::Closed => return Err(failed),
                BrokerError::Refused { .. } if refusals >= REFUSALS => return Err(failed),
                _ => tracing::debug!(error = %describe(&failed), "not connected yet"),
            }
        }
    }

    /// A connection that cannot be used is dialled again even if it does not know that it is dead.
    async fn discard(&self, dead: &Arc<Connection>) {
        let mut live = self.live.lock().await;
        if live.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, dead)) {
            *live = None;
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes the connection and refuses to dial again.
    pub(crate) async fn close(&self) {
        self.closed.cancel();
        let connection = self.live.lock().await.take();
        if let Some(connection) = connection {
            // Whatever it answers, it is over.
            let _ = tokio::time::timeout(
                self.options.connect_timeout,
                connection.close(200, "closed by umbel".into()),
            )
            .await;
        }
        self.gone.cancel();
    }

    /// What `error` means on this connection.
    pub(crate) fn error(&self, what: &str, error: lapin::Error) -> BrokerError {
        let address = self.address().clone();
        match reply_code(&error) {
            Some(403 | 530) => BrokerError::Refused { address, source: error.into() },
            // Closed by an operator or a server that stops; or its trouble, not ours.
            Some(320 | 541) => BrokerError::Unreachable { address, source: error.into() },
            Some(_) => BrokerError::Other { what: what.to_owned(), source: error.into() },
            None => BrokerError::Unreachable { address, source: error.into() },
        }
    }
}

/// AMQP's reply code, if the server gave one.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// An error with all its causes in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}

/// A number in 0..1, different for each who asks.
pub(crate) fn spread() -> f64 {
    let [first, second, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}
