//! A stand-in for a collector of traces: it speaks OTLP over HTTP and keeps what it is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as Wire;
use prost::Message;
use umbel_harness::eventually::{PATIENCE, eventually};

/// A collector on a port of its own.
pub(crate) struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    /// As OTLP numbers them.
    pub(crate) kind: i32,
    /// From when to when, in nanoseconds.
    pub(crate) time: (u64, u64),
    /// Why it failed, if it did.
    pub(crate) error: Option<String>,
    /// Its own, and with `resource.` before it those of who sent it.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Collector {
    pub(crate) fn start() -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
        let port = listener.local_addr().expect("it is bound").port();
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let kept = Arc::clone(&spans);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who goes away halfway is no concern of the others.
                let _ = serve(stream, &kept);
            }
        });
        Collector { port, spans }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this many spans of a trace have this name.
    #[track_caller]
    pub(crate) fn await_spans(&self, trace: &str, name: &str, count: usize) -> Vec<Span> {
        eventually(&format!("{count} of {name}"), PATIENCE, || {
            let all = self.spans();
            let is = |span: &&Span| span.trace == trace && span.name == name;
            let found: Vec<Span> = all.iter().filter(is).cloned().collect();
            if found.len() == count { Ok(found) } else { Err(format!("{all:#?}")) }
        })
    }

    /// The spans within this one, by when they begin.
    pub(crate) fn within(&self, span: &Span) -> Vec<Span> {
        let mut parts = self.spans();
        parts.retain(|part| part.parent == span.id && part.kind != span.kind);
        parts.sort_by_key(|part| part.time);
        parts
    }
}

/// One request of HTTP/1.1, and its answer.
fn serve(mut stream: TcpStream, spans: &Mutex<Vec<Span>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length, mut protobuf) = (String::new(), 0, false);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "content-type" => protobuf = value.trim() == "application/x-protobuf",
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = ExportTraceServiceRequest::decode(&*body);
    let status = match request {
        Ok(request) if protobuf && first.starts_with("POST /v1/traces ") => {
            let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
            spans.extend(read(request));
            "200 OK"
        }
        _ => "400 Bad Request",
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut found = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| resource.attributes);
        let resource = attributes("resource.", resource.unwrap_or_default());
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let mut span = of_wire(span);
            span.attributes.extend(resource.clone());
            found.push(span);
        }
    }
    found
}

fn of_wire(span: Wire) -> Span {
    /// `STATUS_CODE_ERROR`.
    const ERROR: i32 = 2;
    let status = span.status.unwrap_or_default();
    Span {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        error: (status.code == ERROR).then_some(status.message),
        attributes: attributes("", span.attributes),
    }
}

fn attributes(prefix: &str, all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.into_iter().map(|one| (format!("{prefix}{}", one.key), text(one.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
