//! One connection to the server: dialled when needed, dialled again when lost. What an error of the
//! client library means to us.

use std::io;
use std::sync::Arc;

use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::AmqpOptions;
use crate::address::Address;
use crate::broker::BrokerError;
use crate::reconnect::Backoff;

/// A server that refuses us this often in a row means it; a starting one may refuse for a moment.
const REFUSALS: u32 = 3;

/// The query parameters that may name a file of certificates to trust.
const CA_FILE: [&str; 4] = ["ca_certs", "ssl_ca_certs", "ca_cert", "cacertfile"];

/// A connection that is replaced when it is lost.
pub(crate) struct Link {
    pub(crate) address: Address,
    pub(crate) options: AmqpOptions,
    pub(crate) closed: CancellationToken,
    purpose: &'static str,
    // Held while dialling: those who come meanwhile want the same connection.
    live: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    /// Dials nothing yet. `purpose` is shown in the server's list of connections.
    pub(crate) fn new(address: Address, options: AmqpOptions, purpose: &'static str) -> Arc<Self> {
        Arc::new(Self {
            address,
            options,
            closed: CancellationToken::new(),
            purpose,
            live: Mutex::new(None),
        })
    }

    /// The live connection; dials once if there is none.
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
        let connection = Arc::new(self.dial().await?);
        *live = Some(connection.clone());
        Ok(connection)
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
    }

    /// What `error` means on this connection.
    pub(crate) fn error(&self, what: &str, error: lapin::Error) -> BrokerError {
        let address = self.address.clone();
        match reply_code(&error) {
            Some(403 | 530) => BrokerError::Refused { address, source: error.into() },
            // Closed by an operator or a server that stops; or its trouble, not ours.
            Some(320 | 541) => BrokerError::Unreachable { address, source: error.into() },
            Some(_) => BrokerError::Other { what: what.to_owned(), source: error.into() },
            None => BrokerError::Unreachable { address, source: error.into() },
        }
    }

    async fn dial(&self) -> Result<Connection, BrokerError> {
        let limit = self.options.connect_timeout;
        let tls = self.tls()?;
        let runtime = lapin::runtime::default_runtime().map_err(|e| self.error("no runtime", e))?;
        let stream = async move |uri: AMQPUri, runtime| {
            let dialled = uri.connect_with_config_async(tls.as_ref(), &runtime);
            match tokio::time::timeout(limit, dialled).await {
                Ok(stream) => stream.map_err(lapin::Error::from),
                Err(_) => Err(lapin::Error::from(io::Error::from(io::ErrorKind::TimedOut))),
            }
        };
        let opening = Connection::connector(self.uri(), runtime, stream, self.properties());
        // The stream has its own limit; the handshake gets as much again.
        match tokio::time::timeout(limit * 2, opening).await {
            Ok(opened) => opened.map_err(|e| self.error("cannot open a connection", e)),
            Err(_) => Err(BrokerError::Unreachable {
                address: self.address.clone(),
                source: "the server accepts the connection but does not answer".into(),
            }),
        }
    }

    fn uri(&self) -> AMQPUri {
        let address = &self.address;
        let heartbeat = self.options.heartbeat.as_secs().clamp(1, u64::from(u16::MAX));
        AMQPUri {
            scheme: if address.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: address.user.clone().unwrap_or_else(|| "guest".into()),
                    password: address.password().unwrap_or("guest").to_owned(),
                },
                host: address.host.clone(),
                port: address.port,
            },
            vhost: address.path.clone(),
            query: AMQPQueryString {
                heartbeat: u16::try_from(heartbeat).ok(),
                ..AMQPQueryString::default()
            },
        }
    }

    /// The library itself adds the capabilities, `consumer_cancel_notify` and
    /// `authentication_failure_close` among them.
    fn properties(&self) -> ConnectionProperties {
        let version = env!("CARGO_PKG_VERSION");
        let name = format!("{} ({})", self.options.name, self.purpose);
        ConnectionProperties::default()
            .with_client_property("product".into(), "umbel".into())
            .with_client_property("version".into(), version.into())
            .with_connection_name(name.into())
    }

    fn tls(&self) -> Result<OwnedTLSConfig, BrokerError> {
        let named = |key: &str| CA_FILE.contains(&key);
        let query = &self.address.query;
        let Some((_, file)) = query.iter().rev().find(|(key, _)| named(key)) else {
            return Ok(OwnedTLSConfig { identity: None, cert_chain: None });
        };
        match std::fs::read_to_string(file) {
            Ok(pem) => Ok(OwnedTLSConfig { identity: None, cert_chain: Some(pem) }),
            Err(why) => Err(BrokerError::Other {
                what: format!("cannot read the certificates in `{file}`"),
                source: why.into(),
            }),
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
