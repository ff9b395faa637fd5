//! A child process that answers lines with lines of JSON, in any order.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::reaper;

/// How long it may take to end once nothing more is asked.
const LEAVE: Duration = Duration::from_secs(20);

/// A running process; it and all that it starts end with this. Can be asked from many threads.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    input: Mutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<Waiting>>,
    _folder: TempDir,
}

/// Who waits for which answer; `None` when there will be no more of them.
type Waiting = Option<HashMap<String, Sender<Value>>>;

impl Dialogue {
    /// Starts the process, with a temporary folder for all its files.
    pub fn start(mut command: Command) -> Dialogue {
        let folder = TempDir::with_prefix("umbel-test-").expect("a temporary folder can be made");
        reaper::remove(folder.path());
        command.env("TMPDIR", folder.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        reaper::watch(group(&child));
        let input = Mutex::new(child.stdin.take());
        let output = child.stdout.take().expect("its output is a pipe");
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let answered = waiting.clone();
        std::thread::spawn(move || hand_out(output, &answered));
        Dialogue { child, input, waiting, _folder: folder }
    }

    /// Sends a line, and gives the answer that names it under `asked`. The same line must not be
    /// asked twice at a time.
    pub fn ask(&self, line: &str, within: Duration) -> Result<Value, String> {
        let (send, answer) = channel();
        match lock(&self.waiting).as_mut() {
            Some(waiting) => waiting.insert(line.to_owned(), send),
            None => return Err("the process is gone".to_owned()),
        };
        let sent = lock(&self.input).as_mut().map(|input| writeln!(input, "{line}"));
        match sent {
            Some(Ok(())) => answer
                .recv_timeout(within)
                .map_err(|why| format!("no answer to `{line}` within {within:?}: {why}")),
            other => Err(format!("the process does not listen: {other:?}")),
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // The end of its input asks it to clear up after itself.
        lock(&self.input).take();
        let deadline = Instant::now() + LEAVE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it started and left behind ends too, and so does a process that does not leave.
        if let Some(pid) = Pid::from_raw(group(&self.child)) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        reaper::forget(group(&self.child));
    }
}

fn hand_out(output: ChildStdout, waiting: &Mutex<Waiting>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        let asked = answer["asked"].as_str().unwrap_or_default();
        if let Some(sender) = lock(waiting).as_mut().and_then(|waiting| waiting.remove(asked)) {
            // Whoever waited too long is gone.
            let _ = sender.send(answer);
        }
    }
    // Drops the senders, so that nobody waits in vain.
    lock(waiting).take();
}

fn group(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process ids fit")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
