//! Connections cut, servers killed, credentials refused.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use umbel_harness::eventually::eventually;
use umbel_harness::net::free_port;
use umbel_harness::redis::{RedisOptions as ServerOptions, RedisServer};
use umbel_protocol::message::Route;
use umbel_protocol::record::State;
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::delivery::Settlement;
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::{Reply, ResultStore, StoreError};

use super::{
    PATIENCE, ack, address, client, message, next, nothing_comes, nothing_is_unacked, open,
};

/// Two thousand messages while `disturb` does its worst at every hundred and fiftieth of them.
async fn a_run_under(url: &str, mut disturb: impl AsyncFnMut(usize)) {
    const COUNT: usize = 2000;
    let broker = Arc::new(open(url, RedisOptions::default()).await);
    let mut consumer = broker.consume(&["q".into()], 40).await.expect("consumes");
    let sender = broker.clone();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            sender.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
        }
    });
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut settling = tokio::task::JoinSet::new();
    let mut taken = 0;
    while seen.len() < COUNT {
        let delivery = next(&mut consumer).await;
        let number = std::str::from_utf8(&delivery.message.body).expect("a number");
        *seen.entry(number.parse().expect("a number")).or_default() += 1;
        settling.spawn(async move { delivery.receipt.settle(Settlement::Ack).await });
        taken += 1;
        if taken % 150 == 0 {
            disturb(taken / 150).await;
        }
    }
    sending.await.expect("sends");
    while let Some(settled) = settling.join_next().await {
        settled.expect("runs").expect("every settlement is answered at last");
    }
    // A message whose publisher lost the answer is sent twice; nothing else is.
    let doubled: usize = seen.values().map(|times| times - 1).sum();
    assert!(doubled <= 14, "{doubled} messages came twice");
    nothing_comes(&mut consumer).await;
    nothing_is_unacked(&mut client(url).await).await;
    let presence = broker.presence();
    assert!(presence.is_connected() && presence.reconnects() > 0, "{presence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing() {
    let server = RedisServer::start();
    a_run_under(&server.url(0), async |_| {
        server.command_line(&["CLIENT", "KILL", "TYPE", "normal"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_that_comes_back_loses_nothing() {
    let mut server = RedisServer::durable();
    let url = server.url(0);
    a_run_under(&url, async |round| {
        if round % 3 == 1 {
            server.restart();
        }
    })
    .await;
}

/// Passes everything on; when told to, cuts instead of passing on the next answer with messages.
async fn cutter(to: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let cut = Arc::new(AtomicBool::new(false));
    let armed = cut.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", to)).await.expect("the server listens");
            let armed = armed.clone();
            tokio::spawn(async move {
                let (mut near_in, mut near_out) = near.into_split();
                let (mut far_in, mut far_out) = far.into_split();
                let asking = tokio::io::copy(&mut near_in, &mut far_out);
                let answering = async {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = far_in.read(&mut buffer).await {
                        let messages = buffer[..count].windows(12).any(|at| at == b"delivery_tag");
                        if messages && armed.swap(false, Ordering::SeqCst) {
                            return;
                        }
                        if near_out.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! { _ = asking => {}, () = answering => {} }
            });
        }
    });
    (port, cut)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_whose_answer_was_lost_is_not_lost_until_its_lease_ends() {
    let server = RedisServer::start();
    let (port, cut) = cutter(server.port()).await;
    let direct = open(&server.url(0), RedisOptions::default()).await;
    let broker = open(&format!("redis://127.0.0.1:{port}/0"), RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 10).await.expect("consumes");
    for round in 0..5 {
        cut.store(true, Ordering::SeqCst);
        for number in 0..5 {
            let number = round * 5 + number;
            direct.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
        }
        let mut seen = Vec::new();
        for _ in 0..5 {
            let delivery = next(&mut consumer).await;
            seen.push(
                String::from_utf8_lossy(&delivery.message.body).parse::<u32>().expect("a number"),
            );
            ack(delivery).await;
        }
        seen.sort();
        assert_eq!(seen, (round * 5..round * 5 + 5).collect::<Vec<_>>());
        assert!(!cut.load(Ordering::SeqCst), "the connection was cut");
    }
    nothing_comes(&mut consumer).await;
    nothing_is_unacked(&mut client(&server.url(0)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_read_a_large_message_gives_way_to_a_fresh_one() {
    let server = RedisServer::start();
    let broker = open(&server.url(0), RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 10).await.expect("consumes");
    let ours = || {
        let list = server.command_line(&["CLIENT", "LIST", "TYPE", "normal"]);
        let ours = list.lines().filter(|line| !line.contains("cmd=client|list"));
        ours.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect::<BTreeSet<_>>()
    };
    let before = ours();
    let mut large = message(1);
    large.body = vec![b'x'; 20 << 20].into();
    broker.publish(&Route::queue("q"), &large).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body.len(), 20 << 20);
    ack(delivery).await;
    broker.publish(&Route::queue("q"), &message(2)).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    assert_eq!(&*delivery.message.body, b"2");
    ack(delivery).await;
    eventually("one connection is another one", PATIENCE, || {
        let now = ours();
        let replaced = (now.len(), now.difference(&before).count()) == (before.len(), 1);
        replaced.then_some(()).ok_or_else(|| format!("{before:?} became {now:?}"))
    });
    nothing_is_unacked(&mut client(&server.url(0)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_its_scripts_is_taught_again() {
    let server = RedisServer::start();
    let broker = open(&server.url(0), RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    for number in 0..5 {
        server.command_line(&["SCRIPT", "FLUSH"]);
        broker.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
        let delivery = next(&mut consumer).await;
        server.command_line(&["SCRIPT", "FLUSH"]);
        ack(delivery).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_push_are_served_as_well() {
    // An old server or a proxy; and one whose operator forbids it.
    let old = RedisServer::with(ServerOptions {
        more: ["--rename-command", "HELLO", ""].map(str::to_owned).to_vec(),
        ..ServerOptions::default()
    });
    let strict = RedisServer::start();
    strict.command_line(&["ACL", "SETUSER", "default", "-client|tracking"]);
    for server in [old, strict] {
        let broker = open(&server.url(0), RedisOptions::default()).await;
        let connecting = RedisStore::connect(address(&server.url(0)), StoreOptions::default());
        let store = connecting.await.expect("connects");
        let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
        for number in 0..3 {
            nothing_comes(&mut consumer).await;
            broker.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
            ack(next(&mut consumer).await).await;
        }
        let ready = super::results::record("a", State::Success);
        let (found, put) = tokio::join!(store.wait("a", PATIENCE), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            store.put(&ready, &Reply::default()).await
        });
        put.expect("stores");
        assert_eq!(found.expect("waits"), Some(ready.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_still_hands_out_and_settles() {
    let server = RedisServer::start();
    let broker = open(&server.url(0), RedisOptions::default()).await;
    for number in 0..3 {
        broker.publish(&Route::queue("q"), &message(number)).await.expect("publishes");
    }
    server.command_line(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut consumer = broker.consume(&["q".into()], 3).await;
    if consumer.is_err() {
        // Declaring needs memory as well.
        server.command_line(&["CONFIG", "SET", "maxmemory", "0"]);
        consumer = broker.consume(&["q".into()], 3).await;
        server.command_line(&["CONFIG", "SET", "maxmemory", "1"]);
    }
    let mut consumer = consumer.expect("consumes");
    ack(next(&mut consumer).await).await;
    // Giving back needs memory: it waits until there is some.
    let requeue = next(&mut consumer).await.receipt.settle(Settlement::Requeue);
    let freeing = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.command_line(&["CONFIG", "SET", "maxmemory", "0"]);
    };
    let (requeued, ()) = tokio::join!(tokio::time::timeout(PATIENCE, requeue), freeing);
    requeued.expect("in time").expect("settles");
    for _ in 0..2 {
        ack(next(&mut consumer).await).await;
    }
    nothing_is_unacked(&mut client(&server.url(0)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_is_an_error_and_eats_nothing() {
    let server = RedisServer::start();
    let broker = open(&server.url(0), RedisOptions::default()).await;
    broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    server.command_line(&["SET", "unacked_index", "text"]);
    let mut consumer = broker.consume(&["q".into()], 3).await.expect("consumes");
    let refused = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("in time");
    assert!(matches!(refused, Err(BrokerError::Other { .. })), "{refused:?}");
    assert_eq!(server.command_line(&["LLEN", "q"]), "1");
}

fn whole(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_databases_are_refused_at_once_and_never_shown() {
    let password = Some("s3cret".to_owned());
    let server = RedisServer::with(ServerOptions { password, ..ServerOptions::default() });
    let port = server.port();
    let good = open(&server.url(0), RedisOptions::default()).await;
    good.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    for login in [":wr0ng-one@", "nobody:wr0ng-one@", ""] {
        let url = format!("redis://{login}127.0.0.1:{port}/0");
        let error = RedisBroker::connect(address(&url), RedisOptions::default()).await;
        let error = error.err().expect("refused");
        assert!(matches!(error, BrokerError::Refused { .. }), "{url}: {error:?}");
        assert!(!whole(&error).contains("wr0ng"), "{}", whole(&error));
        let error = RedisStore::connect(address(&url), StoreOptions::default()).await;
        let error = error.err().expect("refused");
        assert!(matches!(error, StoreError::Refused { .. }), "{url}: {error:?}");
        assert!(!whole(&error).contains("wr0ng"), "{}", whole(&error));
    }
    let url = format!("redis://:s3cret@127.0.0.1:{port}/99");
    let error = RedisBroker::connect(address(&url), RedisOptions::default()).await;
    let error = error.err().expect("refused");
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(whole(&error).contains("out of range"), "{}", whole(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_said_at_once() {
    let url = format!("redis://:s3cret@127.0.0.1:{}/0", free_port());
    let connecting = RedisBroker::connect(address(&url), RedisOptions::default());
    let error = tokio::time::timeout(PATIENCE, connecting).await.expect("at once");
    let error = error.err().expect("nobody is there");
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(!whole(&error).contains("s3cret"), "{}", whole(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked_unless_told_otherwise() {
    let folder = tempfile::tempdir().expect("a private folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"])
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let more = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file("cert.pem")),
        ("--tls-key-file", file("key.pem")),
        ("--tls-auth-clients", "no".to_owned()),
    ];
    let more = more.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect();
    let _server = RedisServer::with(ServerOptions { more, ..ServerOptions::default() });

    let url = format!("rediss://localhost:{port}/0");
    let error = RedisBroker::connect(address(&url), RedisOptions::default()).await;
    let error = error.err().expect("nobody vouches for that certificate");
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    for query in ["ssl_cert_reqs=none".to_owned(), format!("ssl_ca_certs={}", file("cert.pem"))] {
        let broker = open(&format!("{url}?{query}"), RedisOptions::default()).await;
        let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
        broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
        ack(next(&mut consumer).await).await;
    }
}

/// Who gives up waiting must not make those who come after him wait longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_many_gave_up_waiting_for_is_soon_there_again() {
    let mut server = RedisServer::start();
    let store = RedisStore::connect(address(&server.url(0)), StoreOptions::default()).await;
    let store = Arc::new(store.expect("connects"));
    server.kill();
    let mut impatient = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        let asking = async move { store.get("a").await.map(drop) };
        impatient.spawn(tokio::time::timeout(Duration::from_millis(50), asking));
    }
    while let Some(asked) = impatient.join_next().await {
        asked.expect("runs").expect_err("nobody waits long");
    }
    server.restart();
    let record = super::results::record("a", State::Success);
    store.put(&record, &Reply::default()).await.expect("it is there again");
}
