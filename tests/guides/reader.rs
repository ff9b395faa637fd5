//! Somebody who does what a page says, in a folder of their own.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::net::free_port;
use umbel_harness::process::Process;
use umbel_harness::redis::RedisServer;
use umbel_harness::{paths, shell};

use crate::page::{Block, Typed};
use crate::printed::fits;

/// For one command, compilers and downloads included, on a busy machine.
const LONG: Duration = Duration::from_secs(1200);

/// Runs what a block types into Python's prompt, and compares what it prints.
const PROMPT: &str = "import doctest, sys
options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
sys.exit(doctest.testfile(sys.argv[1], module_relative=False, optionflags=options).failed)";

/// What pages say instead of the addresses of a test's own servers; the first ones are what is shown.
const REDIS: [&str; 2] = ["redis://localhost:6379/0", "redis://localhost"];
const HTTP: &str = "127.0.0.1:9808";

pub(crate) struct Reader {
    page: String,
    home: TempDir,
    /// Where the next command is typed.
    place: PathBuf,
    redis: OnceCell<RedisServer>,
    http: String,
    /// Kept until the page ends.
    background: Vec<Process>,
    /// Files that a diff has changed, as they were.
    changed: Vec<(PathBuf, String)>,
    /// A command was typed since the last change.
    typed_since: bool,
}

impl Reader {
    /// A folder that looks like a checkout in which everything has been built.
    pub(crate) fn of(page: &str) -> std::io::Result<Reader> {
        let home = TempDir::with_prefix("umbel-guide-")?;
        let place = home.path().to_owned();
        let target = place.join("target");
        fs::create_dir_all(target.join("release"))?;
        std::os::unix::fs::symlink(paths::plugins(), target.join("plugins"))?;
        let programs = paths::umbel().parent().map(Path::to_owned).unwrap_or_default();
        std::os::unix::fs::symlink(programs.join("examples"), target.join("release/examples"))?;
        let http = format!("127.0.0.1:{}", free_port());
        let (redis, background, changed) = (OnceCell::new(), Vec::new(), Vec::new());
        let (page, typed_since) = (page.to_owned(), false);
        Ok(Reader { page, home, place, redis, http, background, changed, typed_since })
    }

    /// Does what one block says.
    pub(crate) fn follow(&mut self, block: &Block) -> Result<(), String> {
        let line = block.line;
        if let Some(from) = block.mark("from") {
            return self.compare(block, from);
        }
        if let Some(file) = block.mark("change") {
            return self.change(file, &block.text).map_err(|why| self.fault(line, file, &why));
        }
        if let Some(file) = block.mark("file") {
            return self.write(file, &block.text).map_err(|why| self.fault(line, file, &why));
        }
        match block.language.as_str() {
            "console" => block.typed().iter().try_for_each(|typed| self.enter(typed, block)),
            "pycon" => self.prompt(block),
            "toml" => self.configure(block),
            "sh" | "bash" | "shell" => Err(self.fault(
                line,
                "commands that nobody runs",
                "write them as ```console, or say why not: ```sh no_run=why",
            )),
            _ => Ok(()),
        }
    }

