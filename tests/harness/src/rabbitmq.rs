//! A real RabbitMQ node on free ports, with folders of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::certificates;
use crate::eventually::eventually;
use crate::net::{free_port, listens};
use crate::paths;
use crate::process::Process;

/// Without the wrapper that Debian puts before it: that one changes users by itself.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Five to nine seconds on an idle machine.
const BOOT: Duration = Duration::from_secs(180);

const PREFIX: &str = "umbel-rabbitmq-";

/// A running node; killed when dropped. Boots in seconds: share one where the test does not hurt it.
pub struct RabbitMq {
    process: Option<Process>,
    port: u16,
    tls_port: u16,
    node: String,
    management: OnceLock<u16>,
    folder: TempDir,
    owner: Option<(u32, u32)>,
}

impl RabbitMq {
    /// Starts a node and waits until it accepts connections.
    pub fn start() -> RabbitMq {
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = paths::server_folder(&prefix);
        let port = free_port();
        let node = format!("umbel{port}@localhost");
        let owner = if rustix::process::getuid().is_root() { Some(rabbitmq_user()) } else { None };
        let mut server = RabbitMq {
            process: None,
            port,
            tls_port: free_port(),
            node,
            management: OnceLock::new(),
            folder,
            owner,
        };
        server.lay_out();
        server.restart();
        server
    }

    /// One node for all tests of a process.
    pub fn shared() -> &'static RabbitMq {
        static NODE: OnceLock<RabbitMq> = OnceLock::new();
        NODE.get_or_init(RabbitMq::start)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a virtual host, for the user `guest`.
    pub fn url(&self, vhost: &str) -> String {
        self.url_as("guest", "guest", vhost)
    }

    /// The URL of a virtual host; names and passwords must need no escaping, except for `/`.
    pub fn url_as(&self, user: &str, password: &str, vhost: &str) -> String {
        let vhost = vhost.replace('/', "%2F");
        format!("amqp://{user}:{password}@127.0.0.1:{}/{vhost}", self.port)
    }

    /// The TLS URL of a virtual host; trusts the node's own authority.
    pub fn tls_url(&self, vhost: &str) -> String {
        let vhost = vhost.replace('/', "%2F");
        let authority = self.authority();
        let port = self.tls_port;
        format!("amqps://guest:guest@localhost:{port}/{vhost}?ca_certs={}", authority.display())
    }

    /// Who signed the node's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The TLS URL of a virtual host at a listener that wants to see a certificate, with one.
    pub fn url_for_the_known(&self, vhost: &str) -> String {
        let port = free_port();
        let folder = self.folder.path();
        let at = |file: &str| folder.join(file).display().to_string();
        self.evaluate(&format!(
            "rabbit_networking:start_ssl_listener({port}, [{{cacertfile, \"{}\"}}, \
             {{certfile, \"{}\"}}, {{keyfile, \"{}\"}}, {{verify, verify_peer}}, \
             {{fail_if_no_peer_cert, true}}], 1).",
            at("ca.pem"),
            at("server.pem"),
            at("server.key"),
        ));
        let (vhost, files) = (vhost.replace('/', "%2F"), certificates::query(folder));
        format!("amqps://guest:guest@localhost:{port}/{vhost}?{files}")
    }

    /// The URL of the management interface, which is switched on when it is first asked for.
    pub fn management(&self) -> String {
        let port = self.management.get_or_init(|| {
            let port = free_port();
            let file = self.folder.path().join("plugins");
            self.evaluate(&format!(
                "ok = application:set_env(rabbitmq_management, tcp_config, \
                 [{{port, {port}}}, {{ip, \"127.0.0.1\"}}], [{{persistent, true}}]), \
                 ok = file:write_file(\"{file}\", \"[rabbitmq_management].\"), \
                 {{ok, _, _}} = rabbit_plugins:ensure(\"{file}\").",
                file = file.display()
            ));
            port
        });
        format!("http://guest:guest@127.0.0.1:{port}/api/")
    }

    /// Adds a virtual host that `guest` may use.
    pub fn add_vhost(&self, name: &str) {
        self.evaluate(&format!(
            "rabbit_vhost:add(<<\"{name}\">>, <<\"test\">>), \
             rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"{name}\">>, \
             <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>)."
        ));
    }

    /// Adds a virtual host of a name that nobody has.
    pub fn fresh_vhost(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.add_vhost(&name);
        name
    }

    /// Adds a user that may do everything in a virtual host.
    pub fn add_user(&self, user: &str, password: &str, vhost: &str) {
        self.evaluate(&format!(
            "rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"{password}\">>, \
             <<\"test\">>), rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, \
             <<\"{vhost}\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>)."
        ));
    }

    /// Closes all connections to a virtual host, as an operator does.
    pub fn close_connections(&self, vhost: &str) {
        self.evaluate(&format!(
            "[rabbit_networking:close_connection(Pid, \"closed by the test\") || \
             [{{pid, Pid}}, {{vhost, <<\"{vhost}\">>}}] <- \
             rabbit_networking:connection_info_all([pid, vhost])]."
        ));
    }

