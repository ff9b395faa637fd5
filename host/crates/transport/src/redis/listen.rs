//! What is said to every worker, and what workers tell of themselves, over PUB/SUB. Nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::names;
use uuid::Uuid;

use super::Shared;
use super::connection::{Fault, fault, new_batch, spread};
use super::publish::{commanded, patiently};
use crate::broker::{BrokerError, Listener};
use crate::reconnect::Backoff;

/// Requests that were heard and not asked for yet; more wait on the server.
const AHEAD: usize = 256;

/// How often a silent connection is asked whether it still lives, and how long it may take to say.
const PING: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(5);

/// How long taking back the binding may take once nobody listens any more.
const LEAVING: Duration = Duration::from_secs(2);

struct RedisListener {
    heard: mpsc::Receiver<RawMessage>,
}

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> Result<Option<RawMessage>, BrokerError> {
        Ok(self.heard.recv().await)
    }
}

/// A channel to listen to.
struct Topic {
    channel: String,
    /// A table of bindings and our member of it, as kombu keeps it, though nobody looks there to
    /// deliver.
    binding: Option<(String, String)>,
}

/// Hears what is said to every worker from when this returns.
pub(super) async fn start(
    shared: &Arc<Shared>,
    node: &str,
) -> Result<impl Listener + use<>, Fault> {
    let exchange = names::control_exchange(names::CONTROL);
    let member = names::binding("", "", &names::control_queue(node, names::CONTROL));
    let table = shared.keys.binding(&exchange);
    let channel = channel(shared, &exchange, "");
    hear(shared, Topic { channel, binding: Some((table, member)) }).await
}

/// Hears the events whose routing keys fit the pattern, from when this returns.
pub(super) async fn overhear(
    shared: &Arc<Shared>,
    pattern: &str,
) -> Result<impl Listener + use<>, Fault> {
    let pattern = pattern.replace('#', "*");
    let channel = channel(shared, names::EVENT_EXCHANGE, &pattern);
    hear(shared, Topic { channel, binding: None }).await
}

async fn hear(shared: &Arc<Shared>, topic: Topic) -> Result<RedisListener, Fault> {
    if shared.closing.is_cancelled() {
        return Err(Fault::Closed);
    }
    let subscription = subscribe(shared, &topic).await?;
    let (tell, heard) = mpsc::channel(AHEAD);
    shared.tasks.spawn(listen_for_ever(shared.clone(), subscription, topic, tell));
    Ok(RedisListener { heard })
}

/// Returns once the server has told whoever listens to remote control.
pub(super) async fn broadcast(shared: &Shared, message: &RawMessage) -> Result<(), Fault> {
    let exchange = names::control_exchange(names::CONTROL);
    say(shared, &Route { exchange, routing_key: String::new() }, message).await
}

/// Returns once the server has told whoever listens to the route's exchange.
pub(super) async fn say(shared: &Shared, route: &Route, message: &RawMessage) -> Result<(), Fault> {
    let channel = channel(shared, &route.exchange, &route.routing_key);
    let mut message = message.clone();
    message.properties.priority.get_or_insert(0);
    let envelope = Envelope {
        message,
        route: route.clone(),
        tag: Uuid::new_v4().to_string(),
        redelivered: false,
    };
    let mut pipeline = new_batch();
    pipeline.cmd("PUBLISH").arg(channel).arg(envelope.to_json());
    patiently(shared, commanded(&shared.link, &pipeline)).await.map(drop)
}

async fn listen_for_ever(
    shared: Arc<Shared>,
    mut subscription: PubSub,
    topic: Topic,
    tell: mpsc::Sender<RawMessage>,
) {
    let closing = shared.closing.clone();
    let listening = async {
        loop {
            let why = pass_on(&mut subscription, &tell).await;
            warn!(address = %shared.link.address(), channel = topic.channel, why, "subscription lost; reconnecting");
            subscription = again(&shared, &topic).await;
            info!(address = %shared.link.address(), channel = topic.channel, "subscribed again");
        }
    };
    tokio::select! {
        biased;
        () = closing.cancelled() => {}
        () = tell.closed() => {}
        () = listening => {}
    }
    let Some((table, member)) = &topic.binding else { return };
    let mut pipeline = new_batch();
    pipeline.cmd("SREM").arg(table).arg(member);
    // Nobody reads what is left behind.
    let _ = timeout(LEAVING, commanded(&shared.link, &pipeline)).await;
}

/// Passes requests on until the connection ends; says why it did.
async fn pass_on(subscription: &mut PubSub, tell: &mpsc::Sender<RawMessage>) -> &'static str {
    loop {
        let heard = timeout(PING, subscription.on_message().next()).await;
        let payload = match heard {
            Ok(Some(message)) => message.get_payload_bytes().to_vec(),
            Ok(None) => return "the connection was closed",
            Err(_) => match timeout(ANSWER, subscription.ping::<redis::Value>()).await {
                Ok(Ok(_)) => continue,
                _ => return "the server does not answer",
            },
        };
        match Envelope::from_json(&payload) {
            // Whoever listened is gone: the caller sees it.
            Ok(envelope) => drop(tell.send(envelope.message).await),
            Err(why) => warn!(error = %why, "something was said that is no envelope"),
        }
    }
}

/// A new subscription, however long that takes.
async fn again(shared: &Shared, topic: &Topic) -> PubSub {
    let mut backoff = Backoff::default();
    loop {
        tokio::time::sleep(backoff.next(spread())).await;
        match subscribe(shared, topic).await {
            Ok(subscription) => return subscription,
            Err(why) => warn!(error = ?why, "cannot listen yet"),
        }
    }
}

async fn subscribe(shared: &Shared, topic: &Topic) -> Result<PubSub, Fault> {
    let mut subscription = shared.link.subscription().await?;
    subscription.psubscribe(&topic.channel).await.map_err(fault)?;
    if let Some((table, member)) = &topic.binding {
        let mut pipeline = new_batch();
        pipeline.cmd("SADD").arg(table).arg(member);
        patiently(shared, commanded(&shared.link, &pipeline)).await?;
    }
    Ok(subscription)
}

fn channel(shared: &Shared, exchange: &str, key: &str) -> String {
    let database = shared.link.address().path.parse().unwrap_or(0);
    shared.keys.channel(database, exchange, key)
}
