//! A connection that comes back by itself, and what can be wrong with one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, Pipeline, ProtocolVersion, PushInfo, RedisError,
    RedisResult, ServerErrorKind, Value,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::dial::Servers;
use super::scripts;
use crate::address::Address;
use crate::broker::{BoxError, BrokerError};
use crate::presence::{Line, Presence};
use crate::reconnect::Backoff;
use crate::results::StoreError;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take before the connection counts as dead. Long enough for a few large
/// messages on a disk that must sync.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a server that was not there is left alone by those who cannot wait for it.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// What the server was dialled with.
    client: Arc<Client>,
}

/// One connection to the server, or to one of several, renewed with backoff for as long as it lives.
pub(super) struct Link {
    address: Address,
    servers: Servers,
    on_push: Option<OnPush>,
    current: Mutex<Option<Live>>,
    /// Held while reconnecting, so that one caller does it for all.
    reconnecting: tokio::sync::Mutex<Reconnecting>,
    closed: CancellationToken,
    /// Who is told of losses.
    line: Option<Line>,
}

#[derive(Default)]
struct Reconnecting {
    backoff: Backoff,
    /// When to try next. Kept here, for whoever waits may give up: who comes after him waits no longer.
    due: Option<tokio::time::Instant>,
    generation: u32,
    /// When somebody who cannot wait last found nobody.
    failed: Option<Instant>,
}

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Fault {
    Unreachable(BoxError),
    Refused(BoxError),
    Closed,
    Other(String, BoxError),
}

impl Reconnecting {
    fn put_off(&mut self) -> tokio::time::Instant {
        let due = tokio::time::Instant::now() + self.backoff.next(spread());
        self.due = Some(due);
        due
    }
}

impl Link {
    /// Connects once; fails at once when that does not work. Sentinels are asked for `master`.
    pub(super) async fn open(
        address: &Address,
        master: Option<&str>,
        on_push: Option<OnPush>,
    ) -> Result<Link, Fault> {
        let link = Link { on_push, ..Link::later(address, master)? };
        let live = link.connect(0).await.map_err(fault)?;
        link.set(Some(live));
        Ok(link)
    }

    /// Connects when it is first needed.
    pub(super) fn later(address: &Address, master: Option<&str>) -> Result<Link, Fault> {
        Ok(Link {
            address: address.clone(),
            servers: Servers::new(address, master)?,
            on_push: None,
            current: Mutex::new(None),
            reconnecting: tokio::sync::Mutex::default(),
            closed: CancellationToken::new(),
            line: None,
        })
    }