    /// Who is connected to a virtual host, by their ports.
    pub fn connected(&self, vhost: &str) -> Vec<u16> {
        let answer = self.evaluate(&format!(
            "[Port || [{{peer_port, Port}}, {{vhost, <<\"{vhost}\">>}}] <- \
             rabbit_networking:connection_info_all([peer_port, vhost])]."
        ));
        let numbers = answer.split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    }

    /// Closes the connections from these ports.
    pub fn cut(&self, ports: &[u16]) {
        self.evaluate(&format!(
            "[rabbit_networking:close_connection(Pid, \"closed by the test\") || \
             [{{pid, Pid}}, {{peer_port, Port}}] <- \
             rabbit_networking:connection_info_all([pid, peer_port]), \
             lists:member(Port, {ports:?})]."
        ));
    }

    /// Deletes a queue, whoever uses it.
    pub fn delete_queue(&self, vhost: &str, queue: &str) {
        self.evaluate(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>, queue, \
             <<\"{queue}\">>)), rabbit_amqqueue:delete(Q, false, false, <<\"test\">>)."
        ));
    }

    /// How many messages of a queue are ready, and how many are handed out and unsettled.
    pub fn depth(&self, vhost: &str, queue: &str) -> (u32, u32) {
        let answer = self.evaluate(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>, queue, \
             <<\"{queue}\">>)), [{{_, R}}, {{_, U}}] = rabbit_amqqueue:info(Q, \
             [messages_ready, messages_unacknowledged]), {{R, U}}."
        ));
        let mut numbers =
            answer.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(ready), Some(unsettled)) => (ready, unsettled),
            _ => panic!("a queue's depth is two numbers: {answer}"),
        }
    }

    /// Evaluates an Erlang expression, with its full stop, inside the node.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> String {
        self.try_evaluate(expression).unwrap_or_else(|why| panic!("{expression}\n{why}"))
    }

    fn try_evaluate(&self, expression: &str) -> Result<String, String> {
        // Tests ask at the same time, and callers may draw the same name for themselves.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let cookie = fs::read_to_string(self.folder.path().join(".erlang.cookie"))
            .map_err(|why| format!("no cookie yet: {why}"))?;
        let mut call = Command::new("erl_call");
        call.args(["-r", "-sname", &self.node, "-c", cookie.trim(), "-e"]);
        call.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = call.spawn().map_err(|why| why.to_string())?;
        let mut input = child.stdin.take().expect("its input is a pipe");
        // Without the line break it is not seen to be complete.
        writeln!(input, "{expression}").map_err(|why| why.to_string())?;
        drop(input);
        let output = child.wait_with_output().map_err(|why| why.to_string())?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match answer.strip_prefix("{ok, ") {
            Some(value) => Ok(value.trim_end_matches('}').to_owned()),
            None => Err(format!("{answer}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Kills it without notice and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again on the same ports with the same data; kills it before if it still runs.
    pub fn restart(&mut self) {
        self.kill();
        let mut process = Process::start("rabbitmq-server", self.command());
        let what = format!("rabbitmq-server accepts on port {}", self.port);
        eventually(&what, BOOT, || {
            if let Some(status) = process.poll() {
                panic!("rabbitmq-server ended ({status}):\n{}", process.log());
            }
            // The port opens before the last steps of the boot.
            let booted = self.try_evaluate("rabbit:is_booted(node()).");
            match (listens(self.port), booted) {
                (true, Ok(answer)) if answer == "true" => Ok(()),
                (open, booted) => Err(format!("open: {open}, booted: {booted:?}")),
            }
        });
        self.process = Some(process);
    }

    /// What it uses now.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(SERVER);
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", free_port().to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            // Schedulers that spin while idle take the processor from everybody else.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// What the node reads and where it writes.
    fn lay_out(&self) {
        let folder = self.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        write(&folder.join("plugins"), "[].\n");
        for made in ["mnesia", "log"] {
            fs::create_dir(folder.join(made)).expect("the folder is empty");
        }
        certificates::make(folder);
        let at = |file: &str| folder.join(file).display().to_string();
        write(
            &folder.join("rabbitmq.conf"),
            &format!(
                "listeners.ssl.default = {}\nssl_options.cacertfile = {}\n\
                 ssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n\
                 log.console.level = warning\n",
                self.tls_port,
                at("ca.pem"),
                at("server.pem"),
                at("server.key"),
            ),
        );
        if let Some((user, group)) = self.owner {
            let inside = fs::read_dir(folder).expect("the folder is there");
            let paths = inside.map(|entry| entry.expect("it can be listed").path());
            for path in paths.chain([folder.to_owned()]) {
                chown(&path, Some(user), Some(group)).expect("root may give files away");
            }
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder is ours");
}

/// The user and group that Debian's package made: the node refuses to run as root.
fn rabbitmq_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("there are users");
    let line = users.lines().find(|line| line.starts_with("rabbitmq:"));
    let mut fields = line.expect("rabbitmq-server is installed").split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    number().zip(number()).expect("a user has a number and a group")
}

/// Removes what shared nodes of ended test processes left: statics are never dropped.
fn sweep() {
    let Ok(entries) = fs::read_dir(paths::servers()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(process) = process
            && !Path::new("/proc").join(process).exists()
        {
            // Another test process may be faster.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
