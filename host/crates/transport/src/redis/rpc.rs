//! `rpc://` over a Redis broker: results travel as messages to the list that the caller named.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, Value};
use tokio::time::Instant;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::Route;
use umbel_protocol::record::{ResultRecord, State};
use uuid::Uuid;

use super::RedisOptions;
use super::connection::{Fault, Link};
use super::keys::Keys;
use super::publish::commanded;
use super::results::patiently;
use crate::address::Address;
use crate::results::{Reply, ResultStore, StoreError, reply_message};

/// Celery's `x-expires` of a reply queue: a list that nobody reads goes away.
const EXPIRES: Duration = Duration::from_secs(86_400);

/// How often a caller looks into its list.
const LOOK: Duration = Duration::from_millis(20);

/// Results over a Redis broker. Keeps only what this process receives.
pub struct RedisRpcStore {
    link: Link,
    keys: Keys,
    /// The list this process reads, named when it is first asked for.
    own: String,
    received: Mutex<HashMap<String, ResultRecord>>,
}

impl RedisRpcStore {
    /// Connects to the broker at `address`; fails at once when it cannot be reached or refuses us.
    pub async fn connect(
        address: Address,
        options: RedisOptions,
    ) -> Result<RedisRpcStore, StoreError> {
        let opening = async {
            let options = options.with_query(&address)?;
            let link = Link::open(&address, options.master_name.as_deref(), None).await?;
            Ok((Keys::new(&options.global_keyprefix), link))
        };
        let (keys, link) = opening.await.map_err(|fault: Fault| fault.store(&address))?;
        let own = Uuid::new_v4().to_string();
        Ok(RedisRpcStore { link, keys, own, received: Mutex::default() })
    }

    async fn send(&self, queue: &str, record: &ResultRecord, id: &str) -> Result<(), Fault> {
        let envelope = Envelope {
            message: reply_message(record, id, Default::default()),
            route: Route::queue(queue),
            tag: Uuid::new_v4().to_string(),
            redelivered: false,
        };
        let list = self.keys.list(queue, 0);
        let mut batch = super::connection::new_batch();
        batch.cmd("LPUSH").arg(&list).arg(envelope.to_json());
        batch.cmd("EXPIRE").arg(&list).arg(EXPIRES.as_secs());
        commanded(&self.link, &batch).await.map(drop)
    }

    /// Takes over what arrived in this process's list.
    async fn look(&self) -> Result<(), Fault> {
        loop {
            let mut batch = super::connection::new_batch();
            batch.cmd("RPOP").arg(self.keys.list(&self.own, 0));
            let answer = commanded(&self.link, &batch).await?.pop().unwrap_or(Value::Nil);
            let Ok(Some(text)) = Option::<Vec<u8>>::from_redis_value(answer) else { return Ok(()) };
            let record = Envelope::from_json(&text)
                .ok()
                .and_then(|envelope| ResultRecord::from_json(&envelope.message.body).ok());
            match record {
                Some(record) => self.keep(record),
                None => tracing::warn!("a reply that is no result"),
            }
        }
    }

    /// The last state wins, but nothing follows a success.
    fn keep(&self, record: ResultRecord) {
        let mut received = self.received();
        let known = received.get(&record.id);
        if known.is_none_or(|known| known.state != State::Success) {
            received.insert(record.id.clone(), record);
        }
    }

    fn received(&self) -> MutexGuard<'_, HashMap<String, ResultRecord>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ResultStore for RedisRpcStore {
    async fn put(&self, record: &ResultRecord, reply: &Reply) -> Result<(), StoreError> {
        match reply.reply_to.as_deref().filter(|queue| !queue.is_empty()) {
            Some(queue) => {
                patiently(&self.link, self.send(queue, record, &reply.correlation_id)).await
            }
            None => Ok(()),
        }
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        patiently(&self.link, self.look()).await?;
        Ok(self.received().get(id).cloned())
    }

    async fn wait(&self, id: &str, timeout: Duration) -> Result<Option<ResultRecord>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let latest = self.get(id).await?;
            if latest.as_ref().is_some_and(|record| record.state.is_ready())
                || Instant::now() >= deadline
            {
                return Ok(latest);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn reply_to(&self) -> Result<Option<String>, StoreError> {
        Ok(Some(self.own.clone()))
    }

    async fn close(&self) {
        self.link.close();
    }
}
