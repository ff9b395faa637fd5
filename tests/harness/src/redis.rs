//! A real Redis server on a free port, with a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::certificates;
use crate::eventually::{PATIENCE, eventually};
use crate::net::free_port;
use crate::paths;
use crate::process::Process;
use crate::reaper;

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    /// Every change is on the disk before it is answered, so that a killed server forgets nothing.
    pub durable: bool,
    /// What clients must give.
    pub password: Option<String>,
    /// More of `redis-server`'s command line.
    pub more: Vec<String>,
    /// Environment variables of its own.
    pub variables: Vec<(String, String)>,
}

/// A running server; killed when dropped.
pub struct RedisServer {
    process: Option<Process>,
    port: u16,
    options: RedisOptions,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server without password that keeps nothing on the disk.
    pub fn start() -> RedisServer {
        RedisServer::with(RedisOptions::default())
    }

    /// Starts a server that survives being killed.
    pub fn durable() -> RedisServer {
        RedisServer::with(RedisOptions { durable: true, ..RedisOptions::default() })
    }

    /// Starts a server and waits until it answers.
    pub fn with(options: RedisOptions) -> RedisServer {
        RedisServer::within(paths::server_folder("umbel-redis-"), options)
    }

    fn within(folder: TempDir, options: RedisOptions) -> RedisServer {
        reaper::remove(folder.path());
        let mut server = RedisServer { process: None, port: free_port(), options, folder };
        server.restart();
        server
    }

    /// Starts a server that wants to see a certificate at another port; gives the URL of that, with
    /// one.
    pub fn for_the_known() -> (RedisServer, String) {
        let folder = paths::server_folder("umbel-redis-");
        certificates::make(folder.path());
        let (port, at) = (free_port(), |file: &str| folder.path().join(file).display().to_string());
        let more = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", at("server.pem")),
            ("--tls-key-file", at("server.key")),
            ("--tls-ca-cert-file", at("ca.pem")),
            ("--tls-auth-clients", "yes".to_owned()),
        ];
        let url = format!("rediss://localhost:{port}/0?{}", certificates::query(folder.path()));
        let more = more.into_iter().flat_map(|(option, value)| [option.to_owned(), value]);
        let options = RedisOptions { more: more.collect(), ..RedisOptions::default() };
        (RedisServer::within(folder, options), url)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, password included.
    pub fn url(&self, database: u8) -> String {
        let port = self.port;
        match &self.options.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}/{database}"),
            None => format!("redis://127.0.0.1:{port}/{database}"),
        }
    }

    /// Kills it without notice and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again on the same port with the same data; kills it before if it still runs.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Some(Process::start("redis-server", self.command()));
        let what = format!("redis-server answers on port {}", self.port);
        eventually(&what, PATIENCE, || match self.try_command(&["PING"]) {
            Some(answer) if answer == "PONG" => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Sends one command and gives its answer, in a rough form meant for tests: text, a number, or
    /// nothing for a nil.
    #[track_caller]
    pub fn command_line(&self, arguments: &[&str]) -> String {
        self.try_command(arguments).expect("the server answers")
    }

    /// What it uses now.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(self.folder.path());
        let durable = if self.options.durable { "yes" } else { "no" };
        command.args(["--appendonly", durable, "--appendfsync", "always"]);
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password]);
        }
        command.args(&self.options.more);
        command.envs(self.options.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn try_command(&self, arguments: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        if let Some(password) = &self.options.password {
            send(&mut stream, &["AUTH", password])?;
            answer(&mut reader)?;
        }
        send(&mut stream, arguments)?;
        answer(&mut reader)
    }
}

fn send(stream: &mut TcpStream, arguments: &[&str]) -> Option<()> {
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    stream.write_all(request.as_bytes()).ok()
}

/// Lists come as their elements, one a line.
fn answer(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1)?;
    match kind {
        "$" => {
            let Ok(length) = rest.parse::<usize>() else { return Some(String::new()) };
            let mut text = vec![0; length + 2];
            reader.read_exact(&mut text).ok()?;
            text.truncate(length);
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        "*" => {
            let count = rest.parse::<usize>().unwrap_or(0);
            let elements: Option<Vec<String>> = (0..count).map(|_| answer(reader)).collect();
            Some(elements?.join("\n"))
        }
        _ => Some(rest.to_owned()),
    }
}
