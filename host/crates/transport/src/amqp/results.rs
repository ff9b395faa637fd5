//! `rpc://`: results travel as messages to the queue that the caller named.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use umbel_protocol::message::Route;
use umbel_protocol::record::{ResultRecord, State};

use super::AmqpOptions;
use super::connection::{Link, describe};
use super::publish::{Missing, Publisher};
use crate::address::Address;
use crate::broker::BrokerError;
use crate::results::{Reply, ResultStore, StoreError, reply_message};

/// Celery's `result_expires` of a day: an unread reply queue goes away.
const QUEUE_EXPIRES_MS: i32 = 86_400_000;

/// So many records are kept for who asks; the oldest go first.
const KEPT: usize = 10_000;

/// Results over an AMQP server. Keeps only what this process receives.
pub struct RpcStore {
    publisher: Publisher,
    receiving: Arc<Link>,
    inbox: Arc<Inbox>,
    /// The reply queue, once it is consumed from.
    queue: Mutex<Option<String>>,
    listeners: TaskTracker,
}

impl RpcStore {
    /// Connects at once; fails when the server cannot be reached or refuses us.
    pub async fn connect(address: Address, options: AmqpOptions) -> Result<RpcStore, StoreError> {
        let publishing = Link::new(address.clone(), options.clone(), "results");
        publishing.connection().await.map_err(store_error)?;
        Ok(RpcStore {
            publisher: Publisher::new(publishing),
            receiving: Link::new(address, options, "replies"),
            inbox: Arc::new(Inbox::default()),
            queue: Mutex::new(None),
            listeners: TaskTracker::new(),
        })
    }
}

#[async_trait]
impl ResultStore for RpcStore {
    async fn put(&self, record: &ResultRecord, reply: &Reply) -> Result<(), StoreError> {
        let Some(queue) = reply.reply_to.as_deref().filter(|queue| !queue.is_empty()) else {
            return Ok(());
        };
        let message = reply_message(record, &reply.correlation_id);
        let route = Route::queue(queue);
        self.publisher.publish(&route, &message, Missing::Drop).await.map_err(store_error)
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        Ok(self.inbox.records().get(id))
    }

    async fn wait(&self, id: &str, timeout: Duration) -> Result<Option<ResultRecord>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let arrival = self.inbox.arrival.notified();
            tokio::pin!(arrival);
            // Registered before looking: what arrives in between is not missed.
            arrival.as_mut().enable();
            let latest = self.inbox.records().get(id);
            if latest.as_ref().is_some_and(|record| record.state.is_ready()) {
                return Ok(latest);
            }
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep_until(deadline) => return Ok(latest),
            }
        }
    }

    async fn reply_to(&self) -> Result<Option<String>, StoreError> {
        let mut queue = self.queue.lock().await;
        if queue.is_none() {
            let name = uuid::Uuid::new_v4().to_string();
            let connection = self.receiving.connection().await.map_err(store_error)?;
            let ears = listen(self.receiving.clone(), connection, name.clone()).await;
            let ears = ears.map_err(store_error)?;
            let (link, inbox) = (self.receiving.clone(), self.inbox.clone());
            self.listeners.spawn(hear(link, inbox, name.clone(), ears));
            *queue = Some(name);
        }
        Ok(queue.clone())
    }

    async fn close(&self) {
        self.receiving.closed.cancel();
        self.listeners.close();
        self.listeners.wait().await;
        self.receiving.close().await;
        self.publisher.close().await;
    }
}

/// What arrived.
#[derive(Default)]
struct Inbox {
    records: SyncMutex<Records>,
    arrival: Notify,
}

#[derive(Default)]
struct Records {
    by_id: HashMap<String, ResultRecord>,
    order: VecDeque<String>,
}

impl Inbox {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn get(&self, id: &str) -> Option<ResultRecord> {
        self.by_id.get(id).cloned()
    }

    /// The last state wins, but nothing follows a success.
    fn insert(&mut self, record: ResultRecord) {
        match self.by_id.get_mut(&record.id) {
            Some(known) if known.state == State::Success => {}
            Some(known) => *known = record,
            None => {
                self.order.push_back(record.id.clone());
                self.by_id.insert(record.id.clone(), record);
                if self.order.len() > KEPT
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.by_id.remove(&oldest);
                }
            }
        }
    }
}

/// The reply queue's channel and its deliveries.
struct Ears {
    _channel: Channel,
    deliveries: lapin::Consumer,
}

/// Declares the reply queue as Celery does and consumes from it.
async fn listen(
    link: Arc<Link>,
    connection: Arc<Connection>,
    queue: String,
) -> Result<Ears, BrokerError> {
    let start = async {
        let channel = connection.create_channel().await?;
        let name = ShortString::from(queue);
        let declare = QueueDeclareOptions {
            durable: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongInt(QUEUE_EXPIRES_MS));
        channel.queue_declare(name.clone(), declare, arguments).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let tag = ShortString::default();
        let deliveries = channel.basic_consume(name, tag, options, FieldTable::default()).await?;
        Ok(Ears { _channel: channel, deliveries })
    };
    start.await.map_err(|e| link.error("cannot consume from the reply queue", e))
}

/// Keeps what arrives until closed, over as many connections as it takes.
async fn hear(link: Arc<Link>, inbox: Arc<Inbox>, queue: String, mut ears: Ears) {
    loop {
        let next = tokio::select! {
            () = link.closed.cancelled() => return,
            next = ears.deliveries.next() => next,
        };
        match next {
            Some(Ok(delivery)) => match ResultRecord::from_json(&delivery.data) {
                Ok(record) => {
                    inbox.records().insert(record);
                    inbox.arrival.notify_waiters();
                }
                Err(error) => tracing::warn!(%error, "a reply that is no result"),
            },
            Some(Err(_)) | None => {
                let address = &link.address;
                tracing::warn!(%address, "reply queue lost; results sent meanwhile are gone");
                let again =
                    link.persist(|connection| listen(link.clone(), connection, queue.clone()));
                ears = match again.await {
                    Ok(ears) => ears,
                    Err(BrokerError::Closed) => return,
                    Err(error) => {
                        tracing::error!(error = %describe(&error), "no results can be received");
                        return;
                    }
                };
            }
        }
    }
}

fn store_error(error: BrokerError) -> StoreError {
    match error {
        BrokerError::Unreachable { address, source } => StoreError::Unreachable { address, source },
        BrokerError::Refused { address, source } => StoreError::Refused { address, source },
        BrokerError::Other { what, source } => StoreError::Other { what, source },
        other => {
            StoreError::Other { what: "the result cannot be sent".into(), source: other.into() }
        }
    }
}
