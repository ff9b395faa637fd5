//! What Celery declares, recorded here, and what it sends, recorded in `tests/golden`.

use std::fs;
use std::path::PathBuf;

use lapin::ExchangeKind;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_transport::amqp::{AmqpOptions, ExchangeType, QueueOptions};
use umbel_transport::broker::Broker;
use umbel_value::{Map, Value};

use super::bench::*;

fn folder() -> PathBuf {
    umbel_harness::paths::tests().join("golden")
}

fn sample(name: &str) -> Value {
    let text = fs::read(folder().join(name)).unwrap();
    Value::from_json(&text).unwrap()
}

fn member<'a>(value: &'a Value, key: &str) -> &'a Value {
    let Value::Map(map) = value else { panic!("{value:?} has no {key}") };
    map.get(key).unwrap_or(&Value::Null)
}

fn list(value: &Value) -> &[Value] {
    let Value::List(list) = value else { panic!("{value:?} is no list") };
    list
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn small(value: &Value) -> Option<u8> {
    match value {
        Value::Int(number) => u8::try_from(*number).ok(),
        _ => None,
    }
}

/// The server closes the channel if what exists differs in anything from what is declared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_what_a_worker_of_celery_declares() {
    let topology = Value::from_json(include_bytes!("celery-topology.json")).unwrap();
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let _consumer = consume(&broker, &["celery"], 1).await;
    publish(&broker, "myq", "x").await;

    let (_connection, channel) = bench.plain().await;
    let ours =
        |value: &&Value| matches!(text(member(value, "name")).as_deref(), Some("celery" | "myq"));
    let is = |value: &Value, key: &str| *member(value, key) == Value::Bool(true);
    let none = FieldTable::default;
    let mut compared = 0;
    for exchange in list(member(&topology, "exchanges")).iter().filter(ours) {
        let options = ExchangeDeclareOptions {
            durable: is(exchange, "durable"),
            auto_delete: is(exchange, "auto_delete"),
            internal: is(exchange, "internal"),
            ..ExchangeDeclareOptions::default()
        };
        let kind = ExchangeKind::Custom(text(member(exchange, "type")).unwrap());
        let name = text(member(exchange, "name")).unwrap();
        channel.exchange_declare(name.into(), kind, options, none()).await.unwrap();
        compared += 1;
    }
    for queue in list(member(&topology, "queues")).iter().filter(ours) {
        assert_eq!(member(queue, "arguments"), &Value::Map(Map::new()));
        let options = QueueDeclareOptions {
            durable: is(queue, "durable"),
            auto_delete: is(queue, "auto_delete"),
            exclusive: is(queue, "exclusive"),
            ..QueueDeclareOptions::default()
        };
        let name = text(member(queue, "name")).unwrap();
        channel.queue_declare(name.into(), options, none()).await.unwrap();
        compared += 1;
    }
    assert_eq!(compared, 4);

    let expected: Vec<String> = list(member(&topology, "bindings"))
        .iter()
        .filter(|value| matches!(text(member(value, "source")).as_deref(), Some("celery" | "myq")))
        .map(|value| {
            ["source", "destination", "routing_key"]
                .map(|key| text(member(value, key)).unwrap())
                .join(" ")
        })
        .collect();
    for binding in expected {
        let [source, queue, key] = binding.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        // A message through the exchange arrives: the binding is there.
        let route = Route { exchange: source.into(), routing_key: key.into() };
        let before = bench.depth(queue).await;
        soon("publish", broker.publish(&route, &message("through"))).await.unwrap();
        let after = bench.depth(queue).await;
        assert_eq!(after.0 + after.1, before.0 + before.1 + 1, "{binding}");
    }
}

