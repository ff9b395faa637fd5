//! Connections and servers that go away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::rabbitmq::RabbitMq;
use umbel_protocol::message::Route;
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions};
use umbel_transport::broker::{Broker, BrokerError, Consumer};
use umbel_transport::delivery::Settlement;

use super::bench::*;

async fn publish_numbers(broker: &AmqpBroker, queue: &str, count: u32) {
    join_all((0..count).map(|at| async move { publish(broker, queue, &at.to_string()).await }))
        .await;
}

/// Takes and acknowledges until every number was seen.
async fn take_all(consumer: &mut Box<dyn Consumer>, wanted: u32) {
    let mut seen = BTreeSet::new();
    while seen.len() < wanted as usize {
        let delivery = next(consumer).await;
        seen.insert(body(&delivery));
        // Void when the connection went meanwhile: it comes again.
        let _ = settle(delivery, Settlement::Ack).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_connection_voids_receipts_and_loses_nothing() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    publish_numbers(&broker, "q", 300).await;
    let mut consumer = consume(&broker, &["q"], 20).await;
    let mut held = vec![];
    for _ in 0..10 {
        held.push(next(&mut consumer).await);
    }
    let first: BTreeSet<String> = held.iter().map(body).collect();
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.close_connections(&vhost)).await;

    // The first one that comes again proves that the old receipts are void.
    while !next(&mut consumer).await.redelivered {}
    for delivery in held {
        let error = settle(delivery, Settlement::Ack).await.unwrap_err();
        assert!(matches!(error, BrokerError::Stale), "{error:?}");
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 300 {
        let delivery = next(&mut consumer).await;
        let number = body(&delivery);
        assert!(delivery.redelivered || !first.contains(&number), "{number} says it is new");
        assert!(seen.insert(number), "acknowledged and delivered again");
        ack(delivery).await;
    }
    nothing_comes(&mut consumer).await;
    // The publisher's connection was closed too.
    publish(&broker, "q", "after").await;
    ack(next(&mut consumer).await).await;
    let presence = broker.presence();
    assert!(presence.is_connected() && presence.reconnects() > 0, "{presence:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_in_flight_in_both_directions_survive_closed_connections() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["q"], 50).await;
    let publishing = publish_numbers(&broker, "q", 2000);
    let closing = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (node, vhost) = (bench.node, bench.vhost.clone());
            blocking(move || node.close_connections(&vhost)).await;
        }
    };
    let (_, _, _) = tokio::join!(publishing, closing, take_all(&mut consumer, 2000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_channel_is_opened_again() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    publish_numbers(&broker, "q", 10).await;
    let mut consumer = consume(&broker, &["q"], 4).await;
    let held = next(&mut consumer).await;
    let node = bench.node;
    let vhost = bench.vhost.clone();
    // As the server's consumer timeout does: the channel goes, the connection stays.
    blocking(move || {
        node.evaluate(&format!(
            "[exit(Pid, kill) || [{{pid, Pid}}, {{vhost, <<\"{vhost}\">>}}] <- \
             rabbit_channel:info_all([pid, vhost])]."
        ))
    })
    .await;
    take_all(&mut consumer, 10).await;
    assert!(matches!(settle(held, Settlement::Ack).await, Err(BrokerError::Stale)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_durable_message() {
    let mut node = blocking(RabbitMq::start).await;
    let broker = connect(&node.url("/")).await;
    publish_numbers(&broker, "q", 2000).await;
    let mut consumer = consume(&broker, &["q"], 100).await;
    let mut seen = BTreeSet::new();
    for _ in 0..500 {
        let delivery = next(&mut consumer).await;
        seen.insert(body(&delivery));
        ack(delivery).await;
    }
    let held = next(&mut consumer).await;
    node = blocking(move || {
        node.kill();
        node
    })
    .await;
    // A publish that finds no server waits for one.
    let broker = Arc::new(broker);
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { publish(&broker, "q", "while it was away").await }
    });
    let _node = blocking(move || {
        node.restart();
        node
    })
    .await;
    while seen.len() < 2001 {
        let delivery = next(&mut consumer).await;
        seen.insert(body(&delivery));
        let _ = settle(delivery, Settlement::Ack).await;
    }
    waiting.await.unwrap();
    assert!(matches!(settle(held, Settlement::Ack).await, Err(BrokerError::Stale)));
    broker.close().await;
}

/// Passes bytes on, until it swallows them without a word.
struct Proxy {
    port: u16,
    swallow: Arc<AtomicBool>,
}

impl Proxy {
    async fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let swallow = Arc::new(AtomicBool::new(false));
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), swallow: swallow.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                // Only connections that were there when the line broke are dead.
                let dead = if swallow.load(Ordering::Relaxed) {
                    Arc::new(AtomicBool::new(false))
                } else {
                    swallow.clone()
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, dead.clone()));
                tokio::spawn(pass(from_server, to_client, dead));
            }
        });
        proxy
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    dead: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !dead.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_dead_without_a_word_is_noticed() {
    let bench = Bench::start().await;
    let proxy = Proxy::to(bench.node.port()).await;
    let url =
        bench.url().replace(&format!(":{}/", bench.node.port()), &format!(":{}/", proxy.port));
    let options = AmqpOptions { heartbeat: Duration::from_secs(1), ..AmqpOptions::default() };
    let broker = AmqpBroker::connect(Address::parse(&url).unwrap(), options).await.unwrap();
    let mut consumer = consume(&broker, &["q"], 2).await;
    publish(&broker, "q", "before").await;
    ack(next(&mut consumer).await).await;

    proxy.swallow.store(true, Ordering::Relaxed);
    publish(&broker, "q", "after").await;
    let mut delivery = next(&mut consumer).await;
    if body(&delivery) == "before" {
        // Its acknowledgement was on the line when that broke.
        ack(delivery).await;
        delivery = next(&mut consumer).await;
    }
    assert_eq!(body(&delivery), "after");
    ack(delivery).await;
}

