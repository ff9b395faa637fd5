//! The broker's side of the file: publishing, and consumers that hand out what their feed took.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use umbel_protocol::message::{RawMessage, Route};

use super::alive::Sign;
use super::database::Database;
use super::feed::{Command, Feed, Identity};
use super::queue::{self, Claim, Dead, Taken};
use super::row::Row;
use super::{listen, waiting};
use crate::address::Address;
use crate::broker::{Broker, BrokerError, Consumer, DeadLetter, Held, Listener, NotDelayed};
use crate::delivery::{Delivery, Receipt, Settle, Settlement, Tag};

/// How the file is used.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// How long a consumer's messages stay its own when it no longer shows signs of life. Renewed
    /// three times within; must outlast any pause of the process.
    pub lease: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60) }
    }
}

/// A broker in a file. Several processes of one machine may use it at once.
#[derive(Debug)]
pub struct SqliteBroker {
    database: Arc<Database>,
    options: SqliteOptions,
    closed: CancellationToken,
    feeds: TaskTracker,
}

impl SqliteBroker {
    /// Opens the file that `address` names, or creates it. A file that cannot be used is an error
    /// that names it and says what to do.
    pub async fn open(
        address: Address,
        options: SqliteOptions,
    ) -> Result<SqliteBroker, BrokerError> {
        let database = Database::open(&address.path).await.map_err(|error| BrokerError::Other {
            what: error.to_string(),
            source: error.into(),
        })?;
        Ok(SqliteBroker {
            database,
            options,
            closed: CancellationToken::new(),
            feeds: TaskTracker::new(),
        })
    }

    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.options.lease.as_millis()).unwrap_or(i64::MAX / 4)
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    async fn consume(
        &self,
        queues: &[String],
        window: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        if self.closed.is_cancelled() {
            return Err(BrokerError::Closed);
        }
        let lease_ms = self.lease_ms();
        let path = self.database.path().to_owned();
        let (holder, sign) = self
            .database
            .write(move |file| {
                let sign = Sign::show(&path);
                let holder = queue::enter(file, sign.as_ref().map(Sign::name), lease_ms)?;
                Ok((holder, sign))
            })
            .await
            .map_err(|error| error.broker(self.database.path()))?;
        // All four hold no more than the window's deliveries, so they need no bound of their own.
        let (commands, orders) = mpsc::unbounded_channel();
        let (buffer, ready) = mpsc::unbounded_channel();
        let (receipts, settles) = mpsc::unbounded_channel();
        let queues: Arc<[String]> = queues.into();
        let feed = Feed::new(
            self.database.clone(),
            self.closed.clone(),
            Identity { holder, sign, lease_ms },
            queues.clone(),
            window,
            buffer,
        );
        self.feeds.spawn(feed.run(orders, settles));
        Ok(Box::new(SqliteConsumer {
            names: queues.iter().map(|name| name.as_str().into()).collect(),
            ahead: VecDeque::new(),
            ready,
            commands,
            receipts: Some(receipts),
            closed: self.closed.clone(),
        }))
    }

    async fn publish(&self, route: &Route, message: &RawMessage) -> Result<(), BrokerError> {
        if self.closed.is_cancelled() {
            return Err(BrokerError::Closed);
        }
        let row = Row::new(route, message);
        let queue = queue_of(route).to_owned();
        let priority = message.properties.priority.unwrap_or(0);
        self.database
            .write(move |file| queue::publish(file, &queue, priority, &row))
            .await
            .map_err(|error| error.broker(self.database.path()))
    }

    async fn delay(&self, held: Held, at: Timestamp) -> Result<(), NotDelayed> {
        // Void or closed: it comes again by itself.
        let _ = held.receipt.settle(Settlement::Delay(at)).await;
        Ok(())
    }

    async fn bury(&self, letter: DeadLetter, receipt: Receipt) -> Result<(), BrokerError> {
        let tag = receipt.tag().ok_or(BrokerError::Stale)?;
        let claim = Claim::of(tag, receipt.generation());
        let burying = self
            .database
            .write(move |file| queue::bury(file, claim, &letter.reason, letter.parked));
        if !burying.await.map_err(|error| error.broker(self.database.path()))? {
            return Err(BrokerError::Stale);
        }
        // Nothing is held any more; it only makes room in the window.
        let _ = receipt.settle(Settlement::Ack).await;
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let found = self.database.read(move |file| queue::dead(file, limit)).await;
        let found = found.map_err(|error| error.broker(self.database.path()))?;
        Ok(found.into_iter().filter_map(letter).collect())
    }

    async fn replay(&self, id: &str) -> Result<bool, BrokerError> {
        let Ok(id) = id.parse() else { return Ok(false) };
        let replayed = self.database.write(move |file| queue::replay(file, id)).await;
        replayed.map_err(|error| error.broker(self.database.path()))
    }

    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        let queue = queue.to_owned();
        let counted = self.database.read(move |file| waiting::depth(file, &queue)).await;
        counted.map_err(|error| error.broker(self.database.path()))
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let queue = queue.to_owned();
        let purged = self.database.write(move |file| waiting::purge(file, &queue)).await;
        purged.map_err(|error| error.broker(self.database.path()))
    }

    async fn listen(&self, _node: &str) -> Result<Box<dyn Listener>, BrokerError> {
        let listening = listen::start(&self.database, &self.closed).await;
        Ok(Box::new(listening.map_err(|error| error.broker(self.database.path()))?))
    }

    async fn broadcast(&self, message: &RawMessage) -> Result<(), BrokerError> {
        if self.closed.is_cancelled() {
            return Err(BrokerError::Closed);
        }
        let row = Row::new(&Route::default(), message);
        let saying = self.database.write(move |file| listen::say(file, &row)).await;
        saying.map_err(|error| error.broker(self.database.path()))
    }

    async fn close(&self) {
        self.closed.cancel();
        self.feeds.close();
        self.feeds.wait().await;
        self.database.close().await;
    }
}

