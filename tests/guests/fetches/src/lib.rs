//! Sends requests to where it was let and to where it was not, and reads all that comes back.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

wit_bindgen::generate!({
    inline: "
        package guest:fetches;
        interface tasks {
            get: func(url: string) -> result<string, string>;
            drain: func(url: string) -> result<u64, string>;
            post: func(url: string, mib: u32) -> result<string, string>;
            tunnel: func(url: string) -> result<string, string>;
            repeat: func(url: string, count: u32) -> u32;
            open: func(url: string, count: u32) -> u32;
        }
        world plugin { export tasks; }
    ",
});

struct Fetches;
export!(Fetches);

/// Takes the URL apart without understanding it, so that the host has to.
fn request(method: Method, url: &str) -> OutgoingRequest {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let _ = request.set_method(&method);
    let _ = request.set_scheme(Some(&scheme));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some(path));
    request
}

fn sent(request: OutgoingRequest) -> Result<FutureIncomingResponse, String> {
    handle(request, None).map_err(|why| name(&why))
}

fn answer(coming: FutureIncomingResponse) -> Result<IncomingResponse, String> {
    coming.subscribe().block();
    match coming.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(why))) => Err(name(&why)),
        _ => Err("no answer".to_owned()),
    }
}

fn name(why: &ErrorCode) -> String {
    format!("{why:?}")
}

/// Bytes of the body, and the first of them.
fn body(response: &IncomingResponse) -> Result<(u64, Vec<u8>), String> {
    let body = response.consume().map_err(|()| "no body".to_owned())?;
    let stream = body.stream().map_err(|()| "no stream".to_owned())?;
    let (mut length, mut first) = (0, Vec::new());
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(bytes) => {
                length += bytes.len() as u64;
                if first.len() < 1000 {
                    first.extend(bytes);
                }
            }
            Err(StreamError::Closed) => return Ok((length, first)),
            Err(StreamError::LastOperationFailed(why)) => {
                return Err(format!("{} after {length} bytes", why.to_debug_string()));
            }
        }
    }
}

fn told(response: IncomingResponse) -> Result<String, String> {
    let (_, first) = body(&response)?;
    Ok(format!("{} {}", response.status(), String::from_utf8_lossy(&first)))
}

impl exports::guest::fetches::tasks::Guest for Fetches {
    fn get(url: String) -> Result<String, String> {
        told(answer(sent(request(Method::Get, &url))?)?)
    }

    fn drain(url: String) -> Result<u64, String> {
        Ok(body(&answer(sent(request(Method::Get, &url))?)?)?.0)
    }

    fn post(url: String, mib: u32) -> Result<String, String> {
        let request = request(Method::Post, &url);
        let sending = request.body().map_err(|()| "no body".to_owned())?;
        let coming = sent(request)?;
        let stream = sending.write().map_err(|()| "no stream".to_owned())?;
        let block = [7; 4096];
        for _ in 0..mib * 256 {
            stream.blocking_write_and_flush(&block).map_err(|why| format!("{why:?}"))?;
        }
        drop(stream);
        OutgoingBody::finish(sending, None).map_err(|why| name(&why))?;
        told(answer(coming)?)
    }

    fn tunnel(url: String) -> Result<String, String> {
        told(answer(sent(request(Method::Connect, &url))?)?)
    }

    fn repeat(url: String, count: u32) -> u32 {
        (0..count).take_while(|_| Self::get(url.clone()).is_ok()).count() as u32
    }

    fn open(url: String, count: u32) -> u32 {
        let mut held = Vec::new();
        for _ in 0..count {
            match sent(request(Method::Get, &url)).and_then(answer) {
                Ok(response) => held.push(response),
                Err(_) => break,
            }
        }
        held.len() as u32
    }
}
