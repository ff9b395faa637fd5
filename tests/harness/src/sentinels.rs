//! A Redis master and its replica, and the sentinels that watch over them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::eventually::{PATIENCE, eventually};
use crate::net::free_port;
use crate::process::Process;
use crate::redis::{RedisOptions, RedisServer};

const PASSWORD: &str = "s3cret";
const SENTINELS_PASSWORD: &str = "sent1nel";

/// All of them; killed when dropped.
pub struct Watched {
    /// To be killed.
    pub master: RedisServer,
    /// Who is to take its place.
    pub replica: RedisServer,
    sentinels: Vec<(Process, u16)>,
    _folder: TempDir,
}

impl Watched {
    /// Starts them and waits until each knows the others.
    pub fn start() -> Watched {
        let master = server(&[]);
        let replica = server(&["--replicaof", &format!("127.0.0.1 {}", master.port())]);
        eventually("the replica follows", PATIENCE, || {
            let info = replica.command_line(&["INFO", "replication"]);
            if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
        });
        let folder = TempDir::with_prefix("umbel-sentinels-").expect("a temporary folder");
        let sentinels: Vec<_> = (0..3).map(|_| sentinel(folder.path(), master.port())).collect();
        for (_, port) in &sentinels {
            eventually("the sentinels know each other and the replica", PATIENCE, || {
                let info = ask(*port, &["INFO", "sentinel"]);
                if info.contains("slaves=1,sentinels=3") { Ok(()) } else { Err(info) }
            });
        }
        Watched { master, replica, sentinels, _folder: folder }
    }

    /// The sentinels' URL; the first of them is not there.
    pub fn url(&self) -> String {
        let url = |port: u16| format!("sentinel://:{PASSWORD}@127.0.0.1:{port}/0");
        let urls: Vec<String> =
            [1].into_iter().chain(self.sentinels.iter().map(|(_, port)| *port)).map(url).collect();
        let urls = urls.join(";");
        format!("{urls}?master_name=mymaster&sentinel_password={SENTINELS_PASSWORD}")
    }

    /// Kills the master, and waits until the replica is master.
    pub fn fail_over(&mut self) {
        self.master.kill();
        eventually("the replica is promoted", PATIENCE, || {
            let role = self.replica.command_line(&["ROLE"]);
            if role.starts_with("master") { Ok(()) } else { Err(role) }
        });
    }
}

fn server(more: &[&str]) -> RedisServer {
    let more = [more, &["--masterauth", PASSWORD]].concat();
    let more = more.into_iter().map(str::to_owned).collect();
    let password = Some(PASSWORD.to_owned());
    RedisServer::with(RedisOptions { password, more, ..RedisOptions::default() })
}

fn sentinel(folder: &Path, master: u16) -> (Process, u16) {
    let port = free_port();
    let file = folder.join(format!("sentinel-{port}.conf"));
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass {SENTINELS_PASSWORD}\n\
         sentinel sentinel-pass {SENTINELS_PASSWORD}\n\
         sentinel monitor mymaster 127.0.0.1 {master} 2\n\
         sentinel auth-pass mymaster {PASSWORD}\n\
         sentinel down-after-milliseconds mymaster 1000\n\
         sentinel failover-timeout mymaster 4000\n",
        folder.display()
    );
    std::fs::write(&file, text).expect("the folder is ours");
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel");
    (Process::start("redis-sentinel", command), port)
}

fn ask(port: u16, words: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string(), "-a", SENTINELS_PASSWORD, "--no-auth-warning"]);
    let output = command.args(words).output().expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
