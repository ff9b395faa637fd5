//! Operators' mistakes and misfortunes: one clear message for each, no password in any, and no
//! message lost. Those that keep a worker from starting are in `tests/cli/brokers.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::{RedisOptions, RedisServer};
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::{Client, url};

const PASSWORD: &str = "hunter2";

/// Tasks that are under way when it happens.
const TASKS: usize = 50;

fn no_password(log: &str) {
    assert!(!log.contains(PASSWORD), "a password was printed:\n{log}");
}

#[test]
fn a_redis_that_goes_away_and_comes_back_is_told_of_and_loses_nothing() {
    let password = Some(PASSWORD.to_owned());
    let mut server =
        RedisServer::with(RedisOptions { durable: true, password, ..Default::default() });
    let mut umbel = Worker::on(&server.url(0)).plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::of(&server.url(0), &server.url(0));
    let ids = client.send_all("tasks.sleep", std::iter::repeat_n(vec![0.2.into()], TASKS));
    client.wait(&ids[0], PATIENCE);
    server.kill();
    umbel.process.await_log("connection lost", PATIENCE);
    server.restart();
    for id in &ids {
        assert_eq!(client.wait(id, PATIENCE).state, State::Success);
    }
    no_password(&umbel.process.log());
    assert!(umbel.stop().success());
}

#[test]
fn a_rabbitmq_that_closes_connections_is_told_of_and_loses_nothing() {
    let (server, results) = (RabbitMq::shared(), RedisServer::start());
    let vhost = server.fresh_vhost();
    let broker = server.url(&vhost);
    let worker = Worker::on(&broker).results(&results.url(1));
    let mut umbel = worker.plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::of(&broker, &results.url(1));
    let ids = client.send_all("tasks.sleep", std::iter::repeat_n(vec![0.2.into()], TASKS));
    client.wait(&ids[0], PATIENCE);
    server.close_connections(&vhost);
    for id in &ids {
        assert_eq!(client.wait(id, PATIENCE).state, State::Success);
    }
    assert!(umbel.process.log().contains("WARNING"), "{}", umbel.process.log());
    assert!(umbel.stop().success());
}

#[test]
fn two_workers_of_one_name_share_the_work_and_lose_none() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let (file, redis) = (url(&folder.path().join("queue.db")), RedisServer::start());
    for broker in [file, redis.url(0)] {
        let twin = || {
            let worker = Worker::on(&broker).plugin("tasks", paths::plugin("tasks"));
            worker.args(&["-n", "twin@lab", "-c", "2"]).start()
        };
        let (mut first, mut second) = (twin(), twin());
        let client = Client::of(&broker, &broker);
        let ids = client.send_all("tasks.sleep", std::iter::repeat_n(vec![0.05.into()], TASKS));
        for id in &ids {
            assert_eq!(client.wait(id, PATIENCE).state, State::Success);
        }
        assert!(first.stop().success() && second.stop().success());
        let logs = [first.process.log(), second.process.log()].concat();
        assert_eq!(logs.matches("] succeeded in ").count(), TASKS, "each ran once:\n{logs}");
    }
}

#[test]
fn a_plugin_folder_that_vanishes_stops_nobody() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let file = folder.path().join("queue.db");
    let mut umbel = Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::open(&file);
    std::fs::remove_dir_all(umbel.home().join("plugins")).expect("it is ours");
    for _ in 0..5 {
        assert_eq!(client.call("tasks.add", "[2, 3]").result.as_u64(), Some(5));
    }
    assert!(umbel.stop().success());
}