/// Queues that are not Celery's defaults.
fn options() -> AmqpOptions {
    let entry = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
    let quorum = QueueOptions {
        exchange: Some("qqx".into()),
        exchange_type: ExchangeType::Topic,
        arguments: entry("x-queue-type", Value::Text("quorum".into())),
        ..QueueOptions::default()
    };
    let highest = QueueOptions {
        arguments: entry("x-max-priority", Value::Int(10)),
        ..QueueOptions::default()
    };
    let broadcast = QueueOptions { broadcast: true, ..QueueOptions::default() };
    let queues = [("qq", quorum), ("prioq", highest), ("bcast_tasks", broadcast)];
    AmqpOptions {
        queues: queues.map(|(name, options)| (name.to_owned(), options)).into(),
        ..AmqpOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_with_options_and_the_levels_of_delay_are_declared_as_celery_does() {
    let topology = Value::from_json(include_bytes!("celery-queue-options.json")).unwrap();
    let bench = Bench::start().await;
    let broker = bench.broker_with(options()).await;
    let _consumer = consume(&broker, &["qq", "prioq", "bcast_tasks"], 3).await;
    let ours = bench.queues().await;
    let [private] = &ours.iter().filter(|name| name.starts_with("bcast.")).collect::<Vec<_>>()[..]
    else {
        panic!("a broadcast has one queue for each consumer: {ours:?}");
    };
    let named = |value: &Value, key: &str| match text(member(value, key)).unwrap() {
        name if name.starts_with("bcast.") => ShortString::from(private.as_str()),
        name => ShortString::from(name),
    };

    // The server refuses what differs from what is there.
    let (_connection, channel) = bench.plain().await;
    let is = |value: &Value, key: &str| *member(value, key) == Value::Bool(true);
    for exchange in list(member(&topology, "exchanges")) {
        let options = ExchangeDeclareOptions {
            durable: is(exchange, "durable"),
            ..ExchangeDeclareOptions::default()
        };
        let kind = ExchangeKind::Custom(text(member(exchange, "type")).unwrap());
        let name = named(exchange, "name");
        channel.exchange_declare(name, kind, options, FieldTable::default()).await.unwrap();
    }
    for queue in list(member(&topology, "queues")) {
        let options = QueueDeclareOptions {
            durable: is(queue, "durable"),
            auto_delete: is(queue, "auto_delete"),
            exclusive: is(queue, "exclusive"),
            ..QueueDeclareOptions::default()
        };
        let arguments = table(member(queue, "arguments"));
        channel.queue_declare(named(queue, "name"), options, arguments).await.unwrap();
    }
    // Nothing is there that Celery does not declare, and nothing is missing.
    let count = list(member(&topology, "queues")).len();
    assert_eq!(bench.queues().await.len(), count, "{ours:?}");
    let before = bench.count_bindings().await;
    let none = FieldTable::default;
    for binding in list(member(&topology, "bindings")) {
        let (from, to) = (named(binding, "source"), named(binding, "destination"));
        let key = named(binding, "routing_key");
        let done = match text(member(binding, "destination_type")).as_deref() {
            Some("queue") => {
                channel.queue_bind(to, from, key, QueueBindOptions::default(), none()).await
            }
            _ => channel.exchange_bind(to, from, key, ExchangeBindOptions::default(), none()).await,
        };
        done.unwrap();
    }
    assert_eq!(bench.count_bindings().await, before);
    // Each queue is bound to the default exchange as well.
    assert_eq!(before, list(member(&topology, "bindings")).len() + count);
}

fn table(arguments: &Value) -> FieldTable {
    let Value::Map(arguments) = arguments else { panic!("{arguments:?} is no table") };
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        let value = match value {
            Value::Int(number) => {
                i32::try_from(*number).map_or(AMQPValue::LongLongInt(*number), AMQPValue::LongInt)
            }
            other => AMQPValue::LongString(text(other).unwrap().into()),
        };
        table.insert(key.as_str().into(), value);
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_message_of_celery_arrives_as_it_was_sent() {
    let bench = Bench::start().await;
    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["golden"], 1).await;
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("amqp-task-"))
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        for message in list(member(&sample(&name), "messages")) {
            let sent = raw(message);
            soon("publish", broker.publish(&Route::queue("golden"), &sent)).await.unwrap();
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.message, sent, "{name}");
            ack(delivery).await;
        }
    }
}

fn raw(message: &Value) -> RawMessage {
    let of = member(message, "properties");
    let Value::Map(headers) = member(message, "headers") else { panic!("headers are a table") };
    RawMessage {
        properties: Properties {
            content_type: text(member(of, "content_type")),
            content_encoding: text(member(of, "content_encoding")),
            correlation_id: text(member(of, "correlation_id")),
            reply_to: text(member(of, "reply_to")),
            delivery_mode: small(member(of, "delivery_mode")),
            priority: small(member(of, "priority")),
            // Recorded expirations are of long ago; the server counts from now.
            expiration: text(member(of, "expiration")),
            ..Properties::default()
        },
        headers: headers.clone(),
        body: text(member(member(message, "body"), "b64")).unwrap().into_bytes().into(),
    }
}
