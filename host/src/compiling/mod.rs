//! Compiling untrusted components in processes of their own. A helper starts one for each component
//! and ends it when its time is over; a guard, started before this process gives up starting any,
//! starts another helper if one dies.

mod child;
mod guard;
mod helper;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use umbel_engine::{Compiler, Product, Rejected, Target, memory_file};

use crate::settings::units::{show_duration, show_size};

/// What one component may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Bytes of address space, and of code.
    pub(crate) memory: u64,
    /// CPU time of all threads together.
    pub(crate) time: Duration,
}

impl Limits {
    /// A machine may be busy with other things, but not for ever.
    fn wall(&self) -> Duration {
        self.time * 4 + Duration::from_secs(10)
    }
}

/// What these processes are called on the command line, where nobody else calls them.
const GUARD: &str = "compiling-guard";
const HELPER: &str = "compiling-helper";
const CHILD: &str = "compiling-child";

/// Carries a process of this kind out; `None` if this is another kind of process.
pub(crate) fn carry_out() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    match args.next()?.as_str() {
        GUARD => Some(guard::run()),
        HELPER => Some(helper::run()),
        CHILD => Some(child::run(&args.next()?)),
        _ => None,
    }
}

/// One component for a child: sent with handles for it, its code, its words, and the answer.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    target: Target,
    limits: Limits,
}

/// Longer than any order.
const LONGEST_ORDER: usize = 4 << 10;

/// Handles that go with an order.
const HANDLES: usize = 4;

/// How a child ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ending {
    code: Option<i32>,
    signal: Option<i32>,
    /// It was ended for taking too long by the clock.
    late: bool,
    /// It could not even be started.
    trouble: Option<String>,
}

/// The helper, as the worker has it: whoever listens at the socket at the moment. Ends with it.
#[derive(Debug)]
pub(crate) struct Helper {
    /// `None` only while it is dropped.
    socket: Option<OwnedFd>,
    guard: Mutex<Child>,
    limits: Limits,
}

/// Starts the guard, which starts the helper.
pub(crate) fn start(limits: Limits) -> anyhow::Result<Helper> {
    let begin = || -> io::Result<Helper> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let guard = program(GUARD)
            .stdin(theirs)
            .stdout(Stdio::null())
            // Signals of a terminal are not for it: it ends when its socket closes.
            .process_group(0)
            .spawn()?;
        Ok(Helper { socket: Some(ours), guard: Mutex::new(guard), limits })
    };
    begin().context("cannot start the process that compiles plugins")
}

/// This program again, with nothing of our environment.
fn program(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("umbel").arg(name).env_clear().current_dir("/");
    command
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.socket = None;
        let guard = self.guard.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The helper takes its children with it, so this does not wait for a compilation.
        let _ = guard.wait();
    }
}

/// How often an order is given again because the helper died over it.
const AGAIN: usize = 2;

impl Compiler for Helper {
    fn compile(&self, component: &[u8], target: &Target) -> Result<Product, Rejected> {
        let order = Order { target: target.clone(), limits: self.limits };
        for _ in 0..AGAIN {
            match self.once(component, &order) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    tracing::warn!("the process that compiles plugins has died; another one tries");
                }
                done => return done.unwrap_or_else(|error| Err(trouble(&error))),
            }
        }
        self.once(component, &order).unwrap_or_else(|error| Err(trouble(&error)))
    }
}

/// No helper, or none that answers.
fn trouble(error: &io::Error) -> Rejected {
    let why = match error.kind() {
        ErrorKind::UnexpectedEof => "dies again and again".to_owned(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "has been killed".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "does not answer".to_owned(),
        _ => format!("cannot be used: {error}"),
    };
    Rejected {
        what: format!("cannot be compiled: the process that does it {why}"),
        help: Some("what is loaded goes on serving; start the worker again".to_owned()),
    }
}

impl Helper {
    /// Gives the order to whoever listens; the error is about the helper, not the component.
    fn once(&self, component: &[u8], order: &Order) -> io::Result<Result<Product, Rejected>> {
        let mut input = memory_file("component")?;
        input.write_all(component)?;
        input.rewind()?;
        let (code, said) = (memory_file("code")?, memory_file("said")?);
        let ending = self.carry_out(order, [&input, &code, &said])?;
        Ok(judge(&ending, &self.limits, code, said))
    }

    fn carry_out(&self, order: &Order, files: [&File; HANDLES - 1]) -> io::Result<Ending> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(self.limits.wall() + Duration::from_secs(10)))?;
        let [input, code, said] = files;
        let handles = [input.as_fd(), code.as_fd(), said.as_fd(), theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&handles));
        let text = serde_json::to_vec(order)?;
        let socket = self.socket.as_ref().expect("it is taken on drop alone");
        sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
        drop(theirs);
        let mut answer = Vec::new();
        (&ours).read_to_end(&mut answer)?;
        if answer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// More than any honest component says of itself.