/// Where a message goes: Celery's direct exchanges carry the name of their queue.
pub(super) fn queue_of(route: &Route) -> &str {
    match route.routing_key.as_str() {
        "" => &route.exchange,
        key => key,
    }
}

/// `None` for what cannot be read any more.
fn letter(dead: Dead) -> Option<DeadLetter> {
    let Dead { id, queue, at_ms, reason, parked, row } = dead;
    let (_, message) = row
        .open()
        .inspect_err(|what| tracing::warn!(message = id, %what, "a damaged dead letter"))
        .ok()?;
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(DeadLetter { id: id.to_string(), queue, reason, at, parked, message })
}

/// Hands out what its feed took.
struct SqliteConsumer {
    names: Vec<Arc<str>>,
    /// Taken from `ready` but to be handed out first.
    ahead: VecDeque<Taken>,
    ready: mpsc::UnboundedReceiver<Taken>,
    commands: mpsc::UnboundedSender<Command>,
    /// `None` once stopped.
    receipts: Option<mpsc::UnboundedSender<Settle>>,
    closed: CancellationToken,
}

#[async_trait]
impl Consumer for SqliteConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        loop {
            let taken = match self.ahead.pop_front() {
                Some(taken) => Some(taken),
                None => self.ready.recv().await,
            };
            let (Some(taken), Some(receipts)) = (taken, &self.receipts) else {
                return match self.receipts {
                    Some(_) => Err(BrokerError::Closed),
                    None => Ok(None),
                };
            };
            if self.closed.is_cancelled() {
                return Err(BrokerError::Closed);
            }
            let tag = Tag::Number(taken.id.unsigned_abs());
            let receipt = Receipt::new(tag, taken.deliveries, receipts.clone());
            match taken.row.open() {
                Ok((route, message)) => {
                    return Ok(Some(Delivery {
                        message,
                        route,
                        queue: self.names[taken.queue].clone(),
                        redelivered: taken.seen || taken.deliveries > 0,
                        deliveries: Some(taken.deliveries),
                        receipt,
                    }));
                }
                Err(what) => {
                    tracing::error!(message = taken.id, %what, "discarded a damaged message");
                    receipt.settle(Settlement::Discard).await?;
                }
            }
        }
    }

    async fn resize(&mut self, window: u16) -> Result<(), BrokerError> {
        let (tell, told) = oneshot::channel();
        self.command(Command::Resize { window, excess: tell })?;
        let excess = told.await.map_err(|_| BrokerError::Closed)?;
        while let Ok(taken) = self.ready.try_recv() {
            self.ahead.push_back(taken);
        }
        // The last ones: what stays keeps its order.
        let stay = self.ahead.len().saturating_sub(excess);
        let claims = self.ahead.drain(stay..).map(|taken| taken.claim()).collect();
        self.command(Command::GiveBack { claims, done: None })
    }

    async fn stop(&mut self) -> Result<(), BrokerError> {
        if self.receipts.is_none() {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        let claims = self.end();
        self.command(Command::GiveBack { claims, done: Some(tell) })?;
        // Not before: without a command and without receipts the feed would leave.
        self.receipts = None;
        told.await.map_err(|_| BrokerError::Closed)
    }
}

impl SqliteConsumer {
    fn command(&self, command: Command) -> Result<(), BrokerError> {
        self.commands.send(command).map_err(|_| BrokerError::Closed)
    }

    /// Lets the feed take nothing more; gives what was not handed out.
    fn end(&mut self) -> Vec<Claim> {
        // From here on the feed gives back by itself what it takes.
        self.ready.close();
        while let Ok(taken) = self.ready.try_recv() {
            self.ahead.push_back(taken);
        }
        self.ahead.drain(..).map(|taken| taken.claim()).collect()
    }
}

impl Drop for SqliteConsumer {
    fn drop(&mut self) {
        let claims = self.end();
        let _ = self.command(Command::GiveBack { claims, done: None });
    }
}
