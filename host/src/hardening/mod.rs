//! What a process gives up before it touches anything that is not its own: privileges, files,
//! system calls. Checked afterwards, so that nothing is claimed that is not so.

mod calls;
mod files;
mod ground;

use std::fmt;
use std::path::Path;

pub(crate) use self::calls::Role;
pub(crate) use self::files::{Ground, Kept};
pub(crate) use self::ground::{of_helper, of_worker};
use crate::fault::Fault;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    /// As much as the kernel has.
    Auto,
    /// All of it, or no start.
    Require,
}

/// What is in force in this process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hardening {
    off: bool,
    landlock: Result<Kept, String>,
    seccomp: Result<(), String>,
}

impl Hardening {
    /// What the kernel did not give; `None` if it gave everything.
    fn lacking(&self) -> Option<String> {
        let landlock = match &self.landlock {
            Ok(Kept::Yes(_)) => None,
            Ok(Kept::Partly(version)) => {
                Some(format!("this kernel's Landlock is too old (version {version}, not 3)"))
            }
            Ok(Kept::No) => Some("this kernel has no Landlock".to_owned()),
            Err(why) => Some(format!("Landlock does not work: {why}")),
        };
        let seccomp =
            self.seccomp.as_ref().err().map(|why| format!("seccomp does not work: {why}"));
        let all: Vec<String> = [landlock, seccomp].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

impl fmt::Display for Hardening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.off {
            return f.write_str("off");
        }
        f.write_str("no new privileges")?;
        match self.landlock {
            Ok(Kept::Yes(version) | Kept::Partly(version)) => write!(f, ", landlock {version}")?,
            _ => f.write_str(", no landlock")?,
        }
        f.write_str(if self.seccomp.is_ok() { ", seccomp" } else { ", no seccomp" })
    }
}

/// Hardens a worker. While this is its only thread: Landlock covers a thread and what it starts.
pub(crate) fn harden(mode: Mode, ground: &Ground) -> Result<Hardening, Fault> {
    if mode == Mode::Off {
        return Ok(Hardening { off: true, landlock: Ok(Kept::No), seccomp: Ok(()) });
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let (files, calls) = give_up(ground, Role::Worker);
    let landlock = match threads {
        1 => files.and_then(|kept| is_confined(kept, ground)),
        _ => Err(format!("{threads} threads ran already")),
    };
    let seccomp = calls.and_then(|()| is_filtered());
    let hardening = Hardening { off: false, landlock, seccomp };
    match hardening.lacking() {
        Some(what) if mode == Mode::Require => {
            Err(Fault::failure(format!("hardening is required, but {what}"))
                .help("use a kernel that has it, or let `hardening = \"auto\"` do what it can"))
        }
        Some(what) => {
            tracing::warn!("the process is not hardened as it could be: {what}");
            Ok(hardening)
        }
        None => Ok(hardening),
    }
}

/// What the kernel would give, found out on a thread that gives up its files and ends.
pub(crate) fn available() -> Hardening {
    let files = || {
        let privileges = rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string());
        privileges.and_then(|()| files::give_up(&Ground::default()))
    };
    let landlock = std::thread::spawn(files).join();
    let landlock = landlock.unwrap_or_else(|_| Err("it cannot be tried".to_owned()));
    // The line is there if the kernel has seccomp.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let seccomp = match status.lines().any(|line| line.starts_with("Seccomp:")) {
        true => Ok(()),
        false => Err("this kernel has none".to_owned()),
    };
    Hardening { off: false, landlock, seccomp }
}

/// Files, then calls: what became of each.
fn give_up(ground: &Ground, role: Role) -> (Result<Kept, String>, Result<(), String>) {
    let privileges = rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string());
    let files = privileges.clone().and_then(|()| files::give_up(ground));
    (files, privileges.and_then(|()| calls::give_up(role)))
}

/// Confines a process that deals with hostile components alone, as far as the kernel can.
pub(crate) fn confine(ground: &Ground, role: Role) {
    // The worker, which has the same kernel, says what is missing.
    let _ = give_up(ground, role);
}

/// Landlock is in force if what was never given cannot be reached.
fn is_confined(kept: Kept, ground: &Ground) -> Result<Kept, String> {
    let root = Path::new("/");
    if kept == Kept::No || ground.read.iter().chain(&ground.write).any(|path| path == root) {
        return Ok(kept);
    }
    match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(kept),
        _ => Err("`/` can be read all the same".to_owned()),
    }
}

/// The filter is in force if the kernel says so.
fn is_filtered() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| format!("/proc/self/status cannot be read: {e}"))?;
    let is = |name: &str, value: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.is_some_and(|rest| rest.trim() == value)
    };
    match is("Seccomp:", "2") && is("NoNewPrivs:", "1") {
        true => Ok(()),
        false => Err("/proc/self/status shows no filter".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let check =
            |landlock: Result<Kept, String>, seccomp: Result<(), String>, shown, lacking| {
                let hardening = Hardening { off: false, landlock, seccomp };
                assert_eq!(hardening.to_string(), shown);
                assert_eq!(hardening.lacking().as_deref(), lacking);
            };
        check(Ok(Kept::Yes(6)), Ok(()), "no new privileges, landlock 6, seccomp", None);
        check(
            Ok(Kept::No),
            Ok(()),
            "no new privileges, no landlock, seccomp",
            Some("this kernel has no Landlock"),
        );
        check(
            Ok(Kept::Partly(1)),
            Err("no".to_owned()),
            "no new privileges, landlock 1, no seccomp",
            Some("this kernel's Landlock is too old (version 1, not 3), seccomp does not work: no"),
        );
    }
}
