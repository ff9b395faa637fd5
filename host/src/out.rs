//! Standard output and the one line of progress on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Prints and ends the line. A reader that went away is no error.
pub(crate) fn line(text: &str) -> io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints and ends the line; false if the reader went away.
pub(crate) fn line_for_somebody(text: &str) -> io::Result<bool> {
    for_somebody(format!("{text}\n").as_bytes())
}

/// Prints as it is. A reader that went away is no error.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    for_somebody(bytes).map(drop)
}

fn for_somebody(bytes: &[u8]) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Prints one JSON value and ends the line.
pub(crate) fn json(value: &serde_json::Value) -> io::Result<()> {
    let pretty = io::stdout().is_terminal();
    let text = if pretty { format!("{value:#}") } else { value.to_string() };
    line(&text)
}

/// A line on stderr that overwrites itself; silent where nobody looks.
pub(crate) struct Progress {
    since: Instant,
    shown: bool,
    visible: bool,
}

impl Progress {
    /// How often to call [`Progress::tell`].
    pub(crate) const TICK: Duration = Duration::from_millis(120);

    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), shown: false, visible: io::stderr().is_terminal() }
    }

    /// Shows nothing.
    pub(crate) fn silent() -> Self {
        Self { visible: false, ..Self::new() }
    }

    /// True if somebody looks.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// Shows the text with a spinner and the time since the start.
    pub(crate) fn tell(&mut self, text: &str) {
        if !self.visible {
            return;
        }
        const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        let elapsed = self.since.elapsed();
        let frame = FRAMES[(elapsed.as_millis() / Self::TICK.as_millis()) as usize % FRAMES.len()];
        let line = format!("\r\x1b[2K{frame} {text}  {:.1}s", elapsed.as_secs_f64());
        let mut stderr = io::stderr().lock();
        // Progress is a courtesy.
        let _ = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
        self.shown = true;
    }

    /// Wipes the line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(b"\r\x1b[2K").and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// True if somebody is there to be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal; anything but a yes is a no. `None`: nobody is there to be asked.
pub(crate) fn ask(question: &str) -> io::Result<Option<bool>> {
    if !can_ask() {
        return Ok(None);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())))
}

/// Tells something on stderr that is neither log nor error.
pub(crate) fn note(text: &str) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(io::stderr(), "{text}");
}
