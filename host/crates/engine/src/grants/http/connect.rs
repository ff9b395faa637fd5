//! A connection to one of the addresses that were looked at.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use umbel_task::grants::host::Host;
use umbel_task::grants::http::{Scheme, Target};
use wasmtime_wasi_http::Error;

use super::super::Granted;
use super::super::lookup::{NoAddress, addresses};

/// A plain or an encrypted connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Finds, checks, connects, encrypts.
pub(super) async fn open(
    target: &Target,
    named: bool,
    granted: &Granted,
) -> Result<Box<dyn Stream>, Error> {
    let found = addresses(&target.host, named, &granted.grants, granted.resolver().as_ref()).await;
    let found = found.map_err(|why| match why {
        NoAddress::Forbidden => Error::DestinationIpProhibited,
        NoAddress::Invalid | NoAddress::Unknown => Error::DestinationNotFound,
    })?;
    let mut failed = None;
    for address in found {
        match TcpStream::connect((address, target.port)).await {
            Ok(stream) => {
                // Only slower without it.
                let _ = stream.set_nodelay(true);
                return secured(stream, target).await;
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or(Error::DestinationNotFound, Error::Connect))
}

async fn secured(stream: TcpStream, target: &Target) -> Result<Box<dyn Stream>, Error> {
    if target.scheme == Scheme::Http {
        return Ok(Box::new(stream));
    }
    let name = match &target.host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?
        }
    };
    let stream = TlsConnector::from(config().await?).connect(name, stream).await;
    Ok(Box::new(stream.map_err(Error::Tls)?))
}

/// The system's certificates, read once.
async fn config() -> Result<Arc<ClientConfig>, Error> {
    static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let read = || async {
        let made = tokio::task::spawn_blocking(system_config).await;
        made.ok().flatten().ok_or(Error::ConfigurationError)
    };
    CONFIG.get_or_try_init(read).await.cloned()
}

fn system_config() -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}
