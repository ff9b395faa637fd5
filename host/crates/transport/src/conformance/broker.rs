//! What every broker does; each function is one sentence and panics when it does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use umbel_protocol::message::{Properties, RawMessage, Route};
use umbel_value::{Map, Tag, Value};

use super::bench::{
    Bench, ack, map, message, next, nothing_comes, number, numbers, publish_number, settle,
    settle_all, sorted, take, text,
};
use super::{BrokerFixture, PATIENCE, Priorities, fresh, soon, within};
use crate::delivery::Settlement;

pub async fn a_message_arrives_as_it_was_published(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let sent = RawMessage {
        headers: map([
            ("lang", text("py")),
            ("task", text("tasks.größe_数")),
            ("id", text("5c7a1cf5-7d0d-4d53-9d5d-1e5bd2c8d1b4")),
            ("eta", Value::Null),
            ("retries", Value::Int(0)),
            ("far", Value::Int(i64::MAX)),
            ("deep", Value::Int(i64::MIN)),
            ("ratio", Value::Float(0.5)),
            ("ignore_result", Value::Bool(false)),
            ("timelimit", Value::List(vec![Value::Null, Value::Float(2.5)])),
            ("stamps", Value::Map(map([("who", Value::List(vec![text("a"), Value::Null]))]))),
            ("empty", Value::Map(Map::new())),
            ("none", Value::List(Vec::new())),
        ]),
        ..message("[[1, 170141183460469231731687303715884105728, \"ü\"], {\"k\": null}, {}]")
    };
    bench.publish(&sent).await;

    let mut consumer = bench.consume(1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, sent.body);
    assert_eq!(sorted(&delivery.message.headers), sorted(&sent.headers));
    assert_eq!(delivery.message.properties, sent.properties);
    assert_eq!(&*delivery.queue, bench.queue.as_str());
    assert_eq!(delivery.route.routing_key, bench.queue);
    assert!(!delivery.redelivered, "the first delivery is no redelivery");
    ack(delivery).await;
}

pub async fn every_property_arrives(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let mut sent = message("x");
    sent.properties = Properties {
        expiration: Some("600000".into()),
        message_id: Some("message-7".into()),
        app_id: Some("billing".into()),
        kind: Some("task".into()),
        timestamp: Some(1_700_000_000),
        ..sent.properties
    };
    if fixture.abilities().other_properties {
        sent.properties.other = map([("x-later", Value::List(vec![Value::Int(1), text("ä")]))]);
    }
    bench.publish(&sent).await;

    let mut consumer = bench.consume(1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.properties, sent.properties);
    ack(delivery).await;
}

pub async fn headers_arrive_with_all_that_json_can_say(fixture: &dyn BrokerFixture) {
    if !fixture.abilities().any_header {
        return;
    }
    let bench = Bench::new(fixture).await;
    let sent = RawMessage {
        headers: map([
            ("big", Value::Big("170141183460469231731687303715884105728".into())),
            ("small", Value::Big("-170141183460469231731687303715884105728".into())),
            ("bytes", Value::Bytes(vec![0, 255, 10])),
            ("price", Value::Tagged(Tag::Decimal, "1.10".into())),
            ("infinite", Value::Float(f64::INFINITY)),
        ]),
        ..message("x")
    };
    bench.publish(&sent).await;

    let mut consumer = bench.consume(1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(sorted(&delivery.message.headers), sorted(&sent.headers));
    ack(delivery).await;
}

pub async fn a_body_of_five_megabytes_arrives(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let body: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(31) >> 3) as u8).collect();
    let sent = RawMessage { body: Bytes::from(body), ..message("") };
    bench.publish(&sent).await;

    let mut consumer = bench.consume(1).await;
    let delivery = next(&mut consumer).await;
    assert!(delivery.message.body == sent.body, "the body changed on its way");
    ack(delivery).await;
}

pub async fn bodies_that_are_empty_or_no_text_arrive(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let bodies = [Bytes::new(), Bytes::from_static(&[0, 159, 146, 150, 0])];
    for body in &bodies {
        bench.publish(&RawMessage { body: body.clone(), ..message("") }).await;
    }
    let mut consumer = bench.consume(2).await;
    for body in &bodies {
        let delivery = next(&mut consumer).await;
        assert_eq!(&delivery.message.body, body);
        ack(delivery).await;
    }
}

