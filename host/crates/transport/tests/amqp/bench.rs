//! A virtual host of its own for each test, and shorthands.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, QueueType, RpcStore};
use umbel_transport::broker::{Broker, BrokerError, Consumer};
use umbel_transport::conformance::{Abilities, BrokerFixture, Priorities, StoreFixture};
use umbel_transport::delivery::{Delivery, Settlement};
use umbel_transport::results::ResultStore;

/// Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How long nothing must happen before a test believes that it will not.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// What the suite runs against.
pub(crate) struct Conformance {
    node: &'static RabbitMq,
    queues: QueueType,
}

impl Conformance {
    pub(crate) async fn of(queues: QueueType) -> Conformance {
        Conformance { node: shared().await, queues }
    }
}

#[async_trait]
impl BrokerFixture for Conformance {
    async fn broker(&self) -> Arc<dyn Broker> {
        let address = Address::parse(&self.node.url("/")).unwrap();
        let options = AmqpOptions { queue_type: self.queues, ..AmqpOptions::default() };
        Arc::new(AmqpBroker::connect(address, options).await.unwrap())
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            // Classic queues do not count; quorum queues count what was given back as well.
            counts_deliveries: false,
            priorities: Priorities::Ignored,
            any_header: false,
            other_properties: false,
            returns_within: Duration::ZERO,
            delays_within: Some(Duration::from_secs(1)),
            delays_early: Duration::from_secs(1),
            dead_letters: true,
            listens: true,
        }
    }
}

#[async_trait]
impl StoreFixture for Conformance {
    async fn store(&self) -> Arc<dyn ResultStore> {
        let address = Address::parse(&self.node.url("/")).unwrap();
        Arc::new(RpcStore::connect(address, AmqpOptions::default()).await.unwrap())
    }

    fn keeps(&self) -> bool {
        false
    }
}

/// A virtual host.
pub(crate) struct Bench {
    pub(crate) node: &'static RabbitMq,
    pub(crate) vhost: String,
}

impl Bench {
    pub(crate) async fn start() -> Bench {
        let node = shared().await;
        let vhost = blocking(move || node.fresh_vhost()).await;
        Bench { node, vhost }
    }

    pub(crate) fn url(&self) -> String {
        self.node.url(&self.vhost)
    }

    pub(crate) async fn broker(&self) -> AmqpBroker {
        connect(&self.url()).await
    }

    pub(crate) async fn broker_with(&self, options: AmqpOptions) -> AmqpBroker {
        AmqpBroker::connect(Address::parse(&self.url()).unwrap(), options).await.unwrap()
    }

    /// The plain client library, to do what others do.
    pub(crate) async fn plain(&self) -> (lapin::Connection, lapin::Channel) {
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&self.url(), properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    /// The names of all queues.
    pub(crate) async fn queues(&self) -> Vec<String> {
        let (node, vhost) = (self.node, self.vhost.clone());
        let answer = blocking(move || {
            node.evaluate(&format!(
                "[binary_to_list(Name) || Q <- rabbit_amqqueue:list(<<\"{vhost}\">>), \
                 {{resource, _, _, Name}} <- [amqqueue:get_name(Q)]]."
            ))
        })
        .await;
        answer.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// How many bindings there are, those to the default exchange among them.
    pub(crate) async fn count_bindings(&self) -> usize {
        let (node, vhost) = (self.node, self.vhost.clone());
        let count = format!("length(rabbit_binding:list(<<\"{vhost}\">>)).");
        blocking(move || node.evaluate(&count)).await.trim().parse().unwrap()
    }

    /// Ready and unsettled messages of a queue.
    pub(crate) async fn depth(&self, queue: &str) -> (u32, u32) {
        let (node, vhost, queue) = (self.node, self.vhost.clone(), queue.to_owned());
        blocking(move || node.depth(&vhost, &queue)).await
    }
}

pub(crate) async fn shared() -> &'static RabbitMq {
    blocking(RabbitMq::shared).await
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub(crate) async fn connect(url: &str) -> AmqpBroker {
    AmqpBroker::connect(Address::parse(url).unwrap(), AmqpOptions::default()).await.unwrap()
}

pub(crate) async fn soon<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wanted).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

pub(crate) async fn consume(
    broker: &AmqpBroker,
    queues: &[&str],
    window: u16,
) -> Box<dyn Consumer> {
    let queues: Vec<String> = queues.iter().map(|queue| (*queue).to_owned()).collect();
    soon("consume", broker.consume(&queues, window)).await.unwrap()
}

pub(crate) async fn publish(broker: &AmqpBroker, queue: &str, body: &str) {
    soon("publish", broker.publish(&Route::queue(queue), &message(body))).await.unwrap();
}

pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    soon("the next delivery", consumer.next()).await.unwrap().expect("it was not stopped")
}

pub(crate) async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(taken) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!("nothing should come, but there is {taken:?}");
    }
}

pub(crate) async fn settle(delivery: Delivery, how: Settlement) -> Result<(), BrokerError> {
    soon("settle", delivery.receipt.settle(how)).await
}

pub(crate) async fn ack(delivery: Delivery) {
    settle(delivery, Settlement::Ack).await.unwrap();
}

pub(crate) fn message(body: &str) -> RawMessage {
    RawMessage {
        properties: Properties { delivery_mode: Some(2), ..Properties::default() },
        body: body.as_bytes().to_vec().into(),
        ..RawMessage::default()
    }
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.to_vec()).unwrap()
}

/// An error with its causes, as an operator sees it.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}
