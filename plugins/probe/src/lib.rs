//! Asks many web sites at once, in one task: as long as the slowest of them takes, not as long as all
//! of them together.

use futures_util::future::join_all;
use wasip3::clocks::monotonic_clock::now;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_future;

wit_bindgen::generate!({ path: "wit", world: "plugin" });

use exports::example::probe::tasks::{Answer, Guest};

struct Probe;
export!(Probe);

impl Guest for Probe {
    async fn look(urls: Vec<String>) -> Vec<Answer> {
        join_all(urls.into_iter().map(ask)).await
    }
}

async fn ask(url: String) -> Answer {
    let start = now();
    let got = get(&url).await;
    let millis = (now() - start) / 1_000_000;
    match got {
        Ok((status, size)) => Answer { url, status: Some(status), size, millis, error: None },
        Err(why) => Answer { url, status: None, size: 0, millis, error: Some(why) },
    }
}

/// Status and size of what is at an address.
async fn get(url: &str) -> Result<(u16, u64), String> {
    let response = client::send(request(url)?).await.map_err(|code| reason(&code))?;
    let status = response.get_status_code();
    let (_done, is_read) = wit_future::new(|| Ok(()));
    let (mut body, _trailers) = Response::consume_body(response, is_read);
    let (mut size, mut buffer) = (0, Vec::with_capacity(16 << 10));
    loop {
        let (state, read) = body.read(buffer).await;
        size += read.len() as u64;
        if matches!(state, wit_bindgen::StreamResult::Dropped) {
            return Ok((status, size));
        }
        buffer = read;
        buffer.clear();
    }
}

fn request(url: &str) -> Result<Request, String> {
    let (scheme, rest) = url.split_once("://").ok_or("that is no address of a web site")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (_none, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    let refused = |()| format!("{url} is no address of a web site");
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(refused)?;
    Ok(request)
}

fn reason(code: &ErrorCode) -> String {
    match code {
        ErrorCode::HttpRequestDenied => "the task was not granted this site".to_owned(),
        other => format!("{other:?}"),
    }
}
