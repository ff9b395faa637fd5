//! A connection that comes back by itself, and what can be wrong with one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates, Value,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::scripts;
use crate::address::Address;
use crate::broker::{BoxError, BrokerError};
use crate::reconnect::Backoff;
use crate::results::StoreError;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take before the connection counts as dead. Long enough for a few large
/// messages on a disk that must sync.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Called for each push message of a connection, and when the connection ends.
pub(super) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection and what it can do.
#[derive(Clone)]
pub(super) struct Live {
    pub connection: MultiplexedConnection,
    /// Grows with each reconnect.
    pub generation: u32,
    /// The server speaks RESP3: it can push.
    pub pushes: bool,
}

/// One connection to the server, renewed with backoff for as long as it lives.
pub(super) struct Link {
    address: Address,
    client: Client,
    on_push: Option<OnPush>,
    current: Mutex<Option<Live>>,
    /// Held while reconnecting, so that one caller does it for all.
    reconnecting: tokio::sync::Mutex<Reconnecting>,
    closed: CancellationToken,
}

#[derive(Default)]
struct Reconnecting {
    backoff: Backoff,
    generation: u32,
}

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Fault {
    Unreachable(BoxError),
    Refused(BoxError),
    Closed,
    Other(String, BoxError),
}

impl Link {
    /// Connects once; fails at once when that does not work.
    pub(super) async fn open(address: &Address, on_push: Option<OnPush>) -> Result<Link, Fault> {
        let client = client(address)?;
        let link = Link {
            address: address.clone(),
            client,
            on_push,
            current: Mutex::new(None),
            reconnecting: tokio::sync::Mutex::default(),
            closed: CancellationToken::new(),
        };
        let live = link.connect(0).await.map_err(fault)?;
        link.set(Some(live));
        Ok(link)
    }

    /// The connection; waits, for ever if need be, until there is one. Cancel safe. Fails only when
    /// closed, or when the server does not accept us any more.
    pub(super) async fn live(&self) -> Result<Live, Fault> {
        if self.closed.is_cancelled() {
            return Err(Fault::Closed);
        }
        if let Some(live) = self.current() {
            return Ok(live);
        }
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(Fault::Closed),
            live = self.reconnect() => live,
        }
    }

    /// Tells that the connection of this generation does not work any more.
    pub(super) fn lost(&self, live: &Live, why: &RedisError) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.generation == live.generation) {
            *current = None;
            warn!(address = %self.address, error = %why, "connection lost; reconnecting");
        }
    }

    /// Loads the scripts once more; for a server that was told to forget them.
    pub(super) async fn reload(&self, live: &Live) -> RedisResult<()> {
        scripts::load().query_async(&mut live.connection.clone()).await
    }

    /// A connection of its own that listens, and is not renewed.
    pub(super) async fn subscription(&self) -> RedisResult<PubSub> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.client.get_async_pubsub());
        connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
        self.set(None);
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a [batch](new_batch) whose commands may be repeated; again on a new connection after a
    /// loss.
    pub(super) async fn send(&self, batch: &Pipeline) -> Result<Vec<RedisResult<Value>>, Fault> {
        loop {
            let mut live = self.live().await?;
            match once(&mut live, batch).await {
                Ok(answers) if answers.iter().any(is_missing_script) => {
                    if let Err(why) = self.reload(&live).await {
                        self.lost(&live, &why);
                    }
                }
                Ok(answers) => return Ok(answers),
                Err(why) => self.lost(&live, &why),
            }
        }
    }

    fn current(&self) -> Option<Live> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, live: Option<Live>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }

    async fn reconnect(&self) -> Result<Live, Fault> {
        let mut state = self.reconnecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        loop {
            tokio::time::sleep(state.backoff.next(spread())).await;
            match self.connect(state.generation.wrapping_add(1)).await {
                Ok(live) => {
                    state.backoff.reset();
                    state.generation = live.generation;
                    info!(address = %self.address, "connected again");
                    self.set(Some(live.clone()));
                    return Ok(live);
                }
                Err(why) if is_refusal(&why) => return Err(fault(why)),
                Err(why) => warn!(address = %self.address, error = %why, "cannot reconnect yet"),
            }
        }
    }

    async fn connect(&self, generation: u32) -> RedisResult<Live> {
        let connecting = async {
            match self.dial(ProtocolVersion::RESP3).await {
                Ok(connection) => Ok((connection, true)),
                // Before Redis 6, and proxies.
                Err(why) if is_resp3_unknown(&why) => {
                    Ok((self.dial(ProtocolVersion::RESP2).await?, false))
                }
                Err(why) => Err(why),
            }
        };
        // The library's own limit leaves out part of the handshake.
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connecting);
        let (connection, pushes) =
            connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        Ok(Live { connection, generation, pushes })
    }

    async fn dial(&self, protocol: ProtocolVersion) -> RedisResult<MultiplexedConnection> {
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_redis_settings(settings))?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_pipeline_buffer_size(1024)
            .set_write_backpressure_boundary(256 << 10);
        if let (Some(on_push), ProtocolVersion::RESP3) = (&self.on_push, protocol) {
            let on_push = on_push.clone();
            config = config.set_push_sender(move |push| {
                on_push(push);
                Ok::<(), std::convert::Infallible>(())
            });
        }
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        scripts::load().query_async::<()>(&mut connection).await?;
        Ok(connection)
    }
}