const LONGEST_REPORT: u64 = 64 << 20;

/// What became of a component, by how its child ended and what it said.
fn judge(
    ending: &Ending,
    limits: &Limits,
    code: File,
    mut said: File,
) -> Result<Product, Rejected> {
    let mut words = Vec::new();
    let read =
        said.rewind().and_then(|()| (&said).take(LONGEST_REPORT + 1).read_to_end(&mut words));
    let refused = |what: String, help: Option<String>| Err(Rejected { what, help });
    if let Err(error) = read {
        return refused(format!("cannot be compiled: {error}"), None);
    }
    if ending.code == Some(0) {
        if words.len() as u64 > LONGEST_REPORT {
            return refused("says too much of itself".to_owned(), None);
        }
        return Ok(Product { code, report: words });
    }
    // What a reader said when it failed comes first.
    let last = words.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if ending.code == Some(1)
        && let Ok(rejected) = serde_json::from_slice(last)
    {
        return Err(rejected);
    }
    let words = String::from_utf8_lossy(&words);
    let out_of_time = libc::SIGXCPU;
    if ending.late || ending.signal == Some(out_of_time) {
        let what = format!("takes longer to compile than {}", show_duration(limits.time));
        return refused(what, raise("time"));
    }
    if ending.signal == Some(libc::SIGKILL) {
        let help =
            "if the machine ran out of memory: lower `memory` in [compile]; then send SIGHUP";
        let what = "was being compiled by a process that somebody killed".to_owned();
        return refused(what, Some(help.to_owned()));
    }
    let exhausted = ["memory allocation of", "os error 11)", "os error 12)", "SizeOverflow"];
    let too_large = ending.signal == Some(libc::SIGXFSZ) || words.contains("os error 27)");
    if too_large || exhausted.iter().any(|sign| words.contains(sign)) {
        let what = format!("takes more memory to compile than {}", show_size(limits.memory));
        return refused(what, raise("memory"));
    }
    let how = match (&ending.trouble, ending.signal, ending.code) {
        (Some(trouble), ..) => trouble.clone(),
        (_, Some(signal), _) => format!("signal {signal}"),
        (.., code) => format!("exit code {}", code.unwrap_or_default()),
    };
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
    let last = words.lines().rfind(told).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    refused(format!("makes the compiler fail: {how} {last}").trim_end().to_owned(), None)
}

fn raise(key: &str) -> Option<String> {
    Some(format!("if the plugin is to be trusted, raise `{key}` in [compile]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { memory: 1 << 30, time: Duration::from_secs(60) };

    fn ended(code: Option<i32>, signal: Option<i32>, late: bool, words: &str) -> String {
        let ending = Ending { code, signal, late, trouble: None };
        let mut said = memory_file("said").expect("a file");
        said.write_all(words.as_bytes()).expect("it is writable");
        match judge(&ending, &LIMITS, memory_file("code").expect("a file"), said) {
            Ok(product) => format!("fine: {}", String::from_utf8_lossy(&product.report)),
            Err(Rejected { what, help }) => format!("{what}; {}", help.unwrap_or_default()),
        }
    }

    #[test]
    fn every_ending_of_a_child_says_which_limit_it_was() {
        let time = "takes longer to compile than 1m; \
                    if the plugin is to be trusted, raise `time` in [compile]";
        let memory = "takes more memory to compile than 1GiB; \
                      if the plugin is to be trusted, raise `memory` in [compile]";
        let killed = "was being compiled by a process that somebody killed; if the machine ran out \
                      of memory: lower `memory` in [compile]; then send SIGHUP";
        for (code, signal, late, words, expected) in [
            (Some(0), None, false, "{}", "fine: {}"),
            (Some(1), None, false, r#"{"what":"is odd","help":null}"#, "is odd; "),
            (Some(1), None, false, "panicked\n{\"what\":\"is odd\",\"help\":null}", "is odd; "),
            (None, Some(libc::SIGKILL), true, "", time),
            (None, Some(libc::SIGXCPU), false, "", time),
            (None, Some(libc::SIGKILL), false, "", killed),
            (None, Some(libc::SIGABRT), false, "memory allocation of 9 bytes failed\n", memory),
            (None, Some(libc::SIGXFSZ), false, "", memory),
            (Some(101), None, false, "a\nb\x1b\n", "makes the compiler fail: exit code 101 b; "),
            (None, Some(11), false, "", "makes the compiler fail: signal 11; "),
        ] {
            assert_eq!(ended(code, signal, late, words), expected);
        }
    }
}
