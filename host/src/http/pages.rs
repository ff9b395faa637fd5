//! What is answered: metrics, life, readiness.

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::metrics::{Format, Monitor};

type Answer = Response<Full<Bytes>>;

/// The answer to one question; its body is not looked at.
pub(super) async fn answer<B>(request: &Request<B>, monitor: &Monitor) -> Answer {
    let path = request.uri().path();
    if !["/metrics", "/healthz", "/readyz"].contains(&path) {
        let what = "not found: there are /metrics, /healthz and /readyz\n";
        return plain(StatusCode::NOT_FOUND, what);
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD, nothing else\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => metrics(request, monitor),
        "/healthz" => match monitor.is_alive().await {
            true => plain(StatusCode::OK, "ok\n"),
            false => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "the loop of the broker stands still\n")
            }
        },
        _ => match monitor.unready() {
            None => plain(StatusCode::OK, "ready\n"),
            Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
    }
}

fn metrics<B>(request: &Request<B>, monitor: &Monitor) -> Answer {
    let mut accepted = request.headers().get_all(ACCEPT).iter();
    let modern = accepted.any(|types| types.to_str().is_ok_and(|types| types.contains(MODERN)));
    let format = if modern { Format::OpenMetrics } else { Format::Prometheus };
    let mut page = plain(StatusCode::OK, monitor.page(format));
    let kind = HeaderValue::from_static(format.content_type());
    page.headers_mut().insert(CONTENT_TYPE, kind);
    page
}

/// The newer format's type; whoever does not ask for it gets the older one, which all can read.
const MODERN: &str = "application/openmetrics-text";

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
