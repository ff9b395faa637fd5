//! The Redis broker and store pass the suite; and what only Redis can do.
#![cfg(feature = "redis")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use umbel_harness::redis::{RedisOptions as ServerOptions, RedisServer};
use umbel_protocol::message::{Properties, RawMessage};
use umbel_transport::address::Address;
use umbel_transport::broker::{Broker, Consumer};
use umbel_transport::conformance::{
    Abilities, BrokerFixture, PATIENCE, Priorities, QUIET, StoreFixture, TimetableFixture,
};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisRpcStore, RedisStore, StoreOptions};
use umbel_transport::results::ResultStore;
use umbel_value::Value;

#[path = "redis/chords.rs"]
mod chords;
#[path = "redis/delays.rs"]
mod delays;
#[path = "redis/formats.rs"]
mod formats;
#[path = "redis/keyvalue.rs"]
mod keyvalue;
#[path = "redis/leases.rs"]
mod leases;
#[path = "redis/python.rs"]
mod python;
#[path = "redis/results.rs"]
mod results;
#[path = "redis/servers.rs"]
mod servers;
#[path = "redis/trouble.rs"]
mod trouble;

mod broker {
    umbel_transport::broker_conformance!(super::Database::new());
}

mod timetable {
    umbel_transport::timetable_conformance!(super::Database::new());
}

mod store {
    umbel_transport::store_conformance!(super::Database::new());
}

mod rpc {
    umbel_transport::store_conformance!(super::Replies(super::Database::new()));
}

/// One server for all tests that do not hurt it.
static SERVER: LazyLock<RedisServer> = LazyLock::new(|| {
    let more = ["--databases", "1024"].map(str::to_owned).to_vec();
    RedisServer::with(ServerOptions { more, ..ServerOptions::default() })
});

/// A database of its own on the shared server.
struct Database {
    url: String,
}

/// `rpc://` over the same server.
struct Replies(Database);

#[async_trait]
impl StoreFixture for Replies {
    async fn store(&self) -> Arc<dyn ResultStore> {
        let store = RedisRpcStore::connect(address(&self.0.url), RedisOptions::default()).await;
        Arc::new(store.expect("connects"))
    }

    fn keeps(&self) -> bool {
        false
    }
}

impl Database {
    fn new() -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Database { url: format!("redis://127.0.0.1:{}/{number}", SERVER.port()) }
    }

    async fn broker(&self, options: RedisOptions) -> RedisBroker {
        open(&self.url, options).await
    }

    async fn store(&self) -> RedisStore {
        RedisStore::connect(address(&self.url), StoreOptions::default()).await.expect("connects")
    }

    /// A plain client, as any other program.
    async fn client(&self) -> MultiplexedConnection {
        client(&self.url).await
    }
}

#[async_trait]
impl TimetableFixture for Database {
    async fn timetable(&self) -> Arc<dyn umbel_transport::timetable::Timetable> {
        Arc::new(self.broker(RedisOptions::default()).await)
    }

    async fn broker(&self) -> Arc<dyn Broker> {
        BrokerFixture::broker(self).await
    }
}

#[async_trait]
impl BrokerFixture for Database {
    async fn broker(&self) -> Arc<dyn Broker> {
        let options =
            RedisOptions { visibility_timeout: Duration::from_secs(60), ..RedisOptions::default() };
        Arc::new(self.broker(options).await)
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            counts_deliveries: true,
            priorities: Priorities::LowerFirst,
            any_header: true,
            other_properties: true,
            returns_within: Duration::from_secs(60),
            delays_within: None,
            delays_early: Duration::ZERO,
            dead_letters: false,
            listens: false,
        }
    }
}

#[async_trait]
impl StoreFixture for Database {
    async fn store(&self) -> Arc<dyn ResultStore> {
        Arc::new(self.store().await)
    }
}

fn address(url: &str) -> Address {
    Address::parse(url).expect("the tests write good URLs")
}

async fn open(url: &str, options: RedisOptions) -> RedisBroker {
    RedisBroker::connect(address(url), options).await.expect("connects")
}

async fn client(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("the tests write good URLs");
    let config = redis::AsyncConnectionConfig::new()
        .set_response_timeout(Some(PATIENCE))
        .set_connection_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await.expect("connects")
}

fn message(body: impl ToString) -> RawMessage {
    RawMessage {
        properties: Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            delivery_mode: Some(2),
            ..Properties::default()
        },
        headers: [("task".to_owned(), Value::Text("tasks.add".into()))].into_iter().collect(),
        body: body.to_string().into(),
    }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery in time")
        .expect("the consumer works")
        .expect("it was not stopped")
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(taken) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!("nothing should come, but there is {taken:?}");
    }
}

async fn ack(delivery: Delivery) {
    let settled = tokio::time::timeout(PATIENCE, delivery.receipt.settle(Settlement::Ack));
    settled.await.expect("settled in time").expect("settles");
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> Result<(), String>) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(()) => return,
            Err(state) if tokio::time::Instant::now() > end => panic!("{what}: {state}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Nothing is left in the unacknowledged ones.
async fn nothing_is_unacked(client: &mut MultiplexedConnection) {
    eventually("nothing is unacknowledged", async || {
        let hash: u64 = client.hlen("unacked").await.expect("answers");
        let index: u64 = client.zcard("unacked_index").await.expect("answers");
        if hash + index == 0 {
            Ok(())
        } else {
            Err(format!("{hash} in the hash, {index} in the index"))
        }
    })
    .await;
}
