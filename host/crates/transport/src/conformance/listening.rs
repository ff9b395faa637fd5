//! What is said to every worker is heard by whoever listens at that moment.

use std::time::Duration;

use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::{event, names};

use super::bench::{message, sorted, text};
use super::{BrokerFixture, fresh, soon};
use crate::broker::{Broker, BrokerError, Listener};

pub async fn a_listener_hears_what_is_said_after_it_began(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    let (worker, client) = (fixture.broker().await, fixture.broker().await);
    let before = request();
    say(&*client, &before).await;
    let mut listener = listen(&*worker).await;
    let after = request();
    say(&*client, &after).await;
    let heard = hear(&mut listener, &after, |other| assert_ne!(other.body, before.body)).await;
    assert_eq!(sorted(&heard.headers), sorted(&after.headers));
    assert_eq!(heard.properties.content_type, after.properties.content_type);
    assert_eq!(heard.properties.reply_to, after.properties.reply_to);
}

pub async fn all_that_is_said_is_heard_in_order_by_every_listener(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    let (first, second) = (fixture.broker().await, fixture.broker().await);
    let mut listeners = [listen(&*first).await, listen(&*second).await];
    let said: Vec<_> = (0..20).map(|_| request()).collect();
    for one in &said {
        // Whoever speaks hears it as well.
        say(&*first, one).await;
    }
    for listener in &mut listeners {
        for one in &said {
            hear(listener, one, |other| {
                assert!(!said.iter().any(|one| one.body == other.body), "out of order");
            })
            .await;
        }
    }
}

pub async fn nobody_listening_is_no_error(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    say(&*fixture.broker().await, &request()).await;
}

pub async fn a_reply_that_nobody_waits_for_is_no_error(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    let broker = fixture.broker().await;
    let route =
        Route { exchange: names::reply_exchange(names::CONTROL), routing_key: fresh("nobody") };
    for _ in 0..3 {
        soon("reply", broker.publish(&route, &request())).await.expect("publishes");
    }
}

pub async fn waiting_for_a_request_may_be_cut_short(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    let (worker, client) = (fixture.broker().await, fixture.broker().await);
    let mut listener = listen(&*worker).await;
    for _ in 0..20 {
        let said = request();
        say(&*client, &said).await;
        for cut in 0..20 {
            let patience = Duration::from_micros(cut * 50);
            if let Ok(heard) = tokio::time::timeout(patience, listener.next()).await {
                let heard = heard.expect("the listener works").expect("the broker is open");
                if heard.body == said.body {
                    return;
                }
            }
        }
        hear(&mut listener, &said, |_| {}).await;
    }
}

pub async fn a_listener_ends_with_its_broker(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().listens {
        return;
    }
    let broker = fixture.broker().await;
    let mut listener = listen(&*broker).await;
    soon("close", broker.close()).await;
    let end = async { while let Ok(Some(_)) = listener.next().await {} };
    soon("the end", end).await;
}

pub async fn what_is_emitted_is_overheard_by_those_who_want_it(fixture: &dyn BrokerFixture) {
    let (worker, monitor) = (fixture.broker().await, fixture.broker().await);
    let opened = soon("overhear", monitor.overhear(event::OF_WORKERS)).await;
    if matches!(opened, Err(BrokerError::Unsupported(_))) {
        return;
    }
    let mut of_workers = opened.expect("the broker lets us overhear");
    let all = soon("overhear", monitor.overhear(event::ALL)).await;
    let mut all = all.expect("the broker lets us overhear");
    let key = |key: &str| Route { exchange: names::EVENT_EXCHANGE.into(), routing_key: key.into() };
    let (of_task, of_worker) = (request(), request());
    soon("emit", worker.emit(&key("task.multi"), &of_task)).await.expect("emits");
    soon("emit", worker.emit(&key("worker.heartbeat"), &of_worker)).await.expect("emits");
    hear(&mut of_workers, &of_worker, |other| assert_ne!(other.body, of_task.body)).await;
    hear(&mut all, &of_task, |_| {}).await;
    hear(&mut all, &of_worker, |_| {}).await;
}

pub async fn a_reply_is_heard_by_whoever_asked_and_by_nobody_else(fixture: &dyn BrokerFixture) {
    let (worker, client) = (fixture.broker().await, fixture.broker().await);
    let (oid, other) = (fresh("oid"), fresh("oid"));
    let opened = soon("replies", client.replies(&oid)).await;
    if matches!(opened, Err(BrokerError::Unsupported(_))) {
        return;
    }
    let mut replies = opened.expect("the broker lets us hear replies");
    let exchange = names::reply_exchange(names::CONTROL);
    let route = |oid: &str| Route { exchange: exchange.clone(), routing_key: oid.to_owned() };
    let said: Vec<_> = (0..3).map(|_| request()).collect();
    soon("reply", worker.publish(&route(&other), &request())).await.expect("publishes");
    for one in &said {
        soon("reply", worker.publish(&route(&oid), one)).await.expect("publishes");
    }
    for one in &said {
        hear(&mut replies, one, |other| panic!("{other:?} is not for us")).await;
    }
}

/// Unlike any other.
fn request() -> RawMessage {
    let mut request = message(&fresh("request"));
    request.headers.insert("clock".into(), text("7"));
    request
}

async fn listen(broker: &dyn Broker) -> Box<dyn Listener> {
    let node = format!("{}@conformance", fresh("node"));
    soon("listen", broker.listen(&node)).await.expect("the broker lets us listen")
}

async fn say(broker: &dyn Broker, request: &RawMessage) {
    soon("broadcast", broker.broadcast(request)).await.expect("broadcasts");
}

/// Listens until that was heard; others may be talking as well.
async fn hear(
    listener: &mut Box<dyn Listener>,
    wanted: &RawMessage,
    mut other: impl FnMut(&RawMessage),
) -> RawMessage {
    loop {
        let heard = soon("a request", listener.next()).await;
        let heard = heard.expect("the listener works").expect("the broker is open");
        if heard.body == wanted.body {
            return heard;
        }
        other(&heard);
    }
}
