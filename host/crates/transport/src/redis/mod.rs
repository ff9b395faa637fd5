//! Redis as kombu uses it: priority lists, a hash of unacknowledged messages, binding tables.

mod chords;
mod connection;
mod consume;
mod dial;
mod driver;
mod keys;
mod keyvalue;
mod letters;
mod listen;
mod listeners;
mod product;
mod publish;
mod record;
mod replies;
mod results;
mod routing;
mod rpc;
mod scripts;
mod timetable;
mod unacked;
mod waiting;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use umbel_protocol::control::Binding;
use umbel_protocol::message::{RawMessage, Route};

use self::connection::{Fault, Link};
use self::dial::unusable;
use self::keys::Keys;
pub use self::keyvalue::{KeyValueFault, RedisKeyValue};
pub use self::product::product;
pub use self::results::{RedisStore, StoreOptions};
pub use self::rpc::RedisRpcStore;
use crate::address::Address;
use crate::broker::{Broker, BrokerError, Consumer, DeadLetter, Held, Listener, NotDelayed};
use crate::delivery::{Receipt, Settlement};
use crate::presence::Presence;

/// How long `close` may take to settle and give back what is left.
const CLOSING: Duration = Duration::from_secs(10);

/// What kombu calls transport options. The URL's query parameters of the same names come first.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// How long an unacknowledged message may be without a sign of life before anybody may take it
    /// for abandoned. The same for all workers of a broker.
    pub visibility_timeout: Duration,
    /// Put before every key, as it is.
    pub global_keyprefix: String,
    /// The name that sentinels know the server by.
    pub master_name: Option<String>,
    /// How often to look for messages that are due, though none seemed to be. `None`: every second,
    /// or four times in a visibility timeout if that is sooner.
    pub restore_interval: Option<Duration>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            visibility_timeout: Duration::from_secs(3600),
            global_keyprefix: String::new(),
            master_name: None,
            restore_interval: None,
        }
    }
}

impl RedisOptions {
    fn with_query(mut self, address: &Address) -> Result<RedisOptions, Fault> {
        if let Some(prefix) = address.query_value("global_keyprefix") {
            self.global_keyprefix = prefix.to_owned();
        }
        if let Some(master) = address.query_value("master_name") {
            self.master_name = Some(master.to_owned());
        }
        if let Some(seconds) = address.query_value("visibility_timeout") {
            let seconds = seconds.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
            let wrong = || unusable("`visibility_timeout` is not a number of seconds");
            self.visibility_timeout = seconds.ok_or_else(wrong)?;
        }
        if self.visibility_timeout < Duration::from_millis(100) {
            return Err(unusable("`visibility_timeout` is too short to renew a lease in time"));
        }
        Ok(self)
    }

    fn restore_interval(&self) -> Duration {
        let usual = (self.visibility_timeout / 4).min(Duration::from_secs(1));
        self.restore_interval.unwrap_or(usual).max(Duration::from_millis(20))
    }
}

/// A Redis server as a broker.
pub struct RedisBroker {
    shared: Arc<Shared>,
}

/// What a broker's parts share.
struct Shared {
    /// For publishing and looking after abandoned messages; each consumer has one of its own.
    link: Link,
    keys: Keys,
    options: RedisOptions,
    /// Queues whose binding was declared, on which connection.
    declared: Mutex<(u32, HashSet<String>)>,
    sweeping: OnceLock<()>,
    /// A message may be due sooner than the sweep expects.
    sooner: Notify,
    /// Changes when every lease must be renewed at once.
    renewals: watch::Sender<u64>,
    closing: CancellationToken,
    tasks: TaskTracker,
    presence: Arc<Presence>,
}

impl RedisBroker {
    /// Connects; fails at once when the server cannot be reached or refuses us. Later losses are
    /// repaired inside.
    pub async fn connect(
        address: Address,
        options: RedisOptions,
    ) -> Result<RedisBroker, BrokerError> {
        let opening = async {
            let options = options.with_query(&address)?;
            let link = Link::open(&address, options.master_name.as_deref(), None).await?;
            Ok((options, link))
        };
        let (options, link) = opening.await.map_err(|fault: Fault| fault.broker(&address))?;
        let shared = Shared {
            link,
            keys: Keys::new(&options.global_keyprefix),
            options,
            declared: Mutex::default(),
            sweeping: OnceLock::new(),
            sooner: Notify::new(),
            renewals: watch::Sender::new(0),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            presence: Arc::default(),
        };
        Ok(RedisBroker { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let consuming = consume::start(&self.shared, queues, window).await;
        let consumer = consuming.map_err(|fault| fault.broker(self.shared.link.address()))?;
        if self.shared.sweeping.set(()).is_ok() {
            self.shared.tasks.spawn(unacked::sweep_for_ever(self.shared.clone()));
        }
        Ok(Box::new(consumer))
    }

    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        let publishing = publish::publish(&self.shared, route, message).await;
        publishing.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn delay(&self, held: Held, at: Timestamp) -> Result<(), NotDelayed> {
        // Void or closed: it comes again by itself.
        let _ = held.receipt.settle(Settlement::Delay(at)).await;
        Ok(())
    }

    async fn bury(&self, letter: DeadLetter, receipt: Receipt) -> Result<(), BrokerError> {
        letters::bury(&self.shared, &letter, &receipt).await?;
        receipt.settle(Settlement::Ack).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        letters::list(&self.shared, limit).await
    }

    async fn replay(&self, id: &str) -> Result<bool, BrokerError> {
        letters::replay(&self.shared, id).await
    }

    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        let counting = waiting::depth(&self.shared, queue).await;
        counting.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let purging = waiting::purge(&self.shared, queue).await;
        purging.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn listen(&self, node: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listening = listen::start(&self.shared, node).await;
        let listener = listening.map_err(|fault| fault.broker(self.shared.link.address()))?;
        Ok(Box::new(listener))
    }

    async fn broadcast(&self, message: &RawMessage) -> Result<(), BrokerError> {
        let saying = listen::broadcast(&self.shared, message).await;
        saying.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn emit(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        let saying = listen::say(&self.shared, route, message).await;
        saying.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn overhear(&self, pattern: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listening = listen::overhear(&self.shared, pattern).await;
        let listener = listening.map_err(|fault| fault.broker(self.shared.link.address()))?;
        Ok(Box::new(listener))
    }

    async fn replies(&self, oid: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listening = replies::start(&self.shared, oid).await;
        let listener = listening.map_err(|fault| fault.broker(self.shared.link.address()))?;
        Ok(Box::new(listener))
    }

    async fn bind(&self, queue: &str, binding: &Binding) -> Result<(), BrokerError> {
        let binding = publish::bind(&self.shared, queue, binding).await;
        binding.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.shared.presence)
    }

    async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        let _ = tokio::time::timeout(CLOSING, self.shared.tasks.wait()).await;
        self.shared.link.close();
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        // What its consumers hold is given back in the background.
        self.shared.closing.cancel();
    }
}

impl Shared {
    fn is_declared(&self, generation: u32, queue: &str) -> bool {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.0 == generation && declared.1.contains(queue)
    }

    fn set_declared(&self, generation: u32, queue: &str) {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if declared.0 != generation {
            // The server may have come back empty.
            *declared = (generation, HashSet::new());
        }
        declared.1.insert(queue.to_owned());
    }
}
