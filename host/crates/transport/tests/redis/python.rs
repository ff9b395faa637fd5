//! Beside real Celery: remote control, sweeps and chords that both sides share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use redis::AsyncCommands;
use umbel_harness::python::Peer;
use umbel_protocol::chord::ChordPart;
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::record::State;
use umbel_transport::broker::{Broker, Held};
use umbel_transport::redis::{RedisOptions, RedisStore, StoreOptions};
use umbel_transport::results::{Joined, ResultStore};
use umbel_value::Value;

use super::formats::{at, text};
use super::{Database, PATIENCE, ack, address, message, next, nothing_comes};

/// A Python client; what it says takes time, and must not stop the rest.
#[derive(Clone)]
struct Python(Arc<Mutex<Peer>>);

impl Python {
    async fn connect(url: &str) -> Python {
        let url = url.to_owned();
        let peer = tokio::task::spawn_blocking(move || Peer::connect(&url, &url)).await;
        Python(Arc::new(Mutex::new(peer.expect("runs"))))
    }

    async fn exec(&self, statements: &str) {
        let (peer, statements) = (self.0.clone(), statements.to_owned());
        let running = tokio::task::spawn_blocking(move || {
            peer.lock().expect("not poisoned").exec(&statements)
        });
        running.await.expect("runs");
    }

    /// The value of an expression, as its JSON text.
    async fn eval(&self, expression: &str) -> String {
        let (peer, expression) = (self.0.clone(), expression.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            peer.lock().expect("not poisoned").eval(&expression).to_string()
        });
        asking.await.expect("runs")
    }
}

