//! Several servers, sentinels, and certificates of our own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use umbel_harness::net::free_port;
use umbel_harness::process::Process;
use umbel_harness::redis::{RedisOptions as ServerOptions, RedisServer};
use umbel_protocol::message::Route;
use umbel_protocol::record::State;
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::{Reply, ResultStore};

use super::results::record;
use super::{PATIENCE, ack, address, eventually, message, next, open};

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

/// A sentinel; killed when dropped.
struct Sentinel {
    _process: Process,
    port: u16,
}

impl Sentinel {
    fn start(folder: &Path, master: u16, password: &str) -> Sentinel {
        let port = free_port();
        let file = folder.join(format!("sentinel-{port}.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass sent1nel\nsentinel sentinel-pass sent1nel\n\
             sentinel monitor mymaster 127.0.0.1 {master} 2\n\
             sentinel auth-pass mymaster {password}\n\
             sentinel down-after-milliseconds mymaster 1000\n\
             sentinel failover-timeout mymaster 4000\n",
            folder.display()
        );
        std::fs::write(&file, text).expect("writes");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        Sentinel { _process: Process::start("redis-sentinel", command), port }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_the_master_and_the_next_one() {
    let with = |more: Vec<String>| {
        let more = [more, vec!["--masterauth".into(), "s3cret".into()]].concat();
        let password = Some("s3cret".to_owned());
        RedisServer::with(ServerOptions { password, more, ..ServerOptions::default() })
    };
    let mut master = with(Vec::new());
    let replica = with(vec!["--replicaof".into(), format!("127.0.0.1 {}", master.port())]);
    eventually("the replica follows", async || {
        let info = replica.command_line(&["INFO", "replication"]);
        if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
    })
    .await;
    let folder = tempfile::tempdir().expect("a private folder");
    let sentinels: Vec<_> =
        (0..3).map(|_| Sentinel::start(folder.path(), master.port(), "s3cret")).collect();
    let urls: Vec<_> = sentinels
        .iter()
        .map(|one| format!("sentinel://:s3cret@127.0.0.1:{}/0", one.port))
        .collect();
    // The first one is not there.
    let urls = format!(
        "sentinel://:s3cret@127.0.0.1:1/0;{}?master_name=mymaster&sentinel_password=sent1nel",
        urls.join(";")
    );
    let broker = loop {
        match RedisBroker::connect(address(&urls), RedisOptions::default()).await {
            Ok(broker) => break broker,
            Err(why) => assert!(matches!(why, BrokerError::Unreachable { .. }), "{why:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut consumer = broker.consume(&["q".into()], 2).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("before")).await.expect("publishes");
    ack(next(&mut consumer).await).await;
    let mut listener = broker.listen("w@here").await.expect("listens");
    eventually("the sentinels know each other and the replica", async || {
        let client = client_of(sentinels[0].port).await;
        let info: String =
            redis::cmd("INFO").arg("sentinel").query_async(&mut { client }).await.expect("answers");
        if info.contains("slaves=1,sentinels=3") { Ok(()) } else { Err(info) }
    })
    .await;

    master.kill();
    publish_in_time(&broker, "after").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, "after");
    ack(delivery).await;
    assert!(replica.command_line(&["ROLE"]).starts_with("master"));
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

async fn client_of(port: u16) -> redis::aio::MultiplexedConnection {
    super::client(&format!("redis://:sent1nel@127.0.0.1:{port}/")).await
}

/// Runs `openssl` with these words.
fn openssl(words: &str, folder: &Path) {
    let made = Command::new("openssl").args(words.split(' ')).current_dir(folder).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{words}: {}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_certificate_is_shown_to_a_server_that_asks_for_one() {
    let folder = tempfile::tempdir().expect("a private folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("names"), "subjectAltName=DNS:localhost").expect("writes");
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -keyout ca.key -out ca.pem",
        folder.path(),
    );
    for who in ["server", "client"] {
        openssl(
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN={who} -keyout {who}.key -out {who}.csr"
            ),
            folder.path(),
        );
        openssl(
            &format!(
                "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                 -extfile names -out {who}.pem"
            ),
            folder.path(),
        );
    }
    let port = free_port();
    let more = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-auth-clients", "yes".to_owned()),
    ];
    let more = more.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect();
    let _server = RedisServer::with(ServerOptions { more, ..ServerOptions::default() });

    let unknown = format!("rediss://localhost:{port}/0?ssl_ca_certs={}", file("ca.pem"));
    let error = RedisBroker::connect(address(&unknown), RedisOptions::default()).await;
    assert!(error.is_err(), "the server asks for a certificate");
    let half = format!("{unknown}&ssl_certfile={}", file("client.pem"));
    let error = RedisBroker::connect(address(&half), RedisOptions::default()).await;
    let error = format!("{:?}", error.err().expect("half of a pair"));
    assert!(error.contains("ssl_keyfile"), "{error}");

    let url = format!("{half}&ssl_keyfile={}&ssl_cert_reqs=CERT_REQUIRED", file("client.key"));
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
