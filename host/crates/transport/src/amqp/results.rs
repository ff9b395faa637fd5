//! `rpc://`: results travel as messages to the queue that the caller named.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use umbel_protocol::body::Serializer;
use umbel_protocol::message::Route;
use umbel_protocol::record::{ResultRecord, State};
use umbel_value::Value;

use super::connection::Link;
use super::ears::Place;
use super::options::AmqpOptions;
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
    serializer: Serializer,
    persistent: bool,
}

impl RpcStore {
    /// Connects at once; fails when the server cannot be reached or refuses us.
    pub async fn connect(address: Address, options: AmqpOptions) -> Result<RpcStore, StoreError> {
        let publishing = Link::new(&address, options.clone(), "results");
        publishing.connection().await.map_err(store_error)?;
        Ok(RpcStore {
            serializer: options.result_serializer,
            persistent: options.result_persistent,
            publisher: Publisher::new(publishing),
            receiving: Link::new(&address, options, "replies"),
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
        let mut message = reply_message(record, &reply.correlation_id, self.serializer);
        if self.persistent {
            message.properties.delivery_mode = Some(2);
        }
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
            let place = place(&name);
            let ears = place.open(&self.receiving, &connection).await.map_err(store_error)?;
            let inbox = self.inbox.clone();
            self.listeners.spawn(place.hear(self.receiving.clone(), ears, move |delivery| {
                inbox.take(&delivery);
                std::future::ready(true)
            }));
            *queue = Some(name);
        }
        Ok(queue.clone())
    }

    fn refuses(&self, value: &Value) -> Option<String> {
        self.serializer.refuses(value).map(|error| error.0)
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
    fn take(&self, delivery: &lapin::message::Delivery) {
        let content_type = delivery.properties.content_type().as_ref();
        let serializer = content_type.and_then(|kind| Serializer::named(kind.as_str()));
        match ResultRecord::decode(&delivery.data, serializer.unwrap_or_default()) {
            Ok(record) => {
                self.records().insert(record);
                self.arrival.notify_waiters();
            }
            Err(error) => tracing::warn!(%error, "a reply that is no result"),
        }
    }

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

/// The reply queue, as Celery declares it.
fn place(queue: &str) -> Place {
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(QUEUE_EXPIRES_MS));
    Place {
        what: "cannot consume from the reply queue",
        queue: ShortString::from(queue),
        options: QueueDeclareOptions {
            durable: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        },
        arguments,
        source: None,
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