/// What a worker answers to a `ping`.
fn pong(request: &RawMessage) -> (Route, RawMessage) {
    let body = Value::from_json(&request.body).expect("JSON");
    assert_eq!(text(at(&body, "method")), "ping");
    let to = at(&body, "reply_to");
    let route = Route {
        exchange: text(at(to, "exchange")).to_owned(),
        routing_key: text(at(to, "routing_key")).to_owned(),
    };
    let mut reply = message(r#"{"w@here": {"ok": "pong"}}"#);
    let ticket = body.get("ticket").cloned().unwrap_or_default();
    reply.headers = [("ticket".to_owned(), ticket)].into_iter().collect();
    (route, reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_celery_client_inspects_and_is_answered() {
    for prefix in ["", "pfx:"] {
        let database = Database::new();
        let options =
            RedisOptions { global_keyprefix: prefix.to_owned(), ..RedisOptions::default() };
        let broker = Arc::new(database.broker(options).await);
        let mut listener = broker.listen("w@here").await.expect("listens");
        let mut client = database.client().await;
        let table = format!("{prefix}_kombu.binding.celery.pidbox");
        let bound: Vec<String> = client.smembers(&table).await.expect("answers");
        assert_eq!(bound, ["\u{6}\u{16}\u{6}\u{16}w@here.celery.pidbox"]);

        let python = Python::connect(&database.url).await;
        let options =
            format!("app.conf.broker_transport_options = {{'global_keyprefix': '{prefix}'}}");
        python.exec(&options).await;
        let worker = broker.clone();
        let answering = tokio::spawn(async move {
            while let Ok(Some(request)) = listener.next().await {
                let (route, reply) = pong(&request);
                worker.publish(&route, &reply).await.expect("replies");
            }
        });
        let inspect = "app.control.inspect(timeout=10, limit=1).ping()";
        assert_eq!(python.eval(inspect).await, r#"{"w@here":{"ok":"pong"}}"#, "{prefix:?}");
        let ping = "app.control.ping(timeout=10, limit=1)";
        assert_eq!(python.eval(ping).await, r#"[{"w@here":{"ok":"pong"}}]"#, "{prefix:?}");

        tokio::time::timeout(PATIENCE, broker.close()).await.expect("closes");
        answering.await.expect("ends with the broker");
        let bound: Vec<String> = client.smembers(&table).await.expect("answers");
        assert!(bound.is_empty(), "{bound:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_hears_what_is_said_to_every_worker() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    let python = Python::connect(&database.url).await;
    python.exec(MAILBOX).await;
    let body = r#"{"method": "hello", "arguments": {"x": 1}, "destination": null}"#;
    broker.broadcast(&message(body)).await.expect("broadcasts");
    assert_eq!(python.eval("listen()").await, r#"[{"x":1}]"#);
}

/// A worker's own mailbox, without the worker.
const MAILBOX: &str = "\
heard = []
connection = app.connection_for_read()
node = app.control.mailbox.Node('p@here', channel=connection.channel())
node.handlers['hello'] = lambda state, **arguments: heard.append(arguments)
consumer = node.listen(callback=node.handle_message)
def listen(times=10):
    while not heard and times > 0:
        times -= 1
        try:
            connection.drain_events(timeout=1)
        except TimeoutError:
            pass
    return heard
# It subscribes when it first waits.
listen(times=1)
";

const SWEEP: &str = "\
with app.connection_for_read() as connection:
    connection.default_channel.qos.restore_visible()
";

#[tokio::test(flavor = "multi_thread")]
async fn a_python_workers_sweep_ends_a_delay_at_its_time_and_not_before() {
    let database = Database::new();
    let timeout = Duration::from_secs(30);
    let options = RedisOptions { visibility_timeout: timeout, ..RedisOptions::default() };
    let broker = database.broker(options.clone()).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    broker.publish(&Route::queue("q"), &message("x")).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    let held = Held { message: delivery.message, queue: delivery.queue, receipt: delivery.receipt };
    let at = Timestamp::now() + Duration::from_secs(5);
    broker.delay(held, at).await.expect("delays");
    // From here on Python alone sweeps.
    drop(consumer);
    broker.close().await;

    let python = Python::connect(&database.url).await;
    python.exec("app.conf.broker_transport_options = {'visibility_timeout': 30}").await;
    python.exec(SWEEP).await;
    let mut client = database.client().await;
    let waiting: usize = client.llen("q").await.expect("answers");
    assert!(waiting == 0 || Timestamp::now() >= at, "it came before its time");
    while Timestamp::now() < at {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    python.exec(SWEEP).await;
    let waiting: usize = client.llen("q").await.expect("answers");
    assert_eq!(waiting, 1);

    // Ours again, uncounted.
    let broker = database.broker(options).await;
    let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.deliveries, delivery.redelivered), (Some(0), true));
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

#[test]
fn what_python_restores_after_our_death_is_counted_all_the_same() {
    python_restores_what_is_counted(|_| async {});
}

/// Where the flag of a redelivery stands is the sender's to choose.
#[test]
fn a_long_message_of_another_make_is_counted_as_well() {
    python_restores_what_is_counted(|python| async move {
        python.exec(REARRANGED).await;
    });
}

/// The properties first, and then all the rest.
const REARRANGED: &str = "\
import json
with app.connection_for_read() as connection:
    client = connection.default_channel.client
    message = json.loads(client.rpop('q'))
    message = {'properties': message.pop('properties'), **message}
    client.lpush('q', json.dumps(message))
";

fn python_restores_what_is_counted<F: Future<Output = ()>>(prepare: impl Fn(Python) -> F) {
    let database = Database::new();
    let options =
        || RedisOptions { visibility_timeout: Duration::from_secs(1), ..RedisOptions::default() };
    for before in 0..3 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let broker = database.broker(options()).await;
            if before == 0 {
                let long = message("x".repeat(3000));
                broker.publish(&Route::queue("q"), &long).await.expect("publishes");
                prepare(Python::connect(&database.url).await).await;
            }
            let mut consumer = broker.consume(&["q".into()], 1).await.expect("consumes");
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.deliveries, Some(before));
            std::mem::forget((broker, consumer, delivery));
        });
        runtime.shutdown_background();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let python = Python::connect(&database.url).await;
            python.exec("app.conf.broker_transport_options = {'visibility_timeout': 1}").await;
            let mut client = database.client().await;
            super::eventually("Python restores it", async || {
                python.exec(SWEEP).await;
                let waiting: usize = client.llen("q").await.expect("answers");
                if waiting == 1 { Ok(()) } else { Err(format!("{waiting} wait")) }
            })
            .await;
        });
    }
}

/// As Celery's worker ends a part of a chord.
const PART: &str = "\
from celery.app.task import Context
def end_part(index, result, size=None):
    body = signature('t.body', app=app)
    request = Context(id=f'python-{index}', group='g', group_index=index, chord=body, errbacks=None)
    app.backend.on_chord_part_return(request, 'SUCCESS', result)
";

fn part(index: u32) -> ChordPart {
    ChordPart {
        group: "g".into(),
        id: format!("ours-{index}"),
        index: Some(index),
        state: State::Success,
        result: Value::Int(i64::from(index) * 10),
    }
}

/// Python acknowledges a part that it finds claimed as its own workers claim, and nobody asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_chord_whose_end_we_died_with_is_ended_by_python() {
    let database = Database::new();
    let store = RedisStore::connect(address(&database.url), StoreOptions::default()).await;
    let store = store.expect("connects");
    let mut client = database.client().await;
    let python = Python::connect(&database.url).await;
    python.exec(PART).await;
    store.begin_chord("g", 2).await.expect("begins");
    python.exec("end_part(0, 5)").await;
    let joined = store.join(&part(1)).await.expect("counts");
    let Joined::Complete { claim, .. } = joined else { panic!("{joined:?}") };
    assert!(store.extend_claim(&claim, Duration::from_secs(60)).await.expect("extends"));
    python.exec("end_part(0, 5)").await;
    let sent: usize = client.llen("celery").await.expect("answers");
    assert_eq!(sent, 1, "Python sends the body");
    let extended = store.extend_claim(&claim, Duration::from_secs(60)).await;
    assert!(!extended.expect("answers"), "had we lived, we would have left it to Python");
    assert_eq!(store.join(&part(1)).await.expect("counts"), Joined::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chord_is_shared_with_python_whoever_ends_it() {
    for ours_is_last in [true, false] {
        let database = Database::new();
        let store = RedisStore::connect(address(&database.url), StoreOptions::default()).await;
        let store = store.expect("connects");
        let mut client = database.client().await;
        let python = Python::connect(&database.url).await;
        python.exec(PART).await;
        match ours_is_last {
            true => python.exec("app.backend.set_chord_size('g', 3)").await,
            false => store.begin_chord("g", 3).await.expect("begins"),
        }
        assert_eq!(store.join(&part(2)).await.expect("counts"), Joined::Waiting);
        python.exec("end_part(0, 5)").await;
        if ours_is_last {
            let joined = store.join(&part(1)).await.expect("counts");
            let Joined::Complete { claim, parts } = joined else { panic!("{joined:?}") };
            let results: Vec<_> = parts.into_iter().map(|part| part.result).collect();
            assert_eq!(results, [Value::Int(5), Value::Int(10), Value::Int(20)]);
            assert!(store.extend_claim(&claim, Duration::from_secs(20)).await.expect("extends"));
            store.end_chord(&claim, true).await.expect("ends");
            python.exec("end_part(0, 5)").await;
            let sent: usize = client.llen("celery").await.expect("answers");
            assert_eq!(sent, 0, "Python sent the body, which is ours to send");
        } else {
            python.exec("end_part(1, 7)").await;
            let sent: Vec<String> = client.lrange("celery", 0, -1).await.expect("answers");
            assert_eq!(sent.len(), 1, "Python sends the body");
            let envelope = umbel_protocol::envelope::Envelope::from_json(sent[0].as_bytes());
            let body =
                String::from_utf8_lossy(&envelope.expect("an envelope").message.body).into_owned();
            assert!(body.starts_with("[[[5, 7, 20]]"), "{body}");
            assert_eq!(store.join(&part(2)).await.expect("counts"), Joined::Done);
        }
    }
}
