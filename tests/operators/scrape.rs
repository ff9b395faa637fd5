//! Asking a server over HTTP, in as few words as it takes; reading what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use umbel_harness::eventually::eventually;
use umbel_harness::worker::Umbel;

/// For one answer, also on a machine that stands still for a while.
const ANSWER: Duration = Duration::from_secs(60);

/// The option that makes a worker serve at a port that is free.
pub(crate) const SERVE: [&str; 2] = ["--http", "127.0.0.1:0"];

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Where a worker that was told to [`SERVE`] does.
#[track_caller]
pub(crate) fn address(umbel: &mut Umbel) -> String {
    let sign = "metrics and health on http://";
    umbel.process.await_log(sign, umbel_harness::eventually::PATIENCE);
    eventually("the line is written to its end", ANSWER, || {
        let log = umbel.process.log();
        let (_, rest) = log.split_once(sign).ok_or("no line")?;
        let (address, _) = rest.split_once(['\n', '"']).ok_or("half a line")?;
        Ok(address.to_owned())
    })
}

/// One question, one answer.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let question = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n"
    );
    stream.write_all(question.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let odd = || io::Error::other(format!("no answer: {text}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(odd)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(odd)?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// What is at a path.
#[track_caller]
pub(crate) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, "").unwrap_or_else(|why| panic!("{address}{path}: {why}"))
}

/// The same for what is not there yet, or not any more.
pub(crate) fn try_get(address: &str, path: &str) -> Result<Answer, String> {
    ask(address, "GET", path, "").map_err(|why| why.to_string())
}

/// Waits until a path answers like this.
#[track_caller]
pub(crate) fn await_answer(address: &str, path: &str, status: u16, body: &str) {
    let what = format!("{path} says {status} {body:?}");
    eventually(&what, umbel_harness::eventually::PATIENCE, || {
        let answer = try_get(address, path)?;
        let as_wanted = answer.status == status && answer.body.trim() == body;
        if as_wanted { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

/// Each sample of a page, by its name with its labels.
#[track_caller]
pub(crate) fn samples(address: &str) -> BTreeMap<String, f64> {
    let page = get(address, "/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    let lines = page.body.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// The bare names of metrics in a page or in a query.
pub(crate) fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in texts {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let ours = |word: &&str| word.starts_with("umbel_") || word.starts_with("process_");
        names.extend(words.filter(ours).map(str::to_owned));
    }
    names
}

/// A text as it stands in a URL's query.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            // Writing to a String cannot fail.
            other => drop(write!(escaped, "%{other:02X}")),
        }
    }
    escaped
}