    /// Its losses are told to `presence` from now on.
    pub(super) fn watched(self, presence: &Arc<Presence>) -> Link {
        Link { line: Some(presence.line()), ..self }
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

    /// The connection, or what comes of one attempt to get it: for those who cannot wait for a
    /// server. Cancel safe.
    pub(super) async fn live_now(&self) -> Result<Live, Fault> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut state = self.reconnecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if state.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Fault::Unreachable("it was not there a moment ago".into()));
        }
        match self.connect(state.generation.wrapping_add(1)).await {
            Ok(live) => {
                (state.generation, state.failed) = (live.generation, None);
                info!(address = %self.address, "connected");
                self.set(Some(live.clone()));
                Ok(live)
            }
            Err(why) => {
                state.failed = Some(Instant::now());
                warn!(address = %self.address, error = %why, "cannot connect");
                Err(fault(why))
            }
        }
    }

    /// Tells that the connection of this generation does not work any more.
    pub(super) fn lost(&self, live: &Live, why: &RedisError) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.generation == live.generation) {
            *current = None;
            if let Some(line) = &self.line {
                line.lost();
            }
            warn!(address = %self.address, error = %why, "connection lost; reconnecting");
        }
    }

    /// Puts a fresh connection in the place of one that has read something large: the client keeps a
    /// buffer of that size for as long as the connection lives. Where none is to be had, it stays.
    pub(super) async fn renew(&self) {
        let mut state = self.reconnecting.lock().await;
        if let Ok(live) = self.connect(state.generation.wrapping_add(1)).await {
            state.generation = live.generation;
            self.set(Some(live));
        }
    }

    /// Loads the scripts once more; for a server that was told to forget them.
    pub(super) async fn reload(&self, live: &Live) -> RedisResult<()> {
        scripts::load().query_async(&mut live.connection.clone()).await
    }

    /// A connection of its own to the same server; listens, and is not renewed.
    pub(super) async fn subscription(&self) -> Result<PubSub, Fault> {
        let live = self.live().await?;
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, live.client.get_async_pubsub());
        connecting.await.map_err(|late| Fault::Unreachable(late.into()))?.map_err(fault)
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
                Ok(answers) => {
                    self.look_for_a_master(&live, &answers);
                    return Ok(answers);
                }
                Err(why) => self.lost(&live, &why),
            }
        }
    }

    /// Looks for another server when this one became a replica.
    pub(super) fn look_for_a_master(&self, live: &Live, answers: &[RedisResult<Value>]) {
        let mut refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        let refused = refused.find(|why| why.code() == Some("READONLY"));
        if let Some(why) = refused.filter(|_| self.servers.may_change()) {
            self.lost(live, why);
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
            let due = match state.due {
                Some(due) => due,
                None => state.put_off(),
            };
            tokio::time::sleep_until(due).await;
            match self.connect(state.generation.wrapping_add(1)).await {
                Ok(live) => {
                    state.backoff.reset();
                    state.due = None;
                    state.generation = live.generation;
                    info!(address = %self.address, "connected again");
                    self.set(Some(live.clone()));
                    if let Some(line) = &self.line {
                        line.back();
                    }
                    return Ok(live);
                }
                Err(why) => {
                    state.put_off();
                    if is_refusal(&why) {
                        return Err(fault(why));
                    }
                    warn!(address = %self.address, error = %why, "cannot reconnect yet");
                }
            }
        }
    }

    /// Tries each server once, the one that worked last first.
    async fn connect(&self, generation: u32) -> RedisResult<Live> {
        let mut refused = None;
        let mut lost = None;
        for _ in 0..self.servers.count() {
            match self.connect_to_one(generation).await {
                Ok(live) => return Ok(live),
                Err(why) if is_refusal(&why) => refused = Some(why),
                Err(why) => lost = Some(why),
            }
            self.servers.try_the_next();
        }
        // Final only if each of them refuses us.
        Err(lost.or(refused).unwrap_or_else(|| std::io::Error::other("no server").into()))
    }

    async fn connect_to_one(&self, generation: u32) -> RedisResult<Live> {
        let connecting = async {
            let client = self.servers.client().await?;
            let (mut connection, pushes) = match self.dial(&client, ProtocolVersion::RESP3).await {
                Ok(connection) => (connection, true),
                // Before Redis 6, and proxies.
                Err(why) if is_resp3_unknown(&why) => {
                    (self.dial(&client, ProtocolVersion::RESP2).await?, false)
                }
                Err(why) => return Err(why),
            };
            if self.servers.may_change() {
                must_be_master(&mut connection).await?;
            }
            Ok(Live { connection, generation, pushes, client: Arc::new(client) })
        };
        // The library's own limit leaves out part of the handshake.
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connecting);
        connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }

    async fn dial(
        &self,
        client: &Client,
        protocol: ProtocolVersion,
    ) -> RedisResult<MultiplexedConnection> {
        let info = client.get_connection_info().clone();
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

/// A replica would take nothing from us.
async fn must_be_master(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    match redis::cmd("ROLE").query_async(connection).await {
        Ok(Value::Array(role)) if role.first() != Some(&Value::BulkString(b"master".to_vec())) => {
            Err(std::io::Error::other("the server is a replica").into())
        }
        // An operator may forbid the question.
        _ => Ok(()),
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