/// Returns once every connection of the node's knows that nothing more is taken.
fn out_of_memory(node: &RabbitMq) {
    node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.0).");
    let known = "lists:all(fun(C) -> [{state, running}] =/= rabbit_reader:info(C, [state]) end, \
                 rabbit_networking:local_connections()).";
    eventually("the connections are blocked", PATIENCE, || match node.evaluate(known) {
        answer if answer == "true" => Ok(()),
        answer => Err(answer),
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_short_of_memory_delays_publishing_alone() {
    let node = blocking(RabbitMq::start).await;
    let broker = Arc::new(connect(&node.url("/")).await);
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish_numbers(&broker, "q", 3).await;
    let node = blocking(move || {
        out_of_memory(&node);
        node
    })
    .await;
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { publish(&broker, "q", "late").await }
    });
    take_all(&mut consumer, 3).await;
    nothing_comes(&mut consumer).await;
    assert!(!waiting.is_finished(), "a server without memory takes messages");

    let _node = blocking(move || {
        node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4).");
        node
    })
    .await;
    soon("the publish", waiting).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(body(&delivery), "late");
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_for_a_server_short_of_memory() {
    let node = blocking(RabbitMq::start).await;
    let options = AmqpOptions { connect_timeout: Duration::from_secs(1), ..AmqpOptions::default() };
    let address = Address::parse(&node.url("/")).unwrap();
    let broker = Arc::new(AmqpBroker::connect(address, options).await.unwrap());
    publish(&broker, "q", "x").await;
    let _node = blocking(move || {
        out_of_memory(&node);
        node
    })
    .await;
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish(&Route::queue("q"), &message("late")).await }
    });
    tokio::time::sleep(QUIET).await;
    let begin = std::time::Instant::now();
    soon("close", broker.close()).await;
    let refused = soon("the publish", waiting).await.unwrap();
    assert!(matches!(refused, Err(BrokerError::Closed)), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_was_held_too_long_for_the_server_comes_again() {
    let node = blocking(RabbitMq::start).await;
    // A channel looks at the time each tick.
    let node = blocking(move || {
        node.evaluate(
            "application:set_env(rabbit, consumer_timeout, 500), \
             application:set_env(rabbit, channel_tick_interval, 100).",
        );
        node
    })
    .await;
    let broker = connect(&node.url("/")).await;
    let mut consumer = consume(&broker, &["q"], 1).await;
    publish(&broker, "q", "x").await;
    let held = next(&mut consumer).await;
    let again = next(&mut consumer).await;
    assert!(again.redelivered);
    ack(again).await;
    assert!(matches!(settle(held, Settlement::Ack).await, Err(BrokerError::Stale)));
}