/// A file system of a few MiB; unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    /// None without the right to mount one.
    fn mount(at: &Path, size: &str) -> Option<Disk> {
        if !geteuid().is_root() {
            return None;
        }
        std::fs::create_dir(at).expect("the folder is ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|ended| ended.status.success());
        mounted.then(|| Disk(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        let ended = mount.arg("-o").arg(format!("remount,{options}")).arg(&self.0).output();
        assert!(ended.is_ok_and(|ended| ended.status.success()), "remount with {options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// The embedded broker's file on a disk that has no room, then room again.
#[test]
fn a_full_disk_is_told_of_and_loses_nothing() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let at = folder.path().join("disk");
    let Some(_disk) = Disk::mount(&at, "8m") else {
        eprintln!("no right to mount a small disk: not tested here");
        return;
    };
    let file = at.join("queue.db");
    let mut umbel = Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks")).start();
    let client = Client::open(&file);
    let ids = client.send_all("tasks.sleep", std::iter::repeat_n(vec![1.0.into()], TASKS));
    umbel.process.await_log("received", PATIENCE);
    fill(&at.join("ballast"));
    umbel.process.await_log("no space left", PATIENCE);
    std::fs::remove_file(at.join("ballast")).expect("it is ours");
    for id in &ids {
        assert_eq!(client.wait(id, PATIENCE).state, State::Success);
    }
    assert!(umbel.stop().success());
}

fn fill(file: &Path) {
    use std::io::Write;
    let mut ballast = std::fs::File::create(file).expect("there is room for a name");
    while ballast.write_all(&[0; 4096]).is_ok() {}
}

#[test]
fn a_disk_that_becomes_read_only_is_told_of_and_loses_nothing() {
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let at = folder.path().join("disk");
    let Some(disk) = Disk::mount(&at, "32m") else {
        eprintln!("no right to mount a small disk: not tested here");
        return;
    };
    let cache = at.join("cache");
    std::fs::create_dir(&cache).expect("it is ours");
    let file = folder.path().join("queue.db");
    // Compiled code cannot be kept: the plugin is served all the same.
    disk.remount("ro");
    let worker = Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks"));
    let mut umbel = worker.args(&["--cache", &cache.display().to_string()]).spawn();
    let ready = eventually("it serves or says why not", PATIENCE, || {
        let log = umbel.process.log();
        match (log.contains("ready."), umbel.process.poll()) {
            (true, _) => Ok(true),
            (_, Some(_)) => Ok(false),
            _ => Err(log),
        }
    });
    let log = umbel.process.log();
    assert!(log.contains(&cache.display().to_string()), "the folder is named:\n{log}");
    assert!(ready || log.contains("help: "), "what to do:\n{log}");
}

/// The clock jumps a year ahead and back for a worker whose tasks wait and run.
#[test]
fn a_clock_that_jumps_loses_nothing_and_cuts_nobody_off() {
    let Some(library) = faketime() else {
        eprintln!("no libfaketime on this machine: not tested here");
        return;
    };
    let folder = TempDir::with_prefix("umbel-hostile-").expect("a temporary folder");
    let (file, clock) = (folder.path().join("queue.db"), folder.path().join("clock"));
    let set = |offset: &str| std::fs::write(&clock, offset).expect("the folder is ours");
    set("+0");
    let worker = Worker::on(&url(&file)).plugin("tasks", paths::plugin("tasks"));
    let worker = worker
        // Results outlive what this process, whose clock stands still, takes for a year.
        .config("[results]\nexpires = \"1000d\"")
        .variable("LD_PRELOAD", &library)
        .variable("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string())
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut umbel = worker.start();
    let client = Client::open(&file);
    for offset in ["+365d", "-365d", "+0"] {
        let running = client.send("tasks.sleep", "[1.0]");
        set(offset);
        for _ in 0..5 {
            assert_eq!(client.call("tasks.add", "[2, 3]").result.as_u64(), Some(5), "{offset}");
        }
        assert_eq!(client.wait(&running, PATIENCE).state, State::Success, "{offset}");
    }
    umbel.process.signal(Signal::TERM);
    assert!(umbel.process.await_end(Duration::from_secs(30)).success());
}

/// Debian's package `libfaketime` puts it there.
fn faketime() -> Option<String> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let files = folders.map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| Path::new(file).exists())
}

/// The other commands say so too, and end.
#[test]
fn a_broker_that_went_away_is_named_by_every_command() {
    let mut server = RedisServer::start();
    let broker = server.url(0).replace("redis://", &format!("redis://:{PASSWORD}@"));
    server.kill();
    for words in [&["call", "tasks.add", "1", "2"] as &[&str], &["dead-letter", "list"]] {
        let mut command = umbel_harness::worker::command(words[0]);
        command.args(&words[1..]).args(["-b", &broker]);
        let mut process = Process::start("umbel", command);
        let status = process.await_end(PATIENCE);
        let log = process.log();
        assert_eq!(status.code(), Some(69), "{log}");
        assert!(log.contains("redis://:**@") && log.contains("help: "), "{log}");
        no_password(&log);
    }
}