pub async fn a_message_sent_through_the_exchange_of_its_queue_arrives(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let mut consumer = bench.consume(1).await;
    let route = Route { exchange: bench.queue.clone(), routing_key: bench.queue.clone() };
    soon("publish", bench.broker.publish(&route, &message("x"))).await.expect("publishes");
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.route, route);
    assert_eq!(&*delivery.queue, bench.queue.as_str());
    ack(delivery).await;
}

pub async fn messages_come_in_the_order_they_were_published(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let mut consumer = bench.consume(7).await;
    bench.publish_numbers(0..100).await;
    assert_eq!(bench.take_and_ack(&mut consumer, 100).await, numbers(0..100));
}

pub async fn a_message_is_kept_until_somebody_consumes(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..3).await;
    bench.broker.close().await;

    let bench = bench.another(fixture).await;
    let mut consumer = bench.consume(3).await;
    assert_eq!(bench.take_and_ack(&mut consumer, 3).await, numbers(0..3));
}

pub async fn a_consumer_gets_only_from_its_own_queues(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let other = Route::queue(&fresh("other"));
    soon("publish", bench.broker.publish(&other, &message("other"))).await.expect("publishes");
    bench.publish(&message("mine")).await;

    let mut consumer = bench.consume(5).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.body, "mine");
    nothing_comes(&mut consumer).await;
    ack(delivery).await;
}

pub async fn an_idle_consumer_gets_a_new_message_promptly(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let sender = bench.another(fixture).await;
    let mut consumer = bench.consume(1).await;
    nothing_comes(&mut consumer).await;
    for number in 0..5 {
        sender.publish_numbers(number..number + 1).await;
        let delivery =
            within(Duration::from_secs(2), "an idle consumer's delivery", next(&mut consumer))
                .await;
        ack(delivery).await;
    }
}

pub async fn the_window_is_never_exceeded_and_refills(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..10).await;
    let mut consumer = bench.consume(3).await;
    let mut held = take(&mut consumer, 3).await;
    nothing_comes(&mut consumer).await;

    ack(held.remove(0)).await;
    held.push(next(&mut consumer).await);
    nothing_comes(&mut consumer).await;

    // What was not taken is free for others.
    let other = bench.another(fixture).await;
    let mut second = other.consume(10).await;
    held.extend(take(&mut second, 6).await);
    nothing_comes(&mut second).await;
    settle_all(held, Settlement::Ack).await;
}

pub async fn a_window_can_grow(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..10).await;
    let mut consumer = bench.consume(2).await;
    let mut held = take(&mut consumer, 2).await;
    nothing_comes(&mut consumer).await;

    soon("resize", consumer.resize(5)).await.expect("resizes");
    held.extend(take(&mut consumer, 3).await);
    nothing_comes(&mut consumer).await;
    settle_all(held, Settlement::Ack).await;
}

pub async fn a_window_can_shrink(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..20).await;
    let mut consumer = bench.consume(5).await;
    let mut held = take(&mut consumer, 5).await;
    soon("resize", consumer.resize(2)).await.expect("resizes");

    // Four unsettled, then three, then two: still full.
    for _ in 0..3 {
        ack(held.remove(0)).await;
    }
    nothing_comes(&mut consumer).await;

    ack(held.remove(0)).await;
    held.push(next(&mut consumer).await);
    nothing_comes(&mut consumer).await;
    settle_all(held, Settlement::Ack).await;
}

pub async fn an_acknowledged_message_never_comes_again(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..5).await;
    let mut consumer = bench.consume(5).await;
    bench.take_and_ack(&mut consumer, 5).await;
    soon("stop", consumer.stop()).await.expect("stops");
    drop(consumer);
    bench.broker.close().await;
    bench.is_empty(fixture).await;
}

pub async fn a_requeued_message_comes_again_and_says_so(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let sent = message("again");
    bench.publish(&sent).await;
    let mut consumer = bench.consume(1).await;
    settle(next(&mut consumer).await, Settlement::Requeue).await;

    let delivery = next(&mut consumer).await;
    assert!(delivery.redelivered, "a requeued message says that it was handed out before");
    assert_eq!(delivery.message.body, sent.body);
    assert_eq!(delivery.message.properties, sent.properties);
    assert_eq!(sorted(&delivery.message.headers), sorted(&sent.headers));
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

pub async fn a_discarded_message_never_comes_again(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..3).await;
    let mut consumer = bench.consume(3).await;
    settle_all(take(&mut consumer, 3).await, Settlement::Discard).await;
    nothing_comes(&mut consumer).await;
    soon("stop", consumer.stop()).await.expect("stops");
    drop(consumer);
    bench.broker.close().await;
    bench.is_empty(fixture).await;
}

