//! Callbacks, chains, chords, and tasks that tasks send.

use std::sync::atomic::Ordering;

use umbel_protocol::chord::ChordPart;
use umbel_protocol::message::Message;
use umbel_protocol::record::{Exception, State};
use umbel_value::Value;

use crate::bench::{Bench, check, message, signature};
use crate::fakes::FakeChord;

/// A part of the chord `g`, whose body is `far.sum`.
fn part(task: &str, index: u32) -> Message {
    let mut part = message(task);
    part.group = Some("g".to_owned());
    part.group_index = Some(index);
    part.embed.chord = Some(signature("far.sum", "body"));
    part
}

fn chord(bench: &Bench, size: u32) {
    let chord = FakeChord { size: Some(size), ..FakeChord::default() };
    bench.store.chords.lock().unwrap().insert("g".to_owned(), chord);
}

#[tokio::test(start_paused = true)]
async fn callbacks_and_the_next_step_are_sent_before_the_result_is_stored() {
    let bench = Bench::start(|_| {});
    let mut sent = message("echo");
    sent.embed.callbacks = Some(vec![signature("far.log", "log")].into());
    sent.embed.chain =
        Some(vec![signature("far.last", "third"), signature("far.next", "second")].into());
    bench.send(sent.clone());
    bench.saw(&["run echo", "publish celery", "publish celery", "put SUCCESS", "Ack"]).await;
    let [log, next]: [Message; 2] = bench.broker.sent().try_into().unwrap();
    assert_eq!((log.task.as_str(), next.task.as_str()), ("far.log", "far.next"));
    assert_eq!(next.id, "second");
    assert_eq!(next.args, [vec![Value::Int(1)].into(), Value::Int(2)]);
    assert_eq!(next.parent_id, Some(sent.id.clone()));
    assert_eq!(next.root_id, sent.root_id);
    let record = bench.store.last();
    let children = record.children.unwrap();
    assert_eq!(children.len(), 2, "{children:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_repeated_sends_the_same_ids() {
    let mut sent = message("echo");
    sent.embed.callbacks = Some(
        vec![Value::from([("task", Value::from("far.log")), ("args", Vec::new().into())])].into(),
    );
    let mut ids = Vec::new();
    for _ in 0..2 {
        let bench = Bench::start(|_| {});
        bench.send(sent.clone());
        bench.diary.eventually("Ack").await;
        ids.push(bench.broker.sent()[0].id.clone());
        bench.stop().await;
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_stored_for_the_later_steps_of_its_chain_too() {
    let bench = Bench::start(|_| {});
    let mut sent = message("fail");
    sent.embed.chain =
        Some(vec![signature("far.last", "third"), signature("far.next", "second")].into());
    bench.send(sent.clone());
    bench.saw(&["run fail", "put FAILURE", "put FAILURE", "put FAILURE", "Ack"]).await;
    let records = bench.store.records.lock().unwrap().clone();
    let mut ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids.remove(0), sent.id);
    ids.sort_unstable();
    assert_eq!(ids, ["second", "third"]);
    assert!(records.iter().all(|record| record.result == records[0].result));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_callback_of_another_worker_gets_the_failed_tasks_id() {
    let bench = Bench::start(|_| {});
    let mut sent = message("fail");
    sent.embed.errbacks = Some(vec![signature("far.oops", "oops")].into());
    bench.send(sent.clone());
    bench.saw(&["run fail", "put FAILURE", "publish celery", "Ack"]).await;
    let told = bench.broker.sent().remove(0);
    assert_eq!(
        (told.task.as_str(), &told.args),
        ("far.oops", &vec![(&sent.id).into(), Value::Int(2)])
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_callback_of_ours_with_room_for_it_is_called_with_the_failure() {
    let mut sent = message("fail");
    let mut callback = signature("on_error", "oops");
    callback.as_map_mut().unwrap().insert("args".to_owned(), Vec::new().into());
    sent.embed.errbacks = Some(vec![callback].into());
    check(sent, &["run fail", "put FAILURE", "run on_error", "Ack"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_is_counted_in_after_its_result_and_its_message_acknowledged_last() {
    let bench = Bench::start(|_| {});
    chord(&bench, 2);
    bench.send(part("echo", 0));
    bench.saw(&["run echo", "put SUCCESS", "join SUCCESS", "Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_part_sends_the_body_with_the_results_in_order() {
    let bench = Bench::start(|_| {});
    chord(&bench, 2);
    let first = ChordPart {
        group: "g".to_owned(),
        id: "first".to_owned(),
        index: Some(1),
        state: State::Success,
        result: Value::Int(9),
    };
    bench.store.chords.lock().unwrap().get_mut("g").unwrap().parts.push(first);
    bench.send(part("echo", 0));
    bench
        .saw(&["run echo", "put SUCCESS", "join SUCCESS", "publish celery", "chord sent", "Ack"])
        .await;
    let body = bench.broker.sent().remove(0);
    assert_eq!((body.task.as_str(), body.id.as_str()), ("far.sum", "body"));
    assert_eq!(body.args[0], vec![vec![Value::Int(1)].into(), Value::Int(9)].into());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_chord_fails_its_body_and_tells_whose_fault_it_is() {
    let bench = Bench::start(|_| {});
    chord(&bench, 1);
    let sent = part("fail", 0);
    bench.send(sent.clone());
    bench
        .saw(&["run fail", "put FAILURE", "join FAILURE", "put FAILURE", "chord broken", "Ack"])
        .await;
    let record = bench.store.last();
    let why = Exception::from_value(&record.result).unwrap();
    assert_eq!((record.id.as_str(), why.kind.as_str()), ("body", "ChordError"));
    let text = format!("Dependency {} raised TaskError('bad')", sent.id);
    assert_eq!(why.args, [Value::from(text)]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_somebody_else_is_waited_out_before_the_message_is_acknowledged() {
    let bench = Bench::start(|_| {});
    chord(&bench, 1);
    bench.store.chords.lock().unwrap().get_mut("g").unwrap().claimed = 2;
    bench.send(part("echo", 0));
    bench
        .saw(&[
            "run echo",
            "put SUCCESS",
            "join SUCCESS",
            "join SUCCESS",
            "join SUCCESS",
            "publish celery",
            "chord sent",
            "Ack",
        ])
        .await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_part_that_succeeded_is_counted_in_without_a_run() {
    let bench = Bench::start(|_| {});
    chord(&bench, 1);
    let sent = part("echo", 0);
    let stored = umbel_protocol::record::ResultRecord::new(&sent.id, State::Success, 5.into());
    bench.store.records.lock().unwrap().push(stored);
    bench.broker.redeliver(sent.encode(), 1);
    bench.saw(&["join SUCCESS", "publish celery", "chord sent", "Ack"]).await;
    assert_eq!(bench.broker.sent()[0].args[0], vec![Value::Int(5)].into());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_a_run_sends_are_sent_before_its_result_is_stored_and_are_its_children() {
    let bench = Bench::start(|_| {});
    let sent = Message::new("send", vec!["far.add".into()], Default::default());
    bench.send(sent.clone());
    bench.saw(&["run send", "publish celery", "publish celery", "put SUCCESS", "Ack"]).await;
    let record = bench.store.last();
    let ids: Vec<Value> = bench.broker.sent().iter().map(|sent| (&sent.id).into()).collect();
    assert_eq!(record.result, Value::List(ids));
    assert_eq!(record.children.unwrap().len(), 2);
    assert!(bench.broker.sent().iter().all(|child| child.parent_id == Some(sent.id.clone())));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_sends_only_what_it_may_and_only_so_deep() {
    for (name, depth, said) in [
        ("other.add", 0, "this task may not send `other.add`"),
        ("far.add", 3, "tasks sent by tasks, 3 generations deep: no further"),
    ] {
        let bench = Bench::start(|_| {});
        let mut sent = Message::new("send", vec![name.into()], Default::default());
        sent.headers.insert("umbel_depth".to_owned(), depth.into());
        bench.send(sent);
        bench.saw(&["run send", "put FAILURE", "Ack"]).await;
        let why = Exception::from_value(&bench.store.last().result).unwrap();
        assert_eq!(why.args, [Value::from(said)]);
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_replacement_takes_the_tasks_id_and_its_chain_and_nothing_is_stored() {
    let bench = Bench::start(|_| {});
    let mut sent = Message::new("replace", vec![signature("far.other", "x")], Default::default());
    sent.embed.chain = Some(vec![signature("far.next", "second")].into());
    bench.send(sent.clone());
    bench.saw(&["run replace", "publish celery", "Ack"]).await;
    let other = bench.broker.sent().remove(0);
    assert_eq!((other.id, other.task.as_str()), (sent.id, "far.other"));
    let chain = other.embed.chain.unwrap().value().unwrap();
    let next = chain.as_list().unwrap()[0].get("options").unwrap();
    assert_eq!(next.get("task_id"), Some(&"second".into()));
    assert_eq!(other.replaced_task_nesting, 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_added_to_a_chord_is_waited_for() {
    let bench = Bench::start(|_| {});
    chord(&bench, 1);
    let mut sent = part("grow", 0);
    sent.args = vec![signature("far.more", "more")];
    bench.send(sent);
    bench
        .saw(&["run grow", "grow 1", "publish celery", "put SUCCESS", "join SUCCESS", "Ack"])
        .await;
    let more = bench.broker.sent().remove(0);
    assert_eq!((more.group.as_deref(), more.embed.chord.is_some()), (Some("g"), true));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_built_in_tasks_run_everywhere() {
    let named = |task: &str| Value::from([("task", Value::from(task))]);
    let items: Value = vec![Value::Int(1), Value::Int(2)].into();
    let pairs: Value = vec![vec![Value::Int(1), Value::Int(2)].into()].into();
    let table = [
        ("celery.accumulate", vec![Value::Int(4), Value::Int(5)], "[4,5]"),
        ("celery.backend_cleanup", vec![], "null"),
        ("celery.map", vec![named("echo"), items], "[[1],[2]]"),
        ("celery.starmap", vec![named("echo"), pairs], "[[1,2]]"),
    ];
    for (task, args, result) in table {
        let bench = Bench::start(|_| {});
        bench.send(Message::new(task, args, Default::default()));
        bench.diary.eventually("Ack").await;
        let stored = bench.store.last().result.to_json();
        assert_eq!(stored.replace(' ', ""), result, "{task}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follow_up_that_the_broker_refuses_for_good_fails_the_task() {
    let bench = Bench::start(|_| {});
    bench.broker.failing.store(1000, Ordering::SeqCst);
    let mut sent = message("echo");
    sent.embed.callbacks = Some(vec![signature("far.log", "log")].into());
    bench.send(sent);
    bench.diary.eventually("Ack").await;
    let why = Exception::from_value(&bench.store.last().result).unwrap();
    assert_eq!(why.kind, "OperationalError");
    bench.stop().await;
}

/// Whatever a guest writes into a signature.
#[tokio::test(start_paused = true)]
async fn a_guest_cannot_forge_what_is_the_hosts_to_say() {
    let bench = Bench::start(|_| {});
    let mut forged = signature("far.next", "another-id");
    let options = forged.as_map_mut().unwrap().get_mut("options").unwrap().as_map_mut().unwrap();
    for name in [
        "root_id",
        "parent_id",
        "reply_to",
        "correlation_id",
        "group_id",
        "exchange",
        "routing_key",
    ] {
        options.insert(name.to_owned(), "forged".into());
    }
    let headers = ["id", "root_id", "parent_id", "origin", "stamps", "CC", "BCC", "umbel_depth"];
    let mut given: umbel_value::Map =
        headers.iter().map(|name| ((*name).to_owned(), "forged".into())).collect();
    given.insert("own".to_owned(), "kept".into());
    options.insert("headers".to_owned(), given.into());
    let sent = Message { reply_to: Some("client".to_owned()), ..message("apply") };
    let sent = Message { args: vec![forged], ..sent };
    bench.send(sent.clone());
    bench.saw(&["run apply", "publish celery", "put SUCCESS", "Ack"]).await;
    let (route, raw) = bench.broker.published.lock().unwrap()[0].clone();
    assert_eq!((route.exchange.as_str(), route.routing_key.as_str()), ("", "celery"));
    let got = Message::decode(&raw).unwrap();
    assert_ne!(got.id, "another-id");
    assert_eq!(got.correlation_id.as_ref(), Some(&got.id));
    assert_eq!((&got.root_id, got.parent_id), (&sent.root_id, Some(sent.id)));
    assert_eq!((got.reply_to, got.group), (sent.reply_to, None));
    assert_eq!(got.headers.get("own"), Some(&"kept".into()));
    let written = Value::Map(raw.headers).to_json();
    assert!(!written.contains("forged"), "{written}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_sends_to_no_queue_but_its_tasks_own() {
    for (queue, sent) in [("celery", true), ("other", false), ("celery.pidbox", false)] {
        let bench = Bench::start(|_| {});
        let mut to = signature("far.next", "x");
        let options = to.as_map_mut().unwrap().get_mut("options").unwrap().as_map_mut().unwrap();
        options.insert("queue".to_owned(), queue.into());
        bench.send(Message { args: vec![to], ..message("apply") });
        bench.diary.eventually("Ack").await;
        assert_eq!(bench.broker.sent().len(), usize::from(sent), "{queue}");
        let state = if sent { State::Success } else { State::Failure };
        assert_eq!(bench.store.last().state, state, "{queue}");
        bench.stop().await;
    }
}
