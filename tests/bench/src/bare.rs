//! The loop that Umbel is compared with: the same broker work for each message, and nothing run.
//! Takes one message after the other within a window, decodes it, adds, stores the result, acks.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use tokio::task::JoinSet;
use umbel_protocol::names::{DEFAULT_QUEUE, UNACKED, UNACKED_INDEX, result_key};

/// As many messages as `umbel worker` holds by default.
const WINDOW: usize = 64;

/// Between looks into an empty list.
const IDLE: Duration = Duration::from_millis(5);

/// Celery's `result_expires`.
const EXPIRES: u64 = 86_400;

// Into kombu's `unacked`, as every worker must that is to lose nothing.
const TAKE: &str = r#"
local taken = redis.call('RPOP', KEYS[1], ARGV[1]) or {}
for _, envelope in ipairs(taken) do
    local tag = string.match(envelope, '"delivery_tag": ?"([^"]+)"')
    redis.call('ZADD', KEYS[3], ARGV[2], tag)
    redis.call('HSET', KEYS[2], tag, '[' .. envelope .. ', "", "' .. KEYS[1] .. '"]')
end
return taken"#;

#[derive(Deserialize)]
struct Envelope<'a> {
    body: &'a str,
    #[serde(borrow)]
    headers: Headers<'a>,
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Headers<'a> {
    task: &'a str,
    id: &'a str,
}

#[derive(Deserialize)]
struct Properties<'a> {
    delivery_tag: &'a str,
}

/// Drains the queue until it is killed.
pub(crate) fn run(broker: &str, results: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let client = redis::Client::open(results).expect("a Redis address");
        let store = client.get_multiplexed_async_connection().await.expect("Redis is there");
        if broker.starts_with("redis") {
            from_redis(broker, store).await;
        } else {
            from_rabbitmq(broker, store).await;
        }
    });
}

async fn from_redis(broker: &str, store: MultiplexedConnection) {
    let client = redis::Client::open(broker).expect("a Redis address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let take = redis::Script::new(TAKE);
    let mut working = JoinSet::new();
    loop {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64());
        let taken: Vec<Vec<u8>> = take
            .key(DEFAULT_QUEUE)
            .key(UNACKED)
            .key(UNACKED_INDEX)
            .arg(WINDOW - working.len())
            .arg(now)
            .invoke_async(&mut connection)
            .await
            .expect("Redis takes the script");
        for envelope in taken {
            working.spawn(one_of_redis(envelope, store.clone(), connection.clone()));
        }
        if working.is_empty() {
            tokio::time::sleep(IDLE).await;
        }
        // Half a window at a time, so that nobody goes to the server for a single message.
        while working.len() > WINDOW / 2 {
            working.join_next().await;
        }
    }
}

async fn one_of_redis(
    envelope: Vec<u8>,
    store: MultiplexedConnection,
    connection: MultiplexedConnection,
) {
    let envelope: Envelope = serde_json::from_slice(&envelope).expect("an envelope");
    let body = BASE64_STANDARD.decode(envelope.body).expect("base64");
    let Headers { task, id } = envelope.headers;
    store_sum(store, task, id, &body).await;
    ack_on_redis(connection, envelope.properties.delivery_tag).await;
}

async fn ack_on_redis(mut connection: MultiplexedConnection, tag: &str) {
    let mut pipe = redis::pipe();
    pipe.atomic().zrem(UNACKED_INDEX, tag).ignore().hdel(UNACKED, tag).ignore();
    pipe.query_async::<()>(&mut connection).await.expect("Redis takes the ack");
}

async fn from_rabbitmq(broker: &str, store: MultiplexedConnection) {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await;
    let channel = connection.expect("RabbitMQ is there").create_channel().await.expect("a channel");
    let window = u16::try_from(WINDOW).expect("small");
    channel.basic_qos(window, BasicQosOptions::default()).await.expect("a window");
    let queue = channel.queue_declare(
        DEFAULT_QUEUE.into(),
        QueueDeclareOptions { durable: true, ..Default::default() },
        FieldTable::default(),
    );
    queue.await.expect("the queue is as Celery declares it");
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(DEFAULT_QUEUE.into(), "bare".into(), options, FieldTable::default());
    consumer
        .await
        .expect("a consumer")
        .for_each_concurrent(WINDOW, |delivery| {
            let store = store.clone();
            async move {
                let delivery = delivery.expect("a delivery");
                let headers = delivery.properties.headers().as_ref().expect("Celery's headers");
                let text = |name: &str| match headers.inner().get(name) {
                    Some(AMQPValue::LongString(text)) => text.to_string(),
                    other => panic!("header {name} is {other:?}"),
                };
                store_sum(store, &text("task"), &text("id"), &delivery.data).await;
                delivery.ack(BasicAckOptions::default()).await.expect("an ack");
            }
        })
        .await;
}

async fn store_sum(mut store: MultiplexedConnection, task: &str, id: &str, body: &[u8]) {
    assert_eq!(task, "tasks.add");
    let ((x, y), _kwargs, _embed): ((i64, i64), serde_json::Value, serde_json::Value) =
        serde_json::from_slice(body).expect("a body");
    let record = format!(
        "{{\"status\": \"SUCCESS\", \"result\": {}, \"traceback\": null, \"children\": [], \
         \"date_done\": \"2030-01-02T03:04:05.678901+00:00\", \"task_id\": \"{id}\"}}",
        x + y,
    );
    let key = result_key(id);
    let mut pipe = redis::pipe();
    pipe.atomic().set_ex(&key, &record, EXPIRES).ignore().publish(&key, &record).ignore();
    pipe.query_async::<()>(&mut store).await.expect("Redis takes the result");
}
