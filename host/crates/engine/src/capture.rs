//! What a guest writes: captured output and log lines, capped, one line a line, harmless to a
//! terminal.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use umbel_task::runner::{Level, LogLine, Outbox, Source};
use umbel_value::{Map, Value};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::meter::Meter;

/// A longer line is cut into several.
const LONGEST_LINE: usize = 16 << 10;

/// How many bytes a stream takes at once; WASI's usual amount.
const PERMIT: usize = 64 << 10;

/// One run's output on its way to the outbox. Clones share it.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

struct Pages {
    outbox: Arc<dyn Outbox>,
    most: u64,
    used: u64,
    dropped: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Journal {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, most: u64) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            outbox,
            most,
            used: 0,
            dropped: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
        })))
    }

    /// A line through `umbel:task/log`. Fields that are no JSON are kept as text.
    pub(crate) fn write(&self, level: Level, message: &str, fields: &str) {
        let mut pages = self.pages();
        let wanted = (message.len() + fields.len()) as u64;
        let granted = pages.grant(wanted);
        if granted == 0 && wanted > 0 {
            return;
        }
        let room = usize::try_from(granted).unwrap_or(usize::MAX);
        let message = cut(message, room);
        // Half a JSON text is none; the message matters more.
        let fields = if message.len() + fields.len() <= room { fields } else { "" };
        let fields = match fields {
            "" => Value::Null,
            text => Value::from_json(text.as_bytes()).unwrap_or_else(|_| Value::Text(text.into())),
        };
        pages.outbox.log(LogLine {
            level,
            message: printable(message.trim_end_matches(['\r', '\n'])),
            fields: harmless(fields),
            from: Source::Log,
        });
    }

    /// A stream that a guest's standard output or error goes to.
    pub(crate) fn stream(&self, from: Source) -> Stream {
        Stream { journal: self.clone(), from, meter: None }
    }

    /// A line of the host's own, whatever the limit says.
    pub(crate) fn warn(&self, message: String) {
        self.pages().warn(message);
    }

    /// Gives out what has no line end yet and says how much was dropped; gives the bytes logged.
    pub(crate) fn finish(&self) -> u64 {
        let mut pages = self.pages();
        for from in [Source::Stdout, Source::Stderr] {
            let line = std::mem::take(pages.buffer(from));
            if !line.is_empty() {
                pages.emit(from, &line);
            }
        }
        let dropped = std::mem::take(&mut pages.dropped);
        if dropped > 0 {
            let what =
                format!("{dropped} bytes of output dropped beyond the limit of {}", pages.most);
            pages.warn(what);
        }
        pages.used
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// How many of so many bytes may still be logged; the others are counted as dropped.
    fn grant(&mut self, wanted: u64) -> u64 {
        let granted = wanted.min(self.most - self.used);
        self.used += granted;
        self.dropped += wanted - granted;
        granted
    }

    fn warn(&self, message: String) {
        let (level, from) = (Level::Warning, Source::Log);
        self.outbox.log(LogLine { level, message, fields: Value::Null, from });
    }

    fn buffer(&mut self, from: Source) -> &mut Vec<u8> {
        if from == Source::Stderr { &mut self.stderr } else { &mut self.stdout }
    }

    fn take(&mut self, from: Source, bytes: &[u8]) {
        let granted = usize::try_from(self.grant(bytes.len() as u64)).unwrap_or(bytes.len());
        let mut rest = &bytes[..granted.min(bytes.len())];
        while !rest.is_empty() {
            let room = LONGEST_LINE - self.buffer(from).len();
            let end = rest.iter().take(room).position(|b| *b == b'\n');
            let length = end.unwrap_or(rest.len().min(room));
            self.buffer(from).extend_from_slice(&rest[..length]);
            rest = &rest[length + usize::from(end.is_some())..];
            if end.is_some() || self.buffer(from).len() >= LONGEST_LINE {
                let line = std::mem::take(self.buffer(from));
                self.emit(from, &line);
            }
        }
    }

    fn emit(&self, from: Source, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let level = if from == Source::Stderr { Level::Warning } else { Level::Info };
        let text = String::from_utf8_lossy(line);
        self.outbox.log(LogLine {
            level,
            message: printable(text.trim_end_matches('\r')),
            fields: Value::Null,
            from,
        });
    }
}

