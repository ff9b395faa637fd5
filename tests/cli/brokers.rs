//! Brokers that are not there, that refuse us, that cannot write.

use std::fs;

use umbel_harness::net::free_port;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::{RedisOptions, RedisServer};

use crate::{PASSWORD, SOON, folder, put, umbel};

#[test]
fn an_unreachable_broker_is_named_and_the_worker_ends() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    for scheme in ["redis", "amqp"] {
        let server = format!("127.0.0.1:{}", free_port());
        let url = format!("{scheme}://someone:hunter2@{server}/0");
        let parts = [&format!("{scheme}://someone:**@{server}/0") as &str, "help: "];
        umbel(folder.path(), &["worker", "--allow-root", "-b", &url]).refused(69, &parts);
        umbel(folder.path(), &["call", "tasks.add", "1", "2", "-b", &url]).refused(69, &parts);
    }
}

#[test]
fn a_wrong_redis_password_is_said_without_telling_it() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let password = Some("correct".to_owned());
    let server = RedisServer::with(RedisOptions { password, ..RedisOptions::default() });
    let port = server.port();
    for login in [":hunter2@", "someone:hunter2@", ""] {
        let url = format!("redis://{login}127.0.0.1:{port}/0");
        umbel(folder.path(), &["worker", "--allow-root", "-b", &url])
            .refused(69, &["refuses the credentials", "help: "]);
    }
}

#[test]
fn a_wrong_rabbitmq_password_or_vhost_is_said_without_telling_it() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let server = RabbitMq::shared();
    for url in [server.url_as("guest", PASSWORD, "/"), server.url("nowhere")] {
        umbel(folder.path(), &["worker", "--allow-root", "-b", &url])
            .refused(69, &["refuses the credentials or the virtual host", "help: "]);
    }
}

#[test]
fn a_time_limit_beyond_rabbitmqs_own_is_warned_of() {
    let folder = folder("[plugins.tasks.tasks.sleep]\nlimits = { time = '31m' }\n");
    put(folder.path(), "tasks", "tasks");
    let server = RabbitMq::shared();
    let url = server.url(&server.fresh_vhost());
    let mut worker = crate::embedded::worker(folder.path(), &["-b", &url]);
    worker.await_log("tasks.sleep may run for 31m", SOON);
    let log = worker.log();
    let lines = log.lines().filter(|line| line.contains("consumer_timeout")).count();
    assert_eq!(lines, 1, "{log}");
}

#[test]
fn an_sqlite_file_that_cannot_be_made_is_named() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    for url in ["sqlite:///proc/umbel.db", "sqlite:///nowhere/at/all/umbel.db"] {
        let path = url.trim_start_matches("sqlite://");
        let ended = umbel(folder.path(), &["worker", "--allow-root", "-b", url]);
        ended.refused(69, &[path]);
        umbel(folder.path(), &["call", "tasks.add", "1", "2", "-b", url]).refused(69, &[path]);
    }
}

#[test]
fn an_sqlite_file_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    // Somebody else must be able to come here, and nobody to write.
    let readable = |mode| fs::Permissions::from_mode(mode);
    fs::write(folder.path().join("umbel.db"), "").expect("it is writable");
    fs::set_permissions(folder.path().join("umbel.db"), readable(0o444)).expect("it is ours");
    fs::set_permissions(folder.path(), readable(0o555)).expect("it is ours");
    let mut words = vec!["worker"];
    if rustix::process::geteuid().is_root() {
        words.extend(["--uid", "65534", "--gid", "65534"]);
    }
    umbel(folder.path(), &words).refused(69, &["umbel.db"]);
}

#[test]
fn result_backends_that_do_not_fit_are_refused() {
    let folder = folder("");
    for (backend, part) in [
        ("rpc://", "`rpc://` needs an amqp:// or redis:// broker"),
        ("amqp://h", "write `rpc://`"),
        ("mysql://u:hunter2@h", "not a known kind"),
    ] {
        umbel(folder.path(), &["worker", "--result-backend", backend]).refused(2, &[part]);
    }
    umbel(folder.path(), &["result", "x", "-b", "amqp://h"])
        .refused(2, &["to the client that asked"]);
    umbel(folder.path(), &["call", "x", "--wait", "--result-backend", "disabled"])
        .refused(2, &["the result backend is disabled"]);
}