pub async fn a_dropped_receipt_brings_the_message_back(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    let mut consumer = bench.consume(1).await;
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert!(delivery.redelivered, "a message given back says that it was handed out before");
    assert_eq!(number(&delivery), 0);
    ack(delivery).await;
}

pub async fn waiting_for_the_next_message_may_be_cut_short(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let sender = bench.another(fixture).await;
    let mut consumer = bench.consume(4).await;
    let publishing = sender.publish_numbers(0..60);
    let taking = async {
        let mut seen = Vec::new();
        let mut cuts = 0u32;
        while seen.len() < 60 {
            // From "dropped at once" to "dropped about when a delivery arrives".
            let patience = Duration::from_micros(u64::from(cuts % 40) * 50);
            match tokio::time::timeout(patience, consumer.next()).await {
                Ok(taken) => {
                    let delivery = taken.expect("the consumer works").expect("it was not stopped");
                    seen.push(number(&delivery));
                    ack(delivery).await;
                }
                Err(_) => cuts += 1,
            }
        }
        seen
    };
    let (_, seen) = soon("sixty messages", async { tokio::join!(publishing, taking) }).await;
    assert_eq!(seen, numbers(0..60));
    nothing_comes(&mut consumer).await;
}

pub async fn stopping_gives_back_what_was_not_handed_out(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..10).await;
    let mut consumer = bench.consume(10).await;
    let held = take(&mut consumer, 2).await;
    soon("stop", consumer.stop()).await.expect("stops");

    // Well before any lease could run out.
    let other = bench.another(fixture).await;
    let mut second = other.consume(10).await;
    let back = within(PATIENCE, "what the first consumer gave back", take(&mut second, 8)).await;
    let seen: BTreeSet<u32> = back.iter().map(number).collect();
    assert_eq!(seen, (2..10).collect());
    nothing_comes(&mut second).await;
    settle_all(held, Settlement::Ack).await;
    settle_all(back, Settlement::Ack).await;
}

pub async fn a_stopped_consumer_ends(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..3).await;
    let mut consumer = bench.consume(3).await;
    let held = take(&mut consumer, 1).await;
    soon("stop", consumer.stop()).await.expect("stops");
    for _ in 0..2 {
        let after = soon("the end", consumer.next()).await.expect("the consumer works");
        assert!(after.is_none(), "a stopped consumer hands out nothing");
    }
    soon("a second stop", consumer.stop()).await.expect("stopping twice is no error");
    settle_all(held, Settlement::Ack).await;
}

pub async fn a_delivery_can_be_settled_after_the_consumer_stopped(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..4).await;
    let mut consumer = bench.consume(4).await;
    let mut held = take(&mut consumer, 4).await;
    soon("stop", consumer.stop()).await.expect("stops");
    settle(held.remove(0), Settlement::Ack).await;
    settle(held.remove(0), Settlement::Requeue).await;
    settle(held.remove(0), Settlement::Discard).await;
    drop(held);

    let other = bench.another(fixture).await;
    let mut second = other.consume(4).await;
    let back = take(&mut second, 2).await;
    assert_eq!(back.iter().map(number).collect::<BTreeSet<_>>(), BTreeSet::from([1, 3]));
    nothing_comes(&mut second).await;
    settle_all(back, Settlement::Ack).await;
}

pub async fn two_consumers_share_a_queue_without_doubles(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let other = bench.another(fixture).await;
    let mut first = bench.consume(5).await;
    let mut second = other.consume(5).await;
    bench.publish_numbers(0..200).await;

    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    while seen.len() < 200 {
        let delivery = soon("the next of two consumers", async {
            tokio::select! {
                taken = first.next() => taken,
                taken = second.next() => taken,
            }
        })
        .await
        .expect("the consumers work")
        .expect("they were not stopped");
        *seen.entry(number(&delivery)).or_default() += 1;
        ack(delivery).await;
    }
    nothing_comes(&mut first).await;
    nothing_comes(&mut second).await;
    let doubled: Vec<_> = seen.into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(doubled.is_empty(), "delivered more than once: {doubled:?}");
}

pub async fn what_a_vanished_consumer_held_comes_again(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..5).await;
    let mut consumer = bench.consume(4).await;
    let mut held = take(&mut consumer, 3).await;
    ack(held.remove(0)).await;
    drop(consumer);
    bench.broker.close().await;

    let other = bench.another(fixture).await;
    let mut second = other.consume(10).await;
    let limit = fixture.abilities().returns_within + PATIENCE;
    let back = within(limit, "what the first consumer held", take(&mut second, 4)).await;
    assert_eq!(back.iter().map(number).collect::<BTreeSet<_>>(), (1..5).collect());
    for delivery in &back {
        if number(delivery) < 3 {
            assert!(delivery.redelivered, "{} was handed out before", number(delivery));
        }
    }
    settle_all(back, Settlement::Ack).await;
    // The old receipts are void: whatever they say now changes nothing.
    for delivery in held {
        let _ = soon("a void settlement", delivery.receipt.settle(Settlement::Requeue)).await;
    }
    nothing_comes(&mut second).await;
}