    /// The block is a copy of a file of the project.
    fn compare(&self, block: &Block, from: &str) -> Result<(), String> {
        let text = fs::read_to_string(paths::workspace().join(from)).unwrap_or_default();
        if text == block.text {
            return Ok(());
        }
        Err(self.fault(block.line, from, "the page has another text than the file"))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.place.join(file);
        let folder = path.parent().unwrap_or(&self.place);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, self.real(text)));
        written.map_err(|why| why.to_string())
    }

    /// Puts a diff's new lines in the place of its old ones. What was changed before the last commands
    /// is as it was again: each change is made alone.
    fn change(&mut self, file: &str, diff: &str) -> Result<(), String> {
        if std::mem::take(&mut self.typed_since) {
            for (path, text) in self.changed.drain(..).rev() {
                fs::write(path, text).map_err(|why| why.to_string())?;
            }
        }
        let lines = |sign: char| -> String {
            let lines = diff.lines().filter_map(|line| line.strip_prefix(sign));
            lines.map(|line| format!("{line}\n")).collect()
        };
        let (old, new) = (lines('-'), lines('+'));
        let path = self.place.join(file);
        let text = fs::read_to_string(&path).map_err(|why| why.to_string())?;
        // A line may go on where the page leaves off.
        let (old, new) = (old.trim_end_matches('\n'), new.trim_end_matches('\n'));
        if text.matches(old).count() != 1 {
            return Err(format!("`{old}` is there {} times", text.matches(old).count()));
        }
        fs::write(&path, text.replace(old, new)).map_err(|why| why.to_string())?;
        self.changed.push((path, text));
        Ok(())
    }

    /// Types a command; in a block marked `soon` again and again, until it prints what is shown.
    fn enter(&mut self, typed: &Typed, block: &Block) -> Result<(), String> {
        self.typed_since = true;
        let command = self.real(&typed.command);
        if let Some(command) = command.strip_suffix(" &") {
            return self.begin(typed, command);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tried = self.once(typed, &command, block.mark("fails").is_some());
            if tried.is_ok() || block.mark("soon").is_none() || Instant::now() > deadline {
                return tried;
            }
        }
    }

    fn once(&mut self, typed: &Typed, command: &str, fails: bool) -> Result<(), String> {
        let after = self.home.path().join(".place");
        let line = format!("{command}\nstatus=$?; pwd > '{}'; exit $status", after.display());
        let (code, said) = self.run(&typed.command, &line);
        if let Ok(place) = fs::read_to_string(&after) {
            self.place = PathBuf::from(place.trim_end());
        }
        if (code == 0) == fails {
            let what = format!("exit status {code}\n{said}");
            return Err(self.fault(typed.line, &typed.command, &what));
        }
        let lines: Vec<&str> = said.lines().collect();
        if typed.printed.is_empty() || fits(&typed.printed, &lines) {
            return Ok(());
        }
        Err(self.differs(typed, &said))
    }

    /// Starts what goes on beside the next commands, and waits until it has printed what is shown.
    fn begin(&mut self, typed: &Typed, line: &str) -> Result<(), String> {
        let mut process = Process::start(&typed.command, self.shell(&format!("exec {line}")));
        let mut shown = typed.printed.clone();
        shown.push("…".to_owned());
        let said = |process: &Process| self.shown(&process.log());
        let what = format!("{}:{}: {}", self.page, typed.line, typed.command);
        let ended = eventually(&what, PATIENCE, || {
            let text = said(&process);
            if fits(&shown, &text.lines().collect::<Vec<_>>()) {
                return Ok(false);
            }
            process.poll().map(|_| true).ok_or(format!("{text}\ninstead of\n{}", shown.join("\n")))
        });
        let text = said(&process);
        self.background.push(process);
        if ended { Err(self.differs(typed, &text)) } else { Ok(()) }
    }

    fn prompt(&mut self, block: &Block) -> Result<(), String> {
        let session = self.home.path().join(".session");
        let text = self.real(&block.text).replace('…', "...");
        fs::write(&session, text).map_err(|why| why.to_string())?;
        let line = format!("python -c '{PROMPT}' '{}'", session.display());
        match self.run("python", &line) {
            (0, _) => Ok(()),
            (_, said) => Err(self.fault(block.line, ">>>", &said)),
        }
    }

    /// Settings that a page shows are settings that there are.
    fn configure(&mut self, block: &Block) -> Result<(), String> {
        let file = self.home.path().join(".umbel.toml");
        fs::write(&file, &block.text).map_err(|why| why.to_string())?;
        let line = format!("umbel worker --show-config --config '{}'", file.display());
        match self.run("umbel worker --show-config", &line) {
            (0, _) => Ok(()),
            (_, said) => Err(self.fault(block.line, "umbel.toml", &said)),
        }
    }

    fn run(&self, name: &str, line: &str) -> (i32, String) {
        let mut process = Process::start(&format!("{}: {name}", self.page), self.shell(line));
        let status = process.await_end(LONG);
        (status.code().unwrap_or(-1), self.shown(&process.log()))
    }

    fn shell(&self, line: &str) -> Command {
        let python = paths::python().parent().map(Path::to_owned).unwrap_or_default();
        let mut shell = shell::typed(line, &self.place, &[python]);
        // Pages share what cargo has built; each calls its project by another name, and nobody works as root.
        shell.env("CARGO_TARGET_DIR", paths::workspace().join("target/guides"));
        shell.env("UMBEL_ALLOW_ROOT", "true").env("PYTHONDONTWRITEBYTECODE", "1");
        shell
    }

    /// What a page says, with the addresses of this test.
    fn real(&self, text: &str) -> String {
        let text = text.replace(HTTP, &self.http);
        if !text.contains(REDIS[1]) {
            return text;
        }
        let redis = self.redis();
        REDIS.iter().fold(text, |text, shown| text.replace(shown, &redis))
    }

    /// What was printed, with the addresses of the page.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(&self.http, HTTP);
        match self.redis.get() {
            Some(redis) => text.replace(&redis.url(0), REDIS[0]),
            None => text,
        }
    }

    fn redis(&self) -> String {
        self.redis.get_or_init(RedisServer::start).url(0)
    }

    fn differs(&self, typed: &Typed, said: &str) -> String {
        let shown = typed.printed.join("\n");
        let what = format!("the page shows:\n{shown}\nprinted was:\n{}", said.trim_end());
        self.fault(typed.line, &typed.command, &what)
    }

    fn fault(&self, line: usize, what: &str, why: &str) -> String {
        format!("{}:{line}: {what}\n{why}", self.page)
    }
}
