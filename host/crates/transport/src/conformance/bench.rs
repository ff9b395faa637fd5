//! What the sentences about brokers are said with: a broker, a queue, and numbered messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_value::{Map, Value};

use super::{BrokerFixture, QUIET, fresh, soon};
use crate::broker::{Broker, Consumer};
use crate::delivery::{Delivery, Settlement};

/// A broker and a queue of its own.
pub(super) struct Bench {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) queue: String,
}

impl Bench {
    pub(super) async fn new(fixture: &dyn BrokerFixture) -> Bench {
        Bench { broker: fixture.broker().await, queue: fresh("conformance") }
    }

    /// Another handle on the same queue.
    pub(super) async fn another(&self, fixture: &dyn BrokerFixture) -> Bench {
        Bench { broker: fixture.broker().await, queue: self.queue.clone() }
    }

    pub(super) fn route(&self) -> Route {
        Route::queue(&self.queue)
    }

    pub(super) async fn publish(&self, message: &RawMessage) {
        soon("publish", self.broker.publish(&self.route(), message)).await.expect("publishes");
    }

    pub(super) async fn publish_numbers(&self, numbers: std::ops::Range<u32>) {
        let route = self.route();
        for number in numbers {
            publish_number(&*self.broker, &route, number).await;
        }
    }

    pub(super) async fn consume(&self, window: u16) -> Box<dyn Consumer> {
        soon("consume", self.broker.consume(std::slice::from_ref(&self.queue), window))
            .await
            .expect("the broker lets us consume")
    }

    pub(super) async fn take_and_ack(
        &self,
        consumer: &mut Box<dyn Consumer>,
        count: u32,
    ) -> Vec<u32> {
        let mut seen = Vec::new();
        for _ in 0..count {
            let delivery = next(consumer).await;
            seen.push(number(&delivery));
            ack(delivery).await;
        }
        seen
    }

    /// A newcomer finds nothing.
    pub(super) async fn is_empty(&self, fixture: &dyn BrokerFixture) {
        let other = self.another(fixture).await;
        let mut consumer = other.consume(10).await;
        nothing_comes(&mut consumer).await;
    }
}

pub(super) async fn publish_number(broker: &dyn Broker, route: &Route, number: u32) {
    soon("publish", broker.publish(route, &message(&number.to_string()))).await.expect("publishes");
}

pub(super) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    soon("the next delivery", consumer.next())
        .await
        .expect("the consumer works")
        .expect("it was not stopped")
}

pub(super) async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        taken.push(next(consumer).await);
    }
    taken
}

pub(super) async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(taken) = tokio::time::timeout(QUIET, consumer.next()).await {
        let delivery = taken.expect("the consumer works").expect("it was not stopped");
        panic!("nothing should come, but there is {:?}", delivery.message.body);
    }
}

pub(super) async fn settle(delivery: Delivery, how: Settlement) {
    soon("settle", delivery.receipt.settle(how)).await.expect("settles");
}

pub(super) async fn ack(delivery: Delivery) {
    settle(delivery, Settlement::Ack).await;
}

pub(super) async fn settle_all(deliveries: Vec<Delivery>, how: Settlement) {
    join_all(deliveries.into_iter().map(|delivery| settle(delivery, how))).await;
}

pub(super) fn message(body: &str) -> RawMessage {
    RawMessage {
        properties: Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            correlation_id: Some("5c7a1cf5-7d0d-4d53-9d5d-1e5bd2c8d1b4".into()),
            reply_to: Some("0f2b4d9e-8f7c-3a55-b1cd-1a2b3c4d5e6f".into()),
            delivery_mode: Some(2),
            priority: Some(0),
            ..Properties::default()
        },
        headers: map([("task", text("tasks.add"))]),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

pub(super) fn number(delivery: &Delivery) -> u32 {
    std::str::from_utf8(&delivery.message.body)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("the suite numbers its messages")
}

pub(super) fn numbers(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(super) fn map<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Brokers may carry headers in any order.
pub(super) fn sorted(headers: &Map) -> BTreeMap<String, String> {
    headers.iter().map(|(key, value)| (key.clone(), format!("{value:?}"))).collect()
}