pub async fn a_dropped_consumer_loses_nothing(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..6).await;
    let mut consumer = bench.consume(6).await;
    let mut held = take(&mut consumer, 4).await;
    // Receipts dropped before the consumer, and after it.
    held.truncate(2);
    drop(consumer);
    drop(held);

    let other = bench.another(fixture).await;
    let mut second = other.consume(10).await;
    let limit = fixture.abilities().returns_within + PATIENCE;
    let back = within(limit, "what the first consumer held", take(&mut second, 6)).await;
    assert_eq!(back.iter().map(number).collect::<BTreeSet<_>>(), (0..6).collect());
    settle_all(back, Settlement::Ack).await;
}

pub async fn a_full_queue_does_not_starve_a_small_one(fixture: &dyn BrokerFixture) {
    let broker = fixture.broker().await;
    let full = fresh("full");
    let small = fresh("small");
    for (queue, count) in [(&full, 500), (&small, 5)] {
        let route = Route::queue(queue);
        let publishes = (0..count).map(|i| publish_number(&*broker, &route, i));
        soon("publishes", join_all(publishes)).await;
    }
    let mut consumer = soon("consume", broker.consume(&[full, small.clone()], 10))
        .await
        .expect("the broker lets us consume");
    let mut from_small = 0;
    for _ in 0..150 {
        let delivery = next(&mut consumer).await;
        from_small += u32::from(*delivery.queue == *small);
        ack(delivery).await;
    }
    assert_eq!(from_small, 5, "of the small queue's five messages, among the first 150 deliveries");
}

pub async fn priorities_are_served_as_this_broker_means_them(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let given = [3u8, 9, 0, 6, 9, 0, 3, 6];
    for (at, priority) in given.into_iter().enumerate() {
        let mut sent = message(&at.to_string());
        sent.properties.priority = Some(priority);
        bench.publish(&sent).await;
    }
    let mut wanted: Vec<(u8, u32)> = given.iter().copied().zip(0u32..).collect();
    match fixture.abilities().priorities {
        Priorities::HigherFirst => wanted.sort_by_key(|(priority, _)| u8::MAX - priority),
        Priorities::LowerFirst => wanted.sort_by_key(|(priority, _)| *priority),
        Priorities::Ignored => {}
    }
    let mut consumer = bench.consume(1).await;
    let mut seen = Vec::new();
    for _ in given {
        let delivery = next(&mut consumer).await;
        let priority = delivery.message.properties.priority.expect("the priority is carried");
        seen.push((priority, number(&delivery)));
        ack(delivery).await;
    }
    assert_eq!(seen, wanted);
}

pub async fn many_publish_and_settle_at_once(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    let mut consumer = bench.consume(50).await;
    let route = bench.route();
    let publishes = join_all((0..500).map(|i| publish_number(&*bench.broker, &route, i)));
    let taking = async {
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        while seen.len() < 500 {
            // Up to fifty settlements on their way at the same moment.
            let mut batch = vec![next(&mut consumer).await];
            while batch.len() < 50
                && let Ok(taken) = tokio::time::timeout(Duration::ZERO, consumer.next()).await
            {
                batch.push(taken.expect("the consumer works").expect("it was not stopped"));
            }
            for delivery in &batch {
                *seen.entry(number(delivery)).or_default() += 1;
            }
            settle_all(batch, Settlement::Ack).await;
        }
        seen
    };
    let (_, seen) = soon("500 messages", async { tokio::join!(publishes, taking) }).await;
    let doubled: Vec<_> = seen.into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(doubled.is_empty(), "delivered more than once: {doubled:?}");
}

pub async fn a_closed_broker_refuses_to_publish(fixture: &dyn BrokerFixture) {
    let bench = Bench::new(fixture).await;
    bench.publish_numbers(0..1).await;
    soon("close", bench.broker.close()).await;
    let refused = soon("publish", bench.broker.publish(&bench.route(), &message("x"))).await;
    assert!(refused.is_err(), "a closed broker took a message");
    soon("a second close", bench.broker.close()).await;
}