/// A pipeline in which the error of one command stands in that command's place.
pub(super) fn new_batch() -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.ignore_errors();
    pipeline
}

/// Sends a [batch](new_batch) once.
pub(super) async fn once(
    live: &mut Live,
    batch: &Pipeline,
) -> RedisResult<Vec<RedisResult<Value>>> {
    batch.query_async(&mut live.connection).await
}

pub(super) fn is_missing_script(answer: &RedisResult<Value>) -> bool {
    let missing = ErrorKind::Server(ServerErrorKind::NoScript);
    answer.as_ref().is_err_and(|why| why.kind() == missing)
}

/// The server will go on saying no.
pub(super) fn is_refusal(why: &RedisError) -> bool {
    why.kind() == ErrorKind::AuthenticationFailed
        || matches!(why.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || why.to_string().contains("refused to switch database")
}

/// The server said no for now: it is full, loading, failing over, or busy with a script.
pub(super) fn is_passing(why: &RedisError) -> bool {
    const CODES: [&str; 9] = [
        "LOADING",
        "BUSY",
        "OOM",
        "MISCONF",
        "READONLY",
        "MASTERDOWN",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "NOREPLICAS",
    ];
    why.code().is_some_and(|code| CODES.contains(&code)) || why.to_string().contains("OOM command")
}

fn is_resp3_unknown(why: &RedisError) -> bool {
    why.kind() == ErrorKind::RESP3NotSupported
        || why.code() == Some("NOPROTO")
        || why.to_string().to_ascii_lowercase().contains("unknown command")
}

/// What an error of the library means to us.
pub(super) fn fault(why: RedisError) -> Fault {
    if is_refusal(&why) {
        return Fault::Refused(Box::new(why));
    }
    match why.kind() {
        ErrorKind::InvalidClientConfig => {
            Fault::Other("unusable Redis settings".into(), why.into())
        }
        _ => Fault::Unreachable(Box::new(why)),
    }
}

impl Fault {
    pub(super) fn broker(self, address: &Address) -> BrokerError {
        let address = address.clone();
        match self {
            Fault::Unreachable(source) => BrokerError::Unreachable { address, source },
            Fault::Refused(source) => BrokerError::Refused { address, source },
            Fault::Closed => BrokerError::Closed,
            Fault::Other(what, source) => BrokerError::Other { what, source },
        }
    }

    pub(super) fn store(self, address: &Address) -> StoreError {
        let address = address.clone();
        match self {
            Fault::Unreachable(source) => StoreError::Unreachable { address, source },
            Fault::Refused(source) => StoreError::Refused { address, source },
            Fault::Closed => StoreError::Other { what: "closed".into(), source: "closed".into() },
            Fault::Other(what, source) => StoreError::Other { what, source },
        }
    }
}

/// A number from 0 to 1, for spreading reconnects.
pub(super) fn spread() -> f64 {
    f64::from(Uuid::new_v4().as_bytes()[0]) / 256.0
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