/// Text with everything escaped that could move a cursor, forge a line or reverse its direction.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() && c.is_ascii() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn harmless(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(printable(&text)),
        Value::Tagged(tag, text) => Value::Tagged(tag, printable(&text)),
        Value::List(items) => Value::List(items.into_iter().map(harmless).collect()),
        Value::Map(map) => Value::Map(
            map.into_iter().map(|(key, value)| (printable(&key), harmless(value))).collect::<Map>(),
        ),
        other => other,
    }
}

/// At most so many bytes of a text, whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A guest's standard output or error. Always ready; never closed.
pub(crate) struct Stream {
    journal: Journal,
    from: Source,
    /// Counts writes that are no calls of their own.
    meter: Option<Arc<Meter>>,
}

impl Stream {
    /// The same, with what WASI 0.3 writes counted.
    pub(crate) fn counted(self, meter: &Arc<Meter>) -> Self {
        Self { meter: Some(meter.clone()), ..self }
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.journal.pages().take(self.from, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        let Self { journal, from, meter } = self;
        Box::new(Sink(Stream { meter: meter.clone(), ..journal.stream(*from) }))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.journal.stream(self.from))
    }
}

/// The same for callers that write through tokio.
struct Sink(Stream);

impl tokio::io::AsyncWrite for Sink {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if let Some(meter) = &self.0.meter {
            meter.host_call();
        }
        self.0.journal.pages().take(self.0.from, bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use umbel_task::runner::OutboxError;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<LogLine>>);

    impl Outbox for Recorder {
        fn progress(&self, _: String, _: Value) -> Result<(), OutboxError> {
            Ok(())
        }

        fn log(&self, line: LogLine) {
            self.0.lock().expect("no test panics with it").push(line);
        }
    }

    /// The lines that come of these writes to standard output, and the bytes counted.
    fn lines(most: u64, writes: &[&[u8]]) -> (Vec<String>, u64) {
        let recorder = Arc::new(Recorder::default());
        let journal = Journal::new(recorder.clone(), most);
        let mut stream = journal.stream(Source::Stdout);
        for write in writes {
            stream.write(Bytes::copy_from_slice(write)).expect("it takes everything");
        }
        let used = journal.finish();
        let lines = std::mem::take(&mut *recorder.0.lock().expect("no test panics with it"));
        (lines.into_iter().map(|line| line.message).collect(), used)
    }

    #[test]
    fn a_line_is_a_line_however_it_is_written() {
        let (given, used) = lines(100, &[b"one\ntw", b"o\r\n\n", b"three"]);
        assert_eq!(given, ["one", "two", "three"]);
        assert_eq!(used, 15);
    }

    #[test]
    fn nothing_that_moves_a_cursor_or_forges_a_line_gets_through() {
        let (given, _) =
            lines(100, &[b"a\x1b[2Jb\x07\rc\tr\xffx\n", "\u{202e}evil\u{9b}".as_bytes()]);
        assert_eq!(given, ["a\\x1b[2Jb\\x07\\rc\tr\u{fffd}x", "\\u{202e}evil\\u{9b}"]);
    }

    #[test]
    fn what_is_beyond_the_limit_is_dropped_and_counted() {
        let (given, used) = lines(10, &[b"12345\n", b"67890\n", b"more\n"]);
        let note = "7 bytes of output dropped beyond the limit of 10";
        assert_eq!(given, ["12345", "6789", note]);
        assert_eq!(used, 10);
    }

    #[test]
    fn an_endless_line_is_cut_into_pieces() {
        let piece = [b'x'; 10_000];
        let (given, used) = lines(64 << 10, &[&piece[..]; 20]);
        assert_eq!(given.len(), 5);
        assert!(given[..4].iter().all(|line| line.len() == LONGEST_LINE));
        assert_eq!(
            given[4],
            format!("{} bytes of output dropped beyond the limit of 65536", 200_000 - 65_536)
        );
        assert_eq!(used, 65_536);
    }

    #[test]
    fn a_log_line_is_cut_at_a_whole_character() {
        let recorder = Arc::new(Recorder::default());
        let journal = Journal::new(recorder.clone(), 6);
        journal.write(Level::Info, "grün\u{1b}es", "{}");
        journal.write(Level::Info, "more", "");
        assert_eq!(journal.finish(), 6);
        let lines = recorder.0.lock().expect("no test panics with it");
        assert_eq!(lines[0].message, "grün\\x1b");
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}
