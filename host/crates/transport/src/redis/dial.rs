//! Which server to dial: the only one, the next of several, or the master that sentinels name.
//! And with what: login, database, TLS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, TlsCertificates,
};

use super::connection::{ANSWER_TIMEOUT, Fault, fault};
use crate::address::Address;

/// How long one sentinel may take to answer.
const SENTINEL: Duration = Duration::from_secs(1);

/// The servers of an address.
pub(super) struct Servers {
    place: Place,
    /// Which of them worked last.
    turn: AtomicUsize,
}

enum Place {
    /// Each is as good as the others.
    Named(Vec<Client>),
    /// They know who is master of this name; login, database and the rest are those of `like`.
    Sentinels { sentinels: Vec<Client>, master: String, like: Box<Address> },
}

impl Servers {
    /// `master` is the name that sentinels are asked for.
    pub(super) fn new(address: &Address, master: Option<&str>) -> Result<Servers, Fault> {
        let servers = address.servers();
        let place = match (address.sentinel, master) {
            (false, _) => Place::Named(servers.iter().map(client).collect::<Result<_, _>>()?),
            (true, None) => {
                return Err(unusable("sentinels need `master_name`: `?master_name=mymaster`"));
            }
            (true, Some(master)) => {
                let sentinels = servers.iter().map(sentinel).collect::<Result<_, _>>()?;
                let like = Box::new(servers[0].clone());
                // What is wrong with it is said at once.
                client(&like)?;
                Place::Sentinels { sentinels, master: master.to_owned(), like }
            }
        };
        Ok(Servers { place, turn: AtomicUsize::new(0) })
    }

    /// How many can be tried in turn.
    pub(super) fn count(&self) -> usize {
        match &self.place {
            Place::Named(clients) => clients.len(),
            // Each attempt asks all of them.
            Place::Sentinels { .. } => 1,
        }
    }

    /// Another server may be the right one later.
    pub(super) fn may_change(&self) -> bool {
        self.count() > 1 || matches!(self.place, Place::Sentinels { .. })
    }

    /// The one whose turn it is did not work.
    pub(super) fn try_the_next(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// What to dial now.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        match &self.place {
            Place::Named(clients) => {
                Ok(clients[self.turn.load(Ordering::Relaxed) % clients.len()].clone())
            }
            Place::Sentinels { sentinels, master, like } => {
                let (host, port) = self.ask(sentinels, master).await?;
                let mut address = (**like).clone();
                (address.host, address.port, address.sentinel) = (host, port, false);
                client(&address).map_err(|why| wrong(&format!("{why:?}")))
            }
        }
    }

    /// The first sentinel that knows, the one that knew last first.
    async fn ask(&self, sentinels: &[Client], master: &str) -> RedisResult<(String, u16)> {
        let mut last = wrong("no sentinel");
        for _ in sentinels {
            let sentinel = &sentinels[self.turn.load(Ordering::Relaxed) % sentinels.len()];
            let asked = tokio::time::timeout(SENTINEL, ask_one(sentinel, master)).await;
            match asked.unwrap_or_else(|_| Err(wrong("the sentinel does not answer"))) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => last = wrong(&format!("no sentinel knows a master `{master}`")),
                Err(why) => last = why,
            }
            self.try_the_next();
        }
        Err(last)
    }
}

async fn ask_one(sentinel: &Client, master: &str) -> RedisResult<Option<(String, u16)>> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(SENTINEL));
    let mut connection = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("get-master-addr-by-name").arg(master);
    ask.query_async(&mut connection).await
}

/// Worth another try.
fn wrong(what: &str) -> RedisError {
    RedisError::from((ErrorKind::Io, "cannot find the master", what.to_owned()))
}

/// `sentinel_username` and `sentinel_password` are for the sentinels themselves.
fn sentinel(address: &Address) -> Result<Client, Fault> {
    let dial = ConnectionAddr::Tcp(address.host.clone(), address.port);
    let info = dial.into_connection_info().map_err(fault)?;
    let mut settings = info.redis_settings().clone();
    if let Some(user) = address.query_value("sentinel_username") {
        settings = settings.set_username(user);
    }
    if let Some(password) = address.query_value("sentinel_password") {
        settings = settings.set_password(password);
    }
    Client::open(info.set_redis_settings(settings)).map_err(fault)
}

/// What to dial. `rediss://` checks the certificate against the system's roots, or against those in
/// the file that `ssl_ca_certs` names; `ssl_cert_reqs=none` checks nothing. `ssl_certfile` and
/// `ssl_keyfile` name our own certificate. All as Celery spells them.
fn client(address: &Address) -> Result<Client, Fault> {
    let (host, port) = (address.host.clone(), address.port);
    let dial = match address.tls {
        false => ConnectionAddr::Tcp(host, port),
        true => {
            // Only the first call of a process has an effect; without one TLS would panic.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ConnectionAddr::TcpTls { host, port, insecure: !checks(address)?, tls_params: None }
        }
    };
    let info = dial.into_connection_info().map_err(fault)?;
    let mut settings =
        info.redis_settings().clone().set_lib_name("umbel", env!("CARGO_PKG_VERSION"));
    settings = settings.set_db(address.path.parse().unwrap_or(0));
    if let Some(user) = &address.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = address.password() {
        settings = settings.set_password(password);
    }
    let tcp = info.tcp_settings().clone().set_nodelay(true).set_user_timeout(ANSWER_TIMEOUT);
    let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
    match certificates(address)? {
        Some(certificates) if address.tls => Client::build_with_tls(info, certificates),
        _ => Client::open(info),
    }
    .map_err(fault)
}

fn checks(address: &Address) -> Result<bool, Fault> {
    match address.query_value("ssl_cert_reqs").map(str::to_ascii_lowercase).as_deref() {
        None | Some("required" | "cert_required" | "optional" | "cert_optional") => Ok(true),
        Some("none" | "cert_none") => Ok(false),
        Some(_) => Err(unusable("`ssl_cert_reqs` is neither `required`, `optional` nor `none`")),
    }
}

fn certificates(address: &Address) -> Result<Option<TlsCertificates>, Fault> {
    let read = |name: &str| match address.query_value(name) {
        None => Ok(None),
        Some(path) => match std::fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(why) => Err(Fault::Other(format!("cannot read `{name}` `{path}`"), why.into())),
        },
    };
    let (roots, own, key) = (read("ssl_ca_certs")?, read("ssl_certfile")?, read("ssl_keyfile")?);
    let client_tls = match (own, key) {
        (Some(client_cert), Some(client_key)) => {
            Some(redis::ClientTlsConfig { client_cert, client_key })
        }
        (None, None) => None,
        _ => return Err(unusable("`ssl_certfile` and `ssl_keyfile` belong together")),
    };
    Ok((roots.is_some() || client_tls.is_some())
        .then_some(TlsCertificates { client_tls, root_cert: roots }))
}

pub(super) fn unusable(what: &str) -> Fault {
    Fault::Other("unusable setting in the Redis URL".into(), what.to_owned().into())
}
