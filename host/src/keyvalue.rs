//! The stores that plugins were granted: the engine's seam over the transport's Redis. They have a
//! thread of their own, so that neither guests nor the broker's heartbeat wait behind large values.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;
use umbel_task::grants::keyvalue::{KeyValue, KeyValueError, KeyValueStores, Page, Room, Values};
use umbel_transport::address::Address;
use umbel_transport::redis::{KeyValueFault, RedisKeyValue};

/// One connection for each address, however many plugins were granted it.
#[derive(Default)]
pub(crate) struct Stores(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// Started when the first plugin needs it.
    runtime: Option<Runtime>,
    stores: HashMap<String, Weak<Store>>,
}

struct Store {
    redis: Arc<RedisKeyValue>,
    runtime: Handle,
}

impl KeyValueStores for Stores {
    fn open(&self, url: &str) -> Result<Arc<dyn KeyValue>, String> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.stores.get(url).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let address = Address::parse(url).map_err(|wrong| wrong.what)?;
        let redis = Arc::new(RedisKeyValue::new(&address)?);
        let store = Arc::new(Store { redis, runtime: open.runtime()? });
        open.stores.retain(|_, store| store.strong_count() > 0);
        open.stores.insert(url.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }
}

impl Open {
    fn runtime(&mut self) -> Result<Handle, String> {
        if let Some(runtime) = &self.runtime {
            return Ok(runtime.handle().clone());
        }
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("umbel-keyvalue").enable_all();
        let runtime = builder.build().map_err(|why| format!("cannot start its thread: {why}"))?;
        Ok(self.runtime.insert(runtime).handle().clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for nothing, so it may happen on any thread.
            runtime.shutdown_background();
        }
    }
}

impl Store {
    /// On the stores' own thread; ends with its caller.
    async fn there<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, KeyValueFault>> + Send + 'static,
    ) -> Result<T, KeyValueError> {
        let work = AbortOnDropHandle::new(self.runtime.spawn(work));
        // Cancelled only where the process ends.
        work.await.unwrap_or(Err(KeyValueFault::Away)).map_err(error)
    }
}

#[async_trait]
impl KeyValue for Store {
    async fn get(&self, keys: Vec<String>, room: Room) -> Result<Values, KeyValueError> {
        let redis = self.redis.clone();
        self.there(async move { redis.get(&keys, room.each, room.all).await }).await
    }

    async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), KeyValueError> {
        let redis = self.redis.clone();
        self.there(async move { redis.set(&pairs).await }).await
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), KeyValueError> {
        let redis = self.redis.clone();
        self.there(async move { redis.delete(&keys).await }).await
    }

    async fn exists(&self, key: String) -> Result<bool, KeyValueError> {
        let redis = self.redis.clone();
        self.there(async move { redis.exists(&key).await }).await
    }

    async fn increment(&self, key: String, delta: u64) -> Result<u64, KeyValueError> {
        let redis = self.redis.clone();
        self.there(async move { redis.increment(&key, delta).await }).await
    }

    async fn list(&self, prefix: String, from: u64) -> Result<Page, KeyValueError> {
        let redis = self.redis.clone();
        let listed = self.there(async move { redis.list(&prefix, from).await }).await;
        listed.map(|(keys, next)| Page { keys, next })
    }
}

fn error(fault: KeyValueFault) -> KeyValueError {
    match fault {
        KeyValueFault::Away => KeyValueError::Away,
        KeyValueFault::TooLarge => KeyValueError::TooLarge,
        KeyValueFault::NotANumber => KeyValueError::NotANumber,
        KeyValueFault::Refused(why) => KeyValueError::Refused(why),
    }
}
