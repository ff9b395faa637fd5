//! The shapes on the server are kombu's: compared with what Python recorded.

use std::path::Path;
use std::time::Duration;

use redis::AsyncCommands;
use umbel_protocol::message::Route;
use umbel_transport::broker::Broker;
use umbel_transport::delivery::Settlement;
use umbel_transport::redis::RedisOptions;
use umbel_value::Value;

use super::{
    Database, PATIENCE, ack, eventually, message, next, nothing_comes, nothing_is_unacked,
};

/// A recorded sample.
pub(super) fn sample(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden");
    let text = std::fs::read(folder.join(format!("{name}.json"))).expect("the sample exists");
    Value::from_json(&text).expect("the sample is JSON")
}

pub(super) fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    let Value::Map(map) = value else { panic!("no mapping around `{key}`") };
    map.get(key).unwrap_or_else(|| panic!("no `{key}`"))
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

pub(super) fn list(value: &Value) -> &[Value] {
    let Value::List(list) = value else { panic!("no list") };
    list
}

/// What a key held, as it was recorded.
pub(super) fn bytes(key: &Value) -> Vec<u8> {
    let coded = text(at(at(key, "value"), "b64"));
    let tagged = format!(r#"{{"__type__": "base64", "__value__": "{coded}"}}"#);
    match Value::from_json(tagged.as_bytes()) {
        Ok(Value::Bytes(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

/// The arguments of every recorded command of that name.
pub(super) fn commands(sample: &Value, name: &str) -> Vec<Vec<String>> {
    let texts = |args: &Value| list(args).iter().map(|arg| text(arg).to_owned()).collect();
    let all = list(at(sample, "commands")).iter().map(|command| texts(at(command, "args")));
    all.filter(|args: &Vec<String>| args[0] == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_message_stands_where_python_would_put_it() {
    for name in ["redis-run-success", "redis-visibility-restore"] {
        let database = Database::new();
        let mut client = database.client().await;
        let sample = sample(name);
        let pushed = &commands(&sample, "LPUSH")[0];
        let recorded = &commands(&sample, "HSET")[0];
        let _: () = client.lpush(&pushed[1], &pushed[2]).await.expect("answers");

        let broker = database.broker(RedisOptions::default()).await;
        let mut consumer = broker.consume(&["celery".into()], 4).await.expect("consumes");
        let delivery = next(&mut consumer).await;
        let stands: Vec<(String, String)> = client.hgetall("unacked").await.expect("answers");
        assert_eq!(stands, [(recorded[2].clone(), recorded[3].clone())], "{name}");
        let scores: Vec<(String, f64)> =
            client.zrange_withscores("unacked_index", 0, -1).await.expect("answers");
        let (now, _): (f64, f64) =
            redis::cmd("TIME").query_async(&mut client).await.expect("answers");
        assert_eq!(scores[0].0, recorded[2], "{name}");
        assert!((now - scores[0].1).abs() < PATIENCE.as_secs_f64(), "{name}: {scores:?}");

        ack(delivery).await;
        nothing_is_unacked(&mut client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_message_of_python_is_restored_as_python_would() {
    let database = Database::new();
    let mut client = database.client().await;
    let sample = sample("redis-visibility-restore");
    let (held, indexed) = (&commands(&sample, "HSET")[0], &commands(&sample, "ZADD")[0]);
    let _: () = client.hset(&held[1], &held[2], &held[3]).await.expect("answers");
    let _: () = client.zadd(&indexed[1], &indexed[3], &indexed[2]).await.expect("answers");

    let broker = database.broker(RedisOptions::default()).await;
    // Sweeps at once; and does not take it, for it looks at another queue.
    let _consumer = broker.consume(&["elsewhere".into()], 1).await.expect("consumes");
    let restored = &commands(&sample, "RPUSH")[0];
    let mut back = Vec::new();
    eventually("the message is back in its queue", async || {
        back = client.lrange(&restored[1], 0, -1).await.expect("answers");
        if back.len() == 1 { Ok(()) } else { Err(format!("{back:?}")) }
    })
    .await;
    let found = Value::from_json(String::as_bytes(&back[0])).expect("JSON");
    assert_eq!(found, Value::from_json(restored[2].as_bytes()).expect("JSON"));
    nothing_is_unacked(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_goes_to_the_list_that_python_uses() {
    for priority in [0u8, 1, 3, 5, 6, 9, 12] {
        let sample = sample(&format!("redis-priority-{priority}"));
        let recorded = &list(at(&sample, "messages"))[0];
        let database = Database::new();
        let broker = database.broker(RedisOptions::default()).await;
        let mut sent = message("x");
        sent.properties.priority = Some(priority);
        broker.publish(&Route::queue("celery"), &sent).await.expect("publishes");
        let key = text(at(recorded, "key"));
        let waiting: Vec<String> =
            database.client().await.lrange(key, 0, -1).await.expect("answers");
        assert_eq!(waiting.len(), 1, "priority {priority} at {key:?}");
        let envelope = Value::from_json(waiting[0].as_bytes()).expect("JSON");
        let wanted = at(at(at(recorded, "envelope"), "properties"), "priority");
        assert_eq!(at(at(&envelope, "properties"), "priority"), wanted);

        let mut consumer = broker.consume(&["celery".into()], 1).await.expect("consumes");
        ack(next(&mut consumer).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_are_declared_as_python_declares_them() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    broker.publish(&Route::queue("celery"), &message("x")).await.expect("publishes");
    let _consumer = broker.consume(&["other".into()], 1).await.expect("consumes");
    let mut client = database.client().await;
    let recorded = &commands(&sample("redis-run-success"), "SADD");
    assert_eq!(recorded.len(), 2);
    for sadd in recorded {
        let members: Vec<String> = client.smembers(&sadd[1]).await.expect("answers");
        assert_eq!(members, [sadd[2].clone()], "{}", sadd[1]);
    }
    let members: Vec<String> = client.smembers("_kombu.binding.other").await.expect("answers");
    assert_eq!(members, ["other\u{6}\u{16}\u{6}\u{16}other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_exchange_leads_where_python_bound_it() {
    let database = Database::new();
    let mut client = database.client().await;
    let sample = sample("redis-task-send-task-topic");
    let table = at(at(&sample, "redis_after"), "_kombu.binding.tx");
    for member in list(at(table, "members")) {
        let _: () =
            client.sadd("_kombu.binding.tx", text(at(member, "text"))).await.expect("answers");
    }
    let broker = database.broker(RedisOptions::default()).await;
    let route = |key: &str| Route { exchange: "tx".into(), routing_key: key.into() };
    broker.publish(&route("a.b.c"), &message("taken")).await.expect("publishes");
    // Dropped without a word, as kombu does.
    broker.publish(&route("b.c"), &message("nowhere")).await.expect("publishes");
    let mut consumer = broker.consume(&["tq".into()], 2).await.expect("consumes");
    let delivery = next(&mut consumer).await;
    assert_eq!((&delivery.route, delivery.message.body.as_ref()), (&route("a.b.c"), &b"taken"[..]));
    assert_eq!(&*delivery.queue, "tq");

    // Given back, it goes where it came from.
    delivery.receipt.settle(Settlement::Requeue).await.expect("settles");
    let delivery = next(&mut consumer).await;
    assert_eq!(&*delivery.queue, "tq");
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prefix_stands_before_every_key() {
    let database = Database::new();
    let url = format!("{}?global_keyprefix=pfx:&visibility_timeout=1", database.url);
    let broker = super::open(&url, RedisOptions::default()).await;
    let mut consumer = broker.consume(&["celery".into()], 2).await.expect("consumes");
    broker.publish(&Route::queue("celery"), &message("x")).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    broker.publish(&Route::queue("else"), &message("x")).await.expect("publishes");
    let mut client = database.client().await;
    let mut keys: Vec<String> = client.keys("*").await.expect("answers");
    keys.retain(|key| !key.starts_with("pfx:unacked.umbel."));
    keys.sort();
    let wanted = [
        "pfx:_kombu.binding.celery",
        "pfx:_kombu.binding.else",
        "pfx:_kombu.binding_permanent.celery",
        "pfx:_kombu.binding_permanent.else",
        "pfx:else",
        "pfx:unacked",
        "pfx:unacked_index",
    ];
    assert_eq!(keys, wanted);
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_envelope_is_handed_out_and_neither_lost_nor_in_the_way() {
    let database = Database::new();
    let mut client = database.client().await;
    let no_tag = r#"{"body": "e30=", "headers": {}, "properties": {"body_encoding": "base64"}}"#;
    let rubbish: [&[u8]; 8] = [
        b"",
        b"no JSON",
        b"\xff\xfe\x00",
        b"[1, 2",
        b"{}",
        b"null",
        no_tag.as_bytes(),
        br#"x "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t"}}"#,
    ];
    for text in rubbish {
        let _: () = client.lpush("q", text).await.expect("answers");
        let _: () = client.lpush("q", text).await.expect("answers");
    }
    let broker = database.broker(RedisOptions::default()).await;
    broker.publish(&Route::queue("q"), &message("good")).await.expect("publishes");
    let mut consumer = broker.consume(&["q".into()], 100).await.expect("consumes");
    let mut held = Vec::new();
    for text in rubbish {
        for _ in 0..2 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.message.body, text, "{}", String::from_utf8_lossy(text));
            assert_eq!(delivery.message.properties.content_type, None);
            assert_eq!(&*delivery.queue, "q");
            held.push(delivery);
        }
    }
    let good = next(&mut consumer).await;
    assert_eq!(good.message.body, "good");
    let count: usize = client.hlen("unacked").await.expect("answers");
    assert_eq!(count, 2 * rubbish.len() + 1, "each has a place of its own");
    for value in client.hvals::<_, Vec<Vec<u8>>>("unacked").await.expect("answers") {
        // All but the last one, whose end looks like an envelope's.
        if !value.starts_with(b"[x ") {
            Value::from_json(&value).expect("a Python peer can read what stands there");
        }
    }
    for delivery in held {
        delivery.receipt.settle(Settlement::Discard).await.expect("settles");
    }
    ack(good).await;
    nothing_is_unacked(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_message_in_two_queues_are_settled_apart() {
    let database = Database::new();
    let mut client = database.client().await;
    let pushed = &commands(&sample("redis-run-success"), "LPUSH")[0];
    let _: () = client.lpush("a", &pushed[2]).await.expect("answers");
    let _: () = client.lpush("b", &pushed[2]).await.expect("answers");
    let broker = database.broker(RedisOptions::default()).await;
    let mut consumer = broker.consume(&["a".into(), "b".into()], 4).await.expect("consumes");
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    ack(first).await;
    let left: usize = client.hlen("unacked").await.expect("answers");
    assert_eq!(left, 1, "the other copy is still ours");
    ack(second).await;
    nothing_is_unacked(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_of_seven_megabytes_and_its_keys_in_another_order_are_no_obstacle() {
    let database = Database::new();
    let mut client = database.client().await;
    let body = "x".repeat(7_000_000);
    let odd = format!(
        r#"{{"properties": {{"delivery_tag": "odd", "body_encoding": null, "delivery_info":
        {{"routing_key": "q", "exchange": ""}}}}, "headers": {{"delivery_tag": "other"}}, "body": "{body}"}}"#
    );
    let _: () = client.lpush("q", odd).await.expect("answers");
    let broker = database.broker(RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 4).await.expect("consumes");
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body.len(), body.len());
    let tags: Vec<String> = client.hkeys("unacked").await.expect("answers");
    assert_eq!(tags, ["odd"]);
    delivery.receipt.settle(Settlement::Requeue).await.expect("settles");
    let delivery = next(&mut consumer).await;
    assert!(delivery.redelivered);
    assert_eq!(delivery.message.body.len(), body.len());
    ack(delivery).await;
    nothing_is_unacked(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_consumer_starts_at_once_and_rests_otherwise() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    let mut consumer = broker.consume(&["q".into()], 4).await.expect("consumes");
    nothing_comes(&mut consumer).await;
    let mut waits = Vec::new();
    for number in 0..50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut sent = message(number);
        sent.properties.priority = Some((number % 10) as u8);
        let begin = tokio::time::Instant::now();
        broker.publish(&Route::queue("q"), &sent).await.expect("publishes");
        let delivery = next(&mut consumer).await;
        waits.push(begin.elapsed());
        ack(delivery).await;
    }
    waits.sort();
    // Far below the second after which it would look by itself; a busy machine may be slow.
    assert!(waits[25] < Duration::from_millis(50), "median from publish to delivery {waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_served_one_after_the_other_and_queues_in_turn() {
    let database = Database::new();
    let broker = database.broker(RedisOptions::default()).await;
    let queues = ["a", "b", "c"].map(str::to_owned);
    for priority in [9u8, 3, 0] {
        for queue in &queues {
            for number in 0..2 {
                let mut sent = message(format!("{queue}{priority}{number}"));
                sent.properties.priority = Some(priority);
                broker.publish(&Route::queue(queue), &sent).await.expect("publishes");
            }
        }
    }
    let mut consumer = broker.consume(&queues, 1).await.expect("consumes");
    let mut seen = Vec::new();
    for _ in 0..18 {
        let delivery = next(&mut consumer).await;
        seen.push(String::from_utf8_lossy(&delivery.message.body).into_owned());
        ack(delivery).await;
    }
    // All of a step before the next; within a step one of each queue before a second one.
    let wanted = ["0", "3", "9"]
        .into_iter()
        .flat_map(|priority| ["0", "1"].into_iter().map(move |number| (priority, number)));
    for (round, (priority, number)) in seen.chunks(3).zip(wanted) {
        let mut round = round.to_vec();
        round.sort();
        let wanted = ["a", "b", "c"].map(|queue| format!("{queue}{priority}{number}"));
        assert_eq!(round, wanted, "{seen:?}");
    }
}
