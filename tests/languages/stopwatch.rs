//! What was typed, how long it took, how large the components are.

use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// One language.
pub(crate) struct Row {
    language: &'static str,
    typed: Vec<(String, Duration)>,
    /// For what compilers keep, empty at first.
    pub(crate) caches: TempDir,
    /// Bytes of a build that is quick.
    pub(crate) quick: u64,
    /// Bytes of a build that is small.
    pub(crate) small: u64,
    /// From sending to the result.
    pub(crate) send: Duration,
}

impl Row {
    pub(crate) fn new(language: &'static str) -> Row {
        let (typed, send) = (Vec::new(), Duration::ZERO);
        let caches = TempDir::new().expect("a temporary folder can be made");
        Row { language, typed, caches, quick: 0, small: 0, send }
    }

    pub(crate) fn took(&mut self, line: &str, time: Duration) {
        self.typed.push((line.to_owned(), time));
    }

    /// For the table at the end.
    pub(crate) fn keep(self) {
        ROWS.lock().expect("no test died with it").push(self);
    }
}

/// All languages that were timed, as Markdown; nothing if none was.
pub(crate) fn table() -> String {
    let rows = ROWS.lock().expect("no test died with it");
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "\n| language | what is typed, and seconds | together | component | with --release \
                    | first result in Celery |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows.iter() {
        let typed: Vec<String> = row
            .typed
            .iter()
            .map(|(line, time)| format!("`{line}` {:.1}", time.as_secs_f64()))
            .collect();
        let together: Duration = row.typed.iter().map(|(_, time)| *time).sum();
        text += &format!(
            "| {} | {} | {:.1} s | {} | {} | {} ms |\n",
            row.language,
            typed.join("<br>"),
            together.as_secs_f64(),
            bytes(row.quick),
            bytes(row.small),
            row.send.as_millis()
        );
    }
    text
}

fn bytes(size: u64) -> String {
    match size {
        1_048_576.. => format!("{:.1} MiB", size as f64 / 1_048_576.0),
        _ => format!("{:.1} KiB", size as f64 / 1024.0),
    }
}
