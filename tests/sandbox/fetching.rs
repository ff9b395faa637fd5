//! HTTP as an operator grants it, against a server of the test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use umbel_harness::{paths, worker};

/// A server on a port of its own that answers by path, and how often it was asked.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = count.clone();
                std::thread::spawn(move || serve(stream, &count));
            }
        });
        Server { port, asked }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }
}

/// A client that goes away ends the answer.
fn serve(mut stream: TcpStream, count: &AtomicUsize) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    count.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or("/");
    let _ = match path {
        "/redirect" => stream.write_all(
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        ),
        "/endless" => endless(&mut stream),
        "/headers" => headers(&mut stream),
        "/slow" => slow(&mut stream),
        _ => stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"),
    };
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    loop {
        stream.write_all(&[b'x'; 1 << 16])?;
    }
}

fn headers(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    for at in 0..1_000_000 {
        stream.write_all(format!("x-{at}: y\r\n").as_bytes())?;
    }
    stream.write_all(b"\r\n")
}

/// Never says anything; ends when the other side does.
fn slow(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// Runs a task of `fetches` with these grants, and small limits.
fn invoke(allow: &str, limits: &str, task: &str, args: &[&str]) -> Output {
    let folder = TempDir::with_prefix("umbel-fetching-").expect("a temporary folder");
    let config = folder.path().join("umbel.toml");
    let text = format!(
        "[plugins.fetches]\nlimits = {{ time = \"60s\"{limits} }}\nallow = {{ {allow} }}\n"
    );
    std::fs::write(&config, text).expect("a temporary folder is writable");
    let mut command = worker::command("invoke");
    command.arg("--config").arg(config).arg(paths::guest("fetches")).arg(task).args(args);
    command.output().expect("the binary can be started")
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[track_caller]
fn gives(allow: &str, limits: &str, task: &str, args: &[&str], expected: &str) {
    let output = invoke(allow, limits, task, args);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim(), expected, "{allow} {task}{args:?}: {}", text(&output));
}

#[track_caller]
fn refuses(allow: &str, limits: &str, task: &str, args: &[&str], reason: &str) {
    let output = invoke(allow, limits, task, args);
    let text = text(&output);
    assert!(!output.status.success(), "{allow} {task}{args:?}: {text}");
    assert!(text.contains(reason), "{allow} {task}{args:?}: {reason} is not in {text}");
}

#[test]
pub(crate) fn a_request_goes_where_it_was_granted_and_nowhere_else() {
    let (server, other) = (Server::start(), Server::start());
    let allow = format!("http = [\"{}\"]", server.url("127.0.0.1", ""));
    gives(&allow, "", "get", &[&server.url("127.0.0.1", "/")], "200 hello");
    gives(&allow, "", "get", &[&server.url("[::ffff:127.0.0.1]", "/")], "200 hello");
    refuses(&allow, "", "get", &[&other.url("127.0.0.1", "/")], "HttpRequestDenied");
    refuses(&allow, "", "get", &[&server.url("127.0.0.2", "/")], "HttpRequestDenied");
    refuses(&allow, "", "get", &[&server.url("127.1", "/")], "HttpRequestUriInvalid");
    let user = server.url("user@127.0.0.1", "/");
    refuses(&allow, "", "get", &[&user], "HttpRequestUriInvalid");
    refuses(&allow, "", "tunnel", &[&server.url("127.0.0.1", "/")], "HttpRequestMethodInvalid");
    assert_eq!(other.asked.load(Ordering::Relaxed), 0);
    refuses("submit = [\"x\"]", "", "get", &["http://a/"], "allow = { http = [\"https://HOST\"] }");
}

#[test]
fn an_address_that_is_not_public_must_be_named() {
    let server = Server::start();
    let any = format!("http = [\"http://*\", \"http://*:{}\"]", server.port);
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost"] {
        refuses(&any, "", "get", &[&server.url(host, "/")], "DestinationIpProhibited");
    }
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://10.0.0.1/",
        "http://100.100.100.200/",
    ] {
        refuses(&any, "", "get", &[url], "DestinationIpProhibited");
    }
    for url in ["http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/"] {
        refuses(&any, "", "get", &[url], "HttpRequestUriInvalid");
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), 0);
    let named = format!("{any}, private = [\"127.0.0.0/8\", \"::1\"]");
    gives(&named, "", "get", &[&server.url("localhost", "/")], "200 hello");
}

#[test]
fn a_redirect_is_handed_over_and_not_followed() {
    let server = Server::start();
    let allow = format!("http = [\"{}\"]", server.url("127.0.0.1", ""));
    gives(&allow, "", "get", &[&server.url("127.0.0.1", "/redirect")], "302");
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_goes_over_the_wire_is_counted_both_ways() {
    let server = Server::start();
    let allow = format!("http = [\"{}\"]", server.url("127.0.0.1", ""));
    let limits = ", request-bytes = \"1MiB\", requests = 7, sockets = 5";
    let url = |path: &str| server.url("127.0.0.1", path);
    refuses(&allow, limits, "drain", &[&url("/endless")], "bytes over the network");
    refuses(&allow, limits, "post", &[&url("/slow"), "4"], "TaskError");
    refuses(&allow, limits, "get", &[&url("/headers")], "HttpResponseHeaderSectionSize");
    gives(&allow, limits, "repeat", &[&url("/"), "1000"], "7");
    gives(&allow, ", requests = 10000, sockets = 5", "open", &[&url("/endless"), "10000"], "5");
}

#[test]
fn a_server_that_never_answers_costs_no_more_than_the_time_limit() {
    let server = Server::start();
    let allow = format!("http = [\"{}\"]", server.url("127.0.0.1", ""));
    let limits = |time: &str| format!("time = \"{time}\"");
    let folder = TempDir::with_prefix("umbel-fetching-").expect("a temporary folder");
    let config = folder.path().join("umbel.toml");
    let text_of =
        format!("[plugins.fetches]\nlimits = {{ {} }}\nallow = {{ {allow} }}\n", limits("1s"));
    std::fs::write(&config, text_of).expect("a temporary folder is writable");
    let mut command = worker::command("invoke");
    command.arg("--config").arg(&config).arg(paths::guest("fetches")).arg("get");
    let output = command.arg(server.url("127.0.0.1", "/slow")).output().expect("it starts");
    assert!(text(&output).contains("TimeLimitExceeded"), "{}", text(&output));
}
