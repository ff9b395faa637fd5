//! A page of Markdown: the blocks that a reader types, writes or reads.

use std::fmt::Write;

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins, counted from one.
    pub(crate) line: usize,
    /// The fence's first word.
    pub(crate) language: String,
    /// Its other words, `name=value` or `name`.
    marks: Vec<String>,
    /// What it holds; each line is ended.
    pub(crate) text: String,
}

/// A line that is typed into a shell, and what it prints.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) line: usize,
    pub(crate) command: String,
    /// `…` stands for anything, on a line of its own for any lines. Empty: whatever it prints is good.
    pub(crate) printed: Vec<String>,
}

/// All fenced blocks, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let text = String::new();
                found.push(Block { line: at + 1, language, marks: words.collect(), text });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = found.last_mut().expect("one is open");
                let _ = writeln!(block.text, "{line}");
            }
            (None, false) => {}
        }
    }
    found
}

impl Block {
    /// The value of a mark; empty for one that has none.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        self.marks.iter().find_map(|mark| match mark.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (mark == name).then_some(""),
        })
    }

    /// The lines that begin with `$ `, each with what stands below it. A line that ends with `\`
    /// goes on in the next one.
    pub(crate) fn typed(&self) -> Vec<Typed> {
        let mut all: Vec<Typed> = Vec::new();
        let mut goes_on = false;
        for (at, line) in (self.line + 1..).zip(self.text.lines()) {
            if let Some(command) = line.strip_prefix("$ ") {
                let command = command.to_owned();
                all.push(Typed { line: at, command, printed: Vec::new() });
            } else if let Some(last) = all.last_mut() {
                if goes_on {
                    let _ = write!(last.command, "\n{line}");
                } else {
                    last.printed.push(line.to_owned());
                }
            }
            goes_on = line.ends_with('\\') && (goes_on || line.starts_with("$ "));
        }
        all
    }
}
