//! `wasi:http` for guests: requests to granted places alone, sent from here. The address that was
//! looked at is the one that is called, redirects are the guest's own matter (and asked for again),
//! and all that goes over the wire is counted.

mod body;
mod connect;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use umbel_task::grants::Grants;
use umbel_task::grants::http::{Scheme, Target};
use wasmtime::component::Linker;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode as ErrorCode3;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::Granted;
use crate::capture::Journal;
use crate::meter::{Exceeded, Meter, OpenSocket};
use crate::state::State;
use body::Counted;

/// One run's requests.
pub(super) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    granted: Arc<Granted>,
    meter: Arc<Meter>,
    journal: Journal,
    /// The operator was told of a refused request; once a run is enough.
    told: bool,
}

/// What keeps a connection going; its socket closes with it.
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// An answer, and what must be driven until its body has arrived.
type Answer = (Response<WasiBody>, Driver);

/// A request that may be sent.
struct Admitted {
    target: Target,
    /// The operator spelt the address out.
    named: bool,
    place: OpenSocket,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl Http {
    pub(super) fn new(granted: Arc<Granted>, meter: Arc<Meter>, journal: Journal) -> Self {
        let hooks = Hooks { granted, meter, journal, told: false };
        Self { ctx: WasiHttpCtx::new(), hooks }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (view, opened) = self.surroundings();
        let Http { ctx, hooks } = &mut opened.http;
        WasiHttpCtxView { ctx, hooks, table: view.table }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, Error>> + Send> {
        let admitted = self.admit(&request);
        let (granted, meter) = (self.granted.clone(), self.meter.clone());
        Box::new(async move { send(request, Times::of(options), admitted?, &granted, meter).await })
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        64 << 10
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        match error {
            _ if error.is_parse_too_large() => ErrorCode::HttpResponseHeaderSectionSize(None),
            _ if error.is_incomplete_message() => ErrorCode::HttpResponseIncomplete,
            _ if error.is_closed() || error.is_canceled() => ErrorCode::ConnectionTerminated,
            _ => ErrorCode::HttpProtocolError,
        }
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        match error.kind() {
            std::io::ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
            std::io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            _ => ErrorCode::DestinationUnavailable,
        }
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }

    fn p3_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode3 {
        match error {
            _ if error.is_parse_too_large() => ErrorCode3::HttpResponseHeaderSectionSize(None),
            _ if error.is_incomplete_message() => ErrorCode3::HttpResponseIncomplete,
            _ if error.is_closed() || error.is_canceled() => ErrorCode3::ConnectionTerminated,
            _ => ErrorCode3::HttpProtocolError,
        }
    }

    fn p3_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode3 {
        match error.kind() {
            std::io::ErrorKind::TimedOut => ErrorCode3::ConnectionTimeout,
            std::io::ErrorKind::ConnectionRefused => ErrorCode3::ConnectionRefused,
            _ => ErrorCode3::DestinationUnavailable,
        }
    }

    fn p3_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode3 {
        ErrorCode3::TlsProtocolError
    }
}

impl Hooks {
    /// Says whether a request may be sent, and takes a place for it.
    fn admit(&mut self, request: &Request<WasiBody>) -> Result<Admitted, Error> {
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let target = target(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        let Some(named) = granted(&self.granted.grants, &target) else {
            if !std::mem::replace(&mut self.told, true) {
                self.journal.warn(format!("a request to {target} was refused: it is not granted"));
            }
            return Err(Error::HttpRequestDenied);
        };
        let place = self.meter.socket().map_err(|_| Error::ConnectionLimitReached)?;
        self.meter.request().map_err(too_much)?;
        Ok(Admitted { target, named, place })
    }
}

/// Where a request goes; `None` if readers could differ about it.
fn target(uri: &http::Uri) -> Option<Target> {
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    Target::new(scheme, uri.authority()?.as_str(), uri.path())
}

/// `None` without a grant; else whether the operator spelt the address out.
fn granted(grants: &Grants, target: &Target) -> Option<bool> {
    let mut fitting = grants.http.iter().filter(|pattern| pattern.matches(target)).peekable();
    fitting.peek()?;
    Some(fitting.any(|pattern| pattern.host.spells_out(&target.host)))
}

fn too_much(Exceeded(what): Exceeded) -> Error {
    Error::InternalError(Some(what))
}

/// How long a guest wants to wait; the run's own limit stands above.
struct Times {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Times {
    fn of(options: Option<RequestOptions>) -> Self {
        const LONGEST: Duration = Duration::from_secs(60);
        let wanted = |time: Option<Duration>| time.map_or(LONGEST, |time| time.min(LONGEST));
        Self {
            connect: wanted(options.and_then(|o| o.connect_timeout)),
            first_byte: wanted(options.and_then(|o| o.first_byte_timeout)),
            between_bytes: wanted(options.and_then(|o| o.between_bytes_timeout)),
        }
    }
}

/// Headers of one answer.
const MOST_HEADERS: usize = 100;

/// Bytes of an answer's head.
const LARGEST_HEAD: usize = 64 << 10;

async fn send(
    request: Request<WasiBody>,
    times: Times,
    admitted: Admitted,
    granted: &Granted,
    meter: Arc<Meter>,
) -> Result<Answer, Error> {
    let Admitted { target, named, place } = admitted;
    meter.request_bytes(head_size(request.headers())).map_err(too_much)?;
    let stream = connect::open(&target, named, granted);
    let stream = tokio::time::timeout(times.connect, stream).await;
    let stream = stream.map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    // Aborted when this future or the answer's body is dropped: the run's end closes the socket.
    let connection = wasmtime_wasi::runtime::spawn(connection);
    let answer = sender.send_request(outgoing(request, &meter)?);
    let answer = tokio::time::timeout(times.first_byte, answer).await;
    let answer = answer.map_err(|_| Error::ConnectionReadTimeout)??;
    meter.request_bytes(head_size(answer.headers())).map_err(too_much)?;
    let answer = answer.map(|body| {
        let body = body.map_err(Error::from).boxed_unsync();
        Counted::new(body, meter, Some(times.between_bytes)).boxed_unsync()
    });
    let driver = async move {
        let ended = connection.await;
        drop(place);
        ended.map_err(Error::from)
    };
    Ok((answer, Box::new(driver)))
}

/// The request as a server wants it: path alone, host as a header, body counted.
fn outgoing(request: Request<WasiBody>, meter: &Arc<Meter>) -> Result<Request<WasiBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(Request::from_parts(parts, Counted::new(body, meter.clone(), None).boxed_unsync()))
}

fn head_size(headers: &http::HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(patterns: &[&str]) -> Grants {
        let http = patterns.iter().map(|pattern| pattern.parse().expect(pattern)).collect();
        Grants { http, ..Grants::default() }
    }

    #[test]
    fn a_request_needs_a_pattern_and_an_address_its_own_spelling() {
        let check = |patterns: &[&str], url: &str, expected: Option<bool>| {
            let found = url.parse().ok().and_then(|uri| target(&uri));
            let found = found.and_then(|target| granted(&grants(patterns), &target));
            assert_eq!(found, expected, "{patterns:?} and {url}");
        };
        check(&[], "https://example.com/", None);
        check(&["https://example.com"], "https://example.com/", Some(false));
        check(&["https://example.com"], "https://user@example.com/", None);
        check(&["https://example.com"], "https://example.com:444/", None);
        check(&["http://*"], "http://169.254.169.254/", Some(false));
        check(&["http://*", "http://10.0.0.1"], "http://10.0.0.1/", Some(true));
        check(&["http://*"], "http://2852039166/", None);
        check(&["http://*"], "http://0xa9fea9fe/", None);
        check(&["http://*"], "http://0251.0376.0251.0376/", None);
        check(&["http://[::1]"], "http://[::1]/", Some(true));
    }
}
