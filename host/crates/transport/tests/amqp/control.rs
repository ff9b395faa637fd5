//! Remote control: the mailbox of a node, and replies.

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use umbel_protocol::message::Route;
use umbel_protocol::names;
use umbel_transport::broker::{Broker, Listener};

use super::bench::*;

async fn hear(listener: &mut Box<dyn Listener>) -> String {
    let heard = soon("a request", listener.next()).await.unwrap().expect("the broker is open");
    String::from_utf8(heard.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_name_is_taken_once() {
    let bench = Bench::start().await;
    let (broker, other) = (bench.broker().await, bench.broker().await);
    let listener = soon("listen", broker.listen("w1@lab")).await.unwrap();
    let refused = match soon("listen", other.listen("w1@lab")).await {
        Err(refused) => refused,
        Ok(_) => panic!("two nodes have the same name"),
    };
    assert!(told(&refused).starts_with("a node named `w1@lab` is already on"), "{refused}");
    soon("listen", other.listen("w2@lab")).await.unwrap();

    // Whoever stops listening gives the name back.
    drop(listener);
    soon("the name", async {
        while other.listen("w1@lab").await.is_err() {
            tokio::time::sleep(QUIET / 10).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mailbox_is_as_celery_declares_it() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let _listener = soon("listen", broker.listen("w1@lab")).await.unwrap();
    let (node, vhost) = (bench.node, bench.vhost.clone());
    let answer = blocking(move || {
        node.evaluate(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>, queue, \
             <<\"w1@lab.celery.pidbox\">>)), {{rabbit_amqqueue:info(Q, [durable, auto_delete, \
             exclusive]), [{{binary_to_list(Key), Value}} || {{Key, _, Value}} <- \
             amqqueue:get_arguments(Q)]}}."
        ))
    })
    .await;
    let told: String = answer.split_whitespace().collect();
    assert_eq!(
        told,
        "{[{durable,false},{auto_delete,true},{exclusive,true}],\
         [{\"x-expires\",10000},{\"x-message-ttl\",300000}]"
    );
    // As Celery's clients do: refused if it differed.
    let (_connection, channel) = bench.plain().await;
    let (exchange, fanout) = (names::control_exchange(names::CONTROL), lapin::ExchangeKind::Fanout);
    let fleeting = ExchangeDeclareOptions::default();
    channel
        .exchange_declare(exchange.into(), fanout, fleeting, FieldTable::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_hears_again_after_its_connection_was_closed() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut listener = soon("listen", broker.listen("w1@lab")).await.unwrap();
    soon("say", broker.broadcast(&message("before"))).await.unwrap();
    assert_eq!(hear(&mut listener).await, "before");
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.close_connections(&vhost)).await;
    // What is said until it is back is not heard.
    let say = async {
        loop {
            let _ = broker.broadcast(&message("after")).await;
            tokio::time::sleep(QUIET / 10).await;
        }
    };
    tokio::select! {
        heard = hear(&mut listener) => assert_eq!(heard, "after"),
        () = say => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_reaches_the_client_that_waits() {
    let bench = Bench::start().await;
    let (_connection, channel) = bench.plain().await;
    let exchange = names::reply_exchange(names::CONTROL);
    let queue = ShortString::from(names::reply_queue("oid", names::CONTROL));
    let none = FieldTable::default;
    let fleeting = ExchangeDeclareOptions::default();
    let name = ShortString::from(exchange.as_str());
    channel
        .exchange_declare(name.clone(), lapin::ExchangeKind::Direct, fleeting, none())
        .await
        .unwrap();
    let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.clone(), own, none()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind(queue.clone(), name, "oid".into(), bind, none()).await.unwrap();
    let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut replies = channel.basic_consume(queue, "".into(), consume, none()).await.unwrap();

    let broker = bench.broker().await;
    let route = Route { exchange, routing_key: "oid".into() };
    soon("reply", broker.publish(&route, &message("pong"))).await.unwrap();
    let reply = soon("the reply", replies.next()).await.unwrap().unwrap();
    assert_eq!(reply.data, b"pong");
    // Who waits no longer is no reason to fail.
    let gone = Route { routing_key: "gone".into(), ..route };
    soon("reply", broker.publish(&gone, &message("pong"))).await.unwrap();
}
