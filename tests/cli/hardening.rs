//! What a worker gives up before it runs anybody's code, as the kernel sees it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use umbel_harness::eventually::eventually;
use umbel_harness::process::Process;

use crate::embedded::worker;
use crate::{SOON, command, folder, put, umbel};

const NOBODY: u32 = 65534;

/// Every thread of a process as `/proc` shows it.
fn threads(pid: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let status = tasks.flatten().map(|task| fs::read_to_string(task.path().join("status")));
    // A thread may end while we look.
    let status: Vec<String> = status.flatten().collect();
    assert!(!status.is_empty(), "the process has no thread");
    status
}

/// The words of a field of `/proc/…/status`.
fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no `{name}` in:\n{status}")).split_whitespace().collect()
}

fn is_hardened(pid: i32) {
    for status in threads(pid) {
        assert_eq!(field(&status, "NoNewPrivs:"), ["1"], "{status}");
        assert_eq!(field(&status, "Seccomp:"), ["2"], "{status}");
    }
}

/// The guard and the helper: the two processes that a worker compiles with while it does not.
pub(crate) fn compilers(worker: i32) -> [i32; 2] {
    let only_child = |pid: i32| {
        let one = || <[i32; 1]>::try_from(children(pid)).map_err(|many| format!("{many:?}"));
        eventually("one process that compiles", SOON, one)[0]
    };
    let guard = only_child(worker);
    [guard, only_child(guard)]
}

/// The processes that this one started.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let lists = tasks.flatten().flat_map(|task| fs::read_to_string(task.path().join("children")));
    let children: Vec<String> = lists.collect();
    children.join(" ").split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        give(&entry.path());
    }
}

#[test]
fn a_worker_started_as_root_with_a_user_is_that_user_and_gives_up_the_rest() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder("");
    let here = folder.path();
    put(here, "tasks", "tasks");
    umbel(here, &["worker"]).refused(77, &["superuser privileges", "--uid", "--allow-root"]);
    // Its folder, and a cache of its own.
    fs::set_permissions(here, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::create_dir(here.join("cache")).expect("a fresh folder is empty");
    give(here);
    let words = ["worker", "--uid", "65534", "--gid", "65534", "--require-hardening", "--cache"];
    let mut command = command(here, &words);
    command.arg(here.join("cache"));
    let mut worker = Process::start("umbel worker", command);
    worker.await_log("ready.", SOON);
    let log = worker.log();
    assert!(log.contains(".> hardening:   no new privileges, landlock "), "{log}");
    assert!(log.contains(", seccomp\n"), "{log}");
    umbel(here, &["call", "tasks.add", "2", "3", "--wait", "--timeout", "20s"]).said(&["5\n"]);
    is_hardened(worker.pid());
    let compilers = compilers(worker.pid());
    compilers.iter().for_each(|pid| is_hardened(*pid));
    for status in compilers.iter().chain([&worker.pid()]).flat_map(|pid| threads(*pid)) {
        assert_eq!(field(&status, "Uid:"), ["65534"; 4], "{status}");
        assert_eq!(field(&status, "Gid:"), ["65534"; 4], "{status}");
        assert_eq!(field(&status, "Groups:"), ["65534"], "{status}");
        assert_eq!(field(&status, "CapEff:"), ["0000000000000000"], "{status}");
    }
}

#[test]
fn a_worker_is_hardened_unless_told_otherwise() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let hardened = worker(folder.path(), &["-n", "one@%h"]);
    is_hardened(hardened.pid());
    let compilers = compilers(hardened.pid());
    for pid in compilers {
        let inherited = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
        assert_eq!(String::from_utf8_lossy(&inherited), "", "nothing of our environment");
    }
    drop(hardened);
    let gone = || match compilers.iter().any(|pid| Path::new(&format!("/proc/{pid}/exe")).exists())
    {
        true => Err("one lives".to_owned()),
        false => Ok(()),
    };
    eventually("what compiles ends with its worker", SOON, gone);

    let off = worker(folder.path(), &["-n", "two@%h", "--hardening", "off"]);
    assert!(off.log().contains(".> hardening:   off"), "{}", off.log());
    assert_eq!(field(&threads(off.pid())[0], "Seccomp:"), ["0"]);
    drop(off);
    umbel(folder.path(), &["worker", "--allow-root", "--hardening", "of"])
        .refused(2, &["`of` is none of off, auto, require"]);
    umbel(folder.path(), &["worker", "--hardening", "off", "--require-hardening"])
        .refused(2, &["contrary"]);
}

#[test]
fn a_worker_reads_its_own_plugins_through_links_but_no_other_file() {
    let (folder, elsewhere) = (folder(""), [0, 1].map(|_| tempfile::tempdir()));
    let elsewhere = elsewhere.map(|folder| folder.expect("a temporary folder can be made"));
    let link = |at: usize, name: &str| {
        let outside = elsewhere[at].path().join("real.wasm");
        fs::copy(umbel_harness::paths::plugin("tasks"), &outside).expect("it can be copied");
        let link = folder.path().join("plugins").join(name);
        std::os::unix::fs::symlink(&outside, link).expect("a link can be made");
    };
    link(0, "tasks.wasm");
    let mut worker = worker(folder.path(), &[]);
    let log = worker.log();
    assert!(log.contains("tasks.add"), "{log}");
    // Where no plugin was when the worker gave up the rest, it cannot read one now.
    link(1, "late.wasm");
    match log.contains(", no landlock") {
        true => worker.await_log("late.wasm", SOON),
        false => worker.await_log("late.wasm` cannot be read: Permission denied", SOON),
    }
}
