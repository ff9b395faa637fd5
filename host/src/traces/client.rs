//! Posts to the collector over HTTP/1.1, encrypted if its address says so.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::export::Losses;
use crate::fault::Fault;
use crate::settings::Collector;
use crate::tokio_io::TokioIo;

/// No collector has more to say.
const ANSWER: usize = 1 << 20;

/// A client for the thread that exports: it blocks.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Runtime,
    timeout: Duration,
    /// `None`: the address says `http`.
    tls: Option<Arc<ClientConfig>>,
    losses: Arc<Losses>,
}

/// A plain or an encrypted connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Client {
    /// Reads the certificates that it needs.
    pub(super) fn new(collector: &Collector, losses: Arc<Losses>) -> Result<Client, Fault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|e| Fault::failure(format!("cannot start the runtime for traces: {e}")))?;
        let encrypted = collector.url.starts_with("https:");
        let tls = encrypted.then(|| trusting(collector.certificate.as_deref())).transpose()?;
        Ok(Client { runtime, timeout: collector.timeout, tls, losses })
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let authority = uri.authority().ok_or("the address names no server")?;
        let stream = self.connect(&uri).await?;
        // Only the path is for the server.
        *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        let (mut sender, connection) = handshake(TokioIo(stream)).await?;
        let exchange = async move {
            let answer = sender.send_request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The connection ends with the one request; what it says then was said by the answer.
        let (answer, _) = tokio::join!(exchange, connection);
        answer
    }

    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Stream>, HttpError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        // Whoever calls has a thread for this.
        let sent = self.runtime.block_on(async {
            match tokio::time::timeout(self.timeout, self.exchange(request)).await {
                Ok(done) => done,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        });
        match &sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.losses.because(format!("{server} answers {}", answer.status())),
            Err(why) => self.losses.because(format!("{server} does not answer: {}", whole(&**why))),
        }
        sent
    }
}

/// An error with its causes, in one line.
fn whole(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Trusts the system's certificates, and those of this file.
fn trusting(file: Option<&Path>) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = file {
        let wrong = |why: String| {
            let file = file.display();
            Fault::usage(format!("the collector's certificate {file} cannot be used: {why}"))
        };
        let all = CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))?;
        for one in all {
            let one = one.map_err(|e| wrong(e.to_string()))?;
            roots.add(one).map_err(|e| wrong(e.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Fault::failure(format!("TLS for traces does not work: {e}")))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
