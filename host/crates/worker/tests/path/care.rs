//! What is held, limited, delivered again, put aside.

use std::sync::atomic::Ordering;
use std::time::Duration;

use umbel_protocol::message::Message;
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_protocol::time::Timestamp;
use umbel_transport::broker::BrokerError;
use umbel_value::Value;
use umbel_worker::WorkerError;

use crate::bench::{Bench, check, message};

fn later(task: &str, wait: Duration) -> Message {
    let eta = Some(Timestamp::new(jiff::Timestamp::now() + wait));
    Message { eta, ..message(task) }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_to_hold_is_given_to_the_broker() {
    let bench = Bench::start(|config| config.hold_limit = 1);
    bench.broker.delays.store(true, Ordering::SeqCst);
    bench.send(later("echo", Duration::from_secs(3600)));
    bench.send(later("echo", Duration::from_secs(7200)));
    bench.diary.eventually("Delay").await;
    assert_eq!(bench.diary.lines(), ["Delay"]);
    let (_, at) = bench.broker.delayed.lock().unwrap()[0].clone();
    let wait = at.duration_since(jiff::Timestamp::now()).as_secs();
    assert!(wait > 3600 && wait <= 7200, "{wait}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_cannot_delay_leaves_it_to_us() {
    let bench = Bench::start(|config| {
        config.hold_limit = 0;
        config.concurrency = 4;
    });
    bench.send(later("echo", Duration::from_secs(2)));
    bench.send(message("fail"));
    bench.diary.eventually("put FAILURE").await;
    assert!(bench.diary.lines().contains(&"run fail".to_owned()));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_message_that_succeeded_is_acknowledged_without_a_run() {
    let bench = Bench::start(|_| {});
    let sent = message("echo");
    let stored = ResultRecord::new(&sent.id, State::Success, Value::Int(5));
    bench.store.records.lock().unwrap().push(stored);
    bench.broker.redeliver(sent.encode(), 1);
    bench.saw(&["Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_message_that_did_not_succeed_runs() {
    let bench = Bench::start(|_| {});
    let sent = message("echo");
    let stored = ResultRecord::new(&sent.id, State::Retry, Value::Null);
    bench.store.records.lock().unwrap().push(stored);
    bench.broker.redeliver(sent.encode(), 1);
    bench.saw(&["run echo", "put SUCCESS", "Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_messages_of_one_id_run_one_after_the_other_and_the_second_not_at_all() {
    let bench = Bench::start(|config| config.concurrency = 4);
    let sent = message("slow");
    bench.send(sent.clone());
    bench.send(sent);
    bench.diary.eventually("run slow").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.diary.lines(), ["run slow"]);
    bench.gate.add_permits(2);
    let diary = bench.diary.clone();
    while diary.lines().len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(diary.lines(), ["run slow", "put SUCCESS", "Ack", "Ack"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_keeps_taking_its_worker_down_is_put_aside_with_the_reason() {
    let bench = Bench::start(|_| {});
    bench.broker.redeliver(message("echo").encode(), 5);
    bench.saw(&["put FAILURE", "Discard"]).await;
    let letter = bench.broker.buried.lock().unwrap().remove(0);
    assert!(letter.parked);
    assert_eq!(letter.reason, "5 deliveries took their worker down");
    let why = Exception::from_value(&bench.store.last().result).unwrap();
    assert_eq!(why.kind, "WorkerLostError");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn suspects_run_one_at_a_time() {
    let bench = Bench::start(|config| config.concurrency = 4);
    for _ in 0..3 {
        bench.broker.redeliver(message("slow").encode(), 2);
    }
    bench.diary.eventually("run slow").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.diary.lines(), ["run slow"]);
    bench.gate.add_permits(3);
    let diary = bench.diary.clone();
    while diary.lines().iter().filter(|line| *line == "Ack").count() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_limited_task_starts_at_its_rate() {
    let bench = Bench::start(|config| config.concurrency = 4);
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        bench.send(message("limited"));
    }
    let diary = bench.diary.clone();
    while diary.lines().iter().filter(|line| *line == "Ack").count() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_alone_does_not_keep_the_others_waiting() {
    let bench = Bench::start(|config| {
        config.concurrency = 2;
        config.hold_limit = 10;
    });
    for _ in 0..3 {
        bench.send(message("alone"));
    }
    bench.diary.eventually("run alone").await;
    bench.send(message("echo"));
    bench.diary.eventually("put SUCCESS").await;
    let runs = bench.diary.lines().iter().filter(|line| *line == "run alone").count();
    assert_eq!(runs, 1);
    bench.gate.add_permits(3);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tracked_task_is_seen_to_have_started() {
    let bench = Bench::start(|_| {});
    bench.send(message("tracked"));
    bench.diary.eventually("put STARTED").await;
    assert!(bench.store.last().result.get("hostname").is_some());
    bench.gate.add_permits(1);
    bench.saw(&["run tracked", "put STARTED", "put SUCCESS", "Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_failure_that_the_policy_names_is_retried() {
    check(message("kinds"), &["run kinds", "publish celery", "put RETRY", "Ack"]).await;
    let last = Message { retries: 3, ..message("kinds") };
    check(last, &["run kinds", "put FAILURE", "Ack"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_may_keep_its_failures_and_its_timeouts_unacknowledged() {
    let with = |arg: &str| Message::new("strict", vec![arg.into()], Default::default());
    check(with("fail"), &["run strict", "put FAILURE", "Discard"]).await;
    check(with("slow"), &["run strict", "put FAILURE", "Reject"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_results_may_still_store_its_errors() {
    let with = |arg: &str| Message::new("silent", vec![arg.into()], Default::default());
    check(with("done"), &["run silent", "Ack"]).await;
    check(with("fail"), &["run silent", "put FAILURE", "Ack"]).await;
    let asked = Message { ignore_result: Some(false), ..with("done") };
    check(asked, &["run silent", "put SUCCESS", "Ack"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_is_retried_if_its_policy_says_so() {
    let bench = Bench::start(|_| {});
    bench.send(message("again"));
    bench.diary.eventually("run again").await;
    bench.shutdown.abort();
    let (diary, broker) = (bench.diary.clone(), bench.broker.clone());
    bench.stop().await;
    assert_eq!(diary.lines(), ["run again", "publish celery", "put RETRY", "Ack"]);
    assert_eq!(broker.sent()[0].retries, 1);
}

#[tokio::test(start_paused = true)]
async fn an_extended_result_names_task_arguments_worker_and_queue() {
    let bench = Bench::start(|config| config.result_extended = true);
    bench.send(message("echo"));
    bench.diary.eventually("Ack").await;
    let other = bench.store.last().other;
    let keys: Vec<&str> = other.keys().map(String::as_str).collect();
    assert_eq!(keys, ["name", "args", "kwargs", "worker", "retries", "queue"]);
    assert_eq!(other["queue"], Value::from("celery"));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_an_unknown_name_is_parked_and_runs_once_the_name_is_there() {
    let bench = Bench::start(|config| config.park_unknown = true);
    bench.send(message("late"));
    bench.send(message("never"));
    while bench.diary.lines().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.store.records.lock().unwrap().is_empty(), "they have not ended");
    let parked = || bench.broker.buried.lock().unwrap().clone();
    while parked().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(parked().iter().all(|letter| letter.parked), "whatever the queue's settings say");
    assert_eq!(parked()[0].reason, "no task `late` is registered here");
    bench.late.store(true, Ordering::SeqCst);
    bench.diary.eventually("Ack").await;
    let expected = ["Discard", "Discard", "replay", "run late", "put SUCCESS", "Ack"];
    assert_eq!(bench.diary.lines(), expected);
    assert_eq!(parked().len(), 1, "the other one waits on");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_the_first_message_is_made_again() {
    let bench = Bench::start(|_| {});
    bench.broker.away.store(2, Ordering::SeqCst);
    bench.send(message("echo"));
    bench.saw(&["no broker", "no broker", "run echo", "put SUCCESS", "Ack"]).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_be_stopped_while_it_waits_for_its_broker() {
    let bench = Bench::start(|_| {});
    bench.broker.away.store(usize::MAX, Ordering::SeqCst);
    bench.diary.eventually("no broker").await;
    assert_eq!(bench.stop().await.stuck, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stays_away_before_the_first_message_is_an_error() {
    let bench = Bench::start(|_| {});
    bench.broker.away.store(usize::MAX, Ordering::SeqCst);
    let ended = bench.worker.await.unwrap();
    assert!(matches!(ended, Err(WorkerError::Consume(BrokerError::Unreachable { .. }))));
}
