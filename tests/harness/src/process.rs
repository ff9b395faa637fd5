//! A child process with its log, its signals and what it uses.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::reaper;

/// A child process in a group of its own; its output goes to a file. Dropped, it is killed
/// with everything it started; dropped by a failing test, it shows its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    folder: TempDir,
}

impl Process {
    /// Starts `command`; `name` is what its log is shown under.
    pub fn start(name: &str, mut command: Command) -> Process {
        let folder = TempDir::with_prefix("umbel-test-").expect("a temporary folder can be made");
        let log = folder.path().join("log");
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file can be made there");
        let err = out.try_clone().expect("a file handle can be duplicated");
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let program = command.get_program().to_owned();
        let child = command
            .spawn()
            .unwrap_or_else(|why| panic!("cannot start `{}`: {why}", display(&program)));
        let process = Process { name: name.to_owned(), child, log, ended: None, folder };
        reaper::watch(process.pid());
        reaper::remove(process.folder.path());
        process
    }

    /// The process id, which is its group's number too.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids fit")
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Where the log is.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Waits until the log contains `text`; panics with the log if the process ends before.
    #[track_caller]
    pub fn await_log(&mut self, text: &str, within: Duration) {
        let what = format!("`{}` writes {text:?}", self.name);
        eventually(&what, within, || {
            if self.log().contains(text) {
                return Ok(());
            }
            if let Some(status) = self.poll() {
                panic!(
                    "`{}` ended ({status}) before it wrote {text:?}:\n{}",
                    self.name,
                    self.log()
                );
            }
            Err(tail(&self.log(), 20))
        });
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        // Already gone is as good.
        let _ = kill_process(self.as_pid(), signal);
    }

    /// Kills it and everything it started, without notice, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = kill_process_group(self.as_pid(), Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
            reaper::forget(self.pid());
        }
    }

    /// Whether it has a handler for this signal; without one it would just die of it.
    pub fn catches(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
        mask >> (signal.as_raw() - 1) & 1 == 1
    }

    /// How it ended, if it has.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be waited for");
            if self.ended.is_some() {
                reaper::forget(self.pid());
            }
        }
        self.ended
    }

    /// Waits for its end.
    #[track_caller]
    pub fn await_end(&mut self, within: Duration) -> ExitStatus {
        let what = format!("`{}` ends", self.name);
        eventually(&what, within, || self.poll().ok_or_else(|| tail(&self.log(), 20)))
    }

    /// What it uses now.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    /// Shows what is written from now on if the test fails before the guard is dropped. For
    /// processes that outlive a test.
    pub fn shown_on_failure(&self) -> ShownOnFailure {
        ShownOnFailure { name: self.name.clone(), log: self.log.clone(), from: self.log().len() }
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(self.pid()).expect("a child's id is not zero")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            show(&self.name, &self.log());
        }
    }
}

/// See [`Process::shown_on_failure`].
#[derive(Debug)]
pub struct ShownOnFailure {
    name: String,
    log: PathBuf,
    from: usize,
}

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read(&self.log).unwrap_or_default();
            show(&self.name, &String::from_utf8_lossy(log.get(self.from..).unwrap_or_default()));
        }
    }
}

/// What a process uses, from `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: u64,
    /// The highest it ever was.
    pub resident_peak: u64,
    /// CPU time of all its threads, user and system.
    pub cpu: Duration,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub files: usize,
}

impl Usage {
    /// What this process uses; all zero if it is gone.
    pub fn of(pid: i32) -> Usage {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        Usage {
            resident: field("VmRSS:") * 1024,
            resident_peak: field("VmHWM:") * 1024,
            cpu: cpu(pid).unwrap_or_default(),
            threads: field("Threads:"),
            files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        }
    }
}

fn cpu(pid: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in brackets and may hold spaces; fields 14 and 15 follow.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // The kernel counts in hundredths of a second for everyone outside it.
    Some(Duration::from_millis((user + system) * 10))
}

/// The last `lines` lines.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[expect(clippy::print_stderr, reason = "a failing test shows the logs of its processes")]
fn show(name: &str, log: &str) {
    eprintln!("---- log of `{name}` (last 80 lines) ----\n{}\n----", tail(log, 80));
}

fn display(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}
