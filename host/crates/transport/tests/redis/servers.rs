//! Several servers, sentinels, and certificates of our own.

use std::time::Duration;

use umbel_harness::redis::{RedisOptions as ServerOptions, RedisServer};
use umbel_harness::sentinels::Watched;
use umbel_protocol::message::Route;
use umbel_protocol::record::State;
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::{Reply, ResultStore};

use super::results::record;
use super::{PATIENCE, ack, address, message, next, open};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_taken_when_one_cannot_be_reached() {
    let (mut first, mut second) = (RedisServer::durable(), RedisServer::durable());
    let urls = format!("redis://127.0.0.1:1/0;{};{}", first.url(0), second.url(0));
    let broker = open(&urls, RedisOptions::default()).await;
    let store = RedisStore::connect(address(&urls), StoreOptions::default()).await;
    let store = store.expect("connects");
    let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
    for round in 0..4 {
        broker.publish(&Route::queue("q"), &message(round)).await.expect("publishes");
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.body, round.to_string());
        ack(delivery).await;
        let ready = record(&format!("task-{round}"), State::Success);
        store.put(&ready, &Reply::default()).await.expect("stores");
        let (dies, lives) =
            if round % 2 == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
        lives.restart();
        dies.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_not_taken_for_a_server() {
    let master = RedisServer::start();
    let replica = RedisServer::start();
    replica.command_line(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let urls = format!("{};{}", replica.url(0), master.url(0));
    let broker = open(&urls, RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    ack(next(&mut consumer).await).await;

    // They change places without a connection being cut.
    replica.command_line(&["REPLICAOF", "NO", "ONE"]);
    master.command_line(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    publish_in_time(&broker, "y").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, "y");
    ack(delivery).await;
}

async fn publish_in_time(broker: &RedisBroker, body: &str) {
    let (route, message) = (Route::queue("q"), message(body));
    let publishing = tokio::time::timeout(PATIENCE, broker.publish(&route, &message));
    publishing.await.expect("in time").expect("publishes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_all_servers_is_final() {
    let password = Some("s3cret".to_owned());
    let server = RedisServer::with(ServerOptions { password, ..ServerOptions::default() });
    let url = format!("redis://:wr0ng@127.0.0.1:{}/0", server.port());
    let error = RedisBroker::connect(address(&format!("{url};{url}")), RedisOptions::default());
    let error = error.await.err().expect("refused");
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("wr0ng") && !text.contains("s3cret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_the_master_and_the_next_one() {
    let mut watched = Watched::start();
    let urls = watched.url();
    let broker = open(&urls, RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("before")).await.expect("publishes");
    ack(next(&mut consumer).await).await;
    let mut listener = broker.listen("w@here").await.expect("listens");

    watched.master.kill();
    publish_in_time(&broker, "after").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, "after");
    ack(delivery).await;
    assert!(watched.replica.command_line(&["ROLE"]).starts_with("master"));
    let heard = async {
        loop {
            broker.broadcast(&message("hello")).await.expect("broadcasts");
            let next = tokio::time::timeout(Duration::from_millis(200), listener.next()).await;
            if let Ok(heard) = next {
                return heard.expect("listens").expect("is open");
            }
        }
    };
    let heard = tokio::time::timeout(PATIENCE, heard).await.expect("remote control comes back");
    assert_eq!(heard.body, "hello");

    // Whoever comes now is led to the new one.
    let store = RedisStore::connect(address(&urls), StoreOptions::default()).await;
    let store = store.expect("connects");
    store.put(&record("a", State::Success), &Reply::default()).await.expect("stores");
    let unnamed = urls.replace("master_name", "name");
    let error = RedisBroker::connect(address(&unnamed), RedisOptions::default()).await;
    let error = format!("{:?}", error.err().expect("refused"));
    assert!(error.contains("master_name") && !error.contains("s3cret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_certificate_is_shown_to_a_server_that_asks_for_one() {
    let (_server, url) = RedisServer::for_the_known();
    let (half, _) = url.rsplit_once('&').expect("it ends with the key");
    let (unknown, _) = half.rsplit_once('&').expect("before it stands the certificate");
    let error = RedisBroker::connect(address(unknown), RedisOptions::default()).await;
    assert!(error.is_err(), "the server asks for a certificate");
    let error = RedisBroker::connect(address(half), RedisOptions::default()).await;
    let error = format!("{:?}", error.err().expect("half of a pair"));
    assert!(error.contains("ssl_keyfile"), "{error}");

    let url = format!("{url}&ssl_cert_reqs=CERT_REQUIRED");
    let broker = open(&url, RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    ack(next(&mut consumer).await).await;
    // Remote control has a connection of its own.
    let mut listener = broker.listen("w@here").await.expect("listens");
    broker.broadcast(&message("hello")).await.expect("broadcasts");
    let heard = tokio::time::timeout(PATIENCE, listener.next()).await.expect("in time");
    assert_eq!(heard.expect("listens").expect("is open").body, "hello");
}
