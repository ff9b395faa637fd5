//! How runs end: what is stored, what is acknowledged, in which order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use umbel_protocol::message::{Message, RawMessage};
use umbel_protocol::record::{Exception, State};
use umbel_protocol::time::Timestamp;
use umbel_value::Value;

use crate::bench::{Bench, check, exception, message, signature};

#[tokio::test(start_paused = true)]
async fn a_success_is_stored_before_its_message_is_acknowledged() {
    let sent = message("echo");
    let store = check(sent.clone(), &["run echo", "put SUCCESS", "Ack"]).await;
    let record = store.last();
    assert_eq!((record.id, record.result), (sent.id, Value::List(vec![Value::Int(1)])));
    assert!(record.date_done.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_stored_and_its_message_acknowledged() {
    let store = check(message("fail"), &["run fail", "put FAILURE", "Ack"]).await;
    assert_eq!(exception(&store), ("umbel.exceptions".into(), "TaskError".into()));
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_is_billiards_exception_with_whole_seconds() {
    let store = check(message("endless"), &["run endless", "put FAILURE", "Ack"]).await;
    assert_eq!(exception(&store), ("billiard.exceptions".into(), "TimeLimitExceeded".into()));
    let exception = Exception::from_value(&store.last().result).expect("an exception");
    assert_eq!(exception.args, [Value::Int(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_guests_exception_names_never_leave_their_module() {
    let table = [
        ("ValueError", "builtins", "ValueError"),
        ("MyError", "umbel.exceptions", "MyError"),
        ("os.system", "umbel.exceptions", "TaskError"),
        ("SystemExit", "umbel.exceptions", "SystemExit"),
        ("eval", "umbel.exceptions", "eval"),
        ("", "umbel.exceptions", "TaskError"),
        ("1st", "umbel.exceptions", "TaskError"),
        (&"x".repeat(101), "umbel.exceptions", "TaskError"),
    ];
    for (kind, module, shown) in table {
        let message = Message::new("kind", vec![Value::Text(kind.to_owned())], Default::default());
        let store = check(message, &["run kind", "put FAILURE", "Ack"]).await;
        assert_eq!(exception(&store), (module.to_owned(), shown.to_owned()), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_told_to_the_caller_and_discarded() {
    let store = check(message("nope"), &["put FAILURE", "Discard"]).await;
    assert_eq!(exception(&store), ("celery.exceptions".into(), "NotRegistered".into()));
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_revoked_without_a_run() {
    let past = jiff::Timestamp::now() - Duration::from_secs(1);
    let message = Message { expires: Some(Timestamp::new(past)), ..message("echo") };
    let store = check(message, &["put REVOKED", "Ack"]).await;
    assert_eq!(exception(&store), ("celery.exceptions".into(), "TaskRevokedError".into()));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_told_to_its_caller_and_discarded() {
    let store = check(message("reject"), &["run reject", "put FAILURE", "Discard"]).await;
    assert_eq!(exception(&store), ("celery.exceptions".into(), "Reject".into()));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_message_stores_nothing() {
    check(message("ignore"), &["run ignore", "Ack"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_ignores_the_result_gets_none() {
    let ignoring = |task| Message { ignore_result: Some(true), ..message(task) };
    check(ignoring("echo"), &["run echo", "Ack"]).await;
    check(ignoring("fail"), &["run fail", "Ack"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_sent_before_it_is_stored_and_keeps_its_id() {
    let bench = Bench::start(|_| {});
    let sent = message("retry");
    bench.send(sent.clone());
    bench.diary.eventually("Ack").await;
    assert_eq!(bench.diary.lines(), ["run retry", "publish celery", "put RETRY", "Ack"]);
    let (_, raw) = bench.broker.published.lock().unwrap()[0].clone();
    let again = Message::decode(&raw).unwrap();
    assert_eq!((again.id, again.retries, again.args), (sent.id, 1, sent.args));
    let wait = again.eta.expect("an eta").at.duration_since(jiff::Timestamp::now());
    assert!((5..=7).contains(&wait.as_secs()), "{wait:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_retry_fails_with_its_cause() {
    let message = Message { retries: 2, ..message("retry") };
    let store = check(message, &["run retry", "put FAILURE", "Ack"]).await;
    assert_eq!(exception(&store), ("builtins".into(), "ValueError".into()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_while_the_store_is_away() {
    let bench = Bench::start(|_| {});
    bench.store.failing.store(3, Ordering::SeqCst);
    bench.send(message("echo"));
    bench.diary.eventually("Ack").await;
    let expected = ["run echo", "put fails", "put fails", "put fails", "put SUCCESS", "Ack"];
    assert_eq!(bench.diary.lines(), expected);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_broker_before_anything_is_stored() {
    let bench = Bench::start(|_| {});
    bench.broker.failing.store(2, Ordering::SeqCst);
    bench.send(message("retry"));
    bench.diary.eventually("Ack").await;
    let expected =
        ["run retry", "publish fails", "publish fails", "publish celery", "put RETRY", "Ack"];
    assert_eq!(bench.diary.lines(), expected);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_early_acknowledgement_precedes_the_run() {
    let bench = Bench::start(|_| {});
    bench.gate.add_permits(1);
    bench.send(message("slow-early"));
    bench.diary.eventually("put SUCCESS").await;
    assert_eq!(bench.diary.lines(), ["Ack", "run slow-early", "put SUCCESS"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_is_discarded_and_the_next_message_runs() {
    let bench = Bench::start(|_| {});
    let broken = RawMessage { body: "[[1".into(), ..message("echo").encode() };
    bench.broker.deliver(broken);
    bench.diary.eventually("Discard").await;
    bench.send(message("echo"));
    bench.diary.eventually("Ack").await;
    assert_eq!(bench.diary.lines(), ["Discard", "run echo", "put SUCCESS", "Ack"]);
    let summary = bench.stop().await;
    assert_eq!((summary.refused, summary.finished), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_house_does_not_delay_a_refusal() {
    let bench = Bench::start(|config| {
        config.concurrency = 1;
        config.prefetch_multiplier = 3;
    });
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    bench.send(message("slow"));
    bench.send(message("nope"));
    bench.diary.eventually("Discard").await;
    assert_eq!(bench.diary.lines(), ["run slow", "put FAILURE", "Discard"]);
    bench.gate.add_permits(2);
    bench.diary.eventually("Ack").await;
    bench.stop().await;
}

#[tokio::test]
async fn a_message_before_its_eta_takes_no_slot() {
    let bench = Bench::start(|config| config.concurrency = 1);
    let soon = jiff::Timestamp::now() + Duration::from_millis(300);
    bench.send(Message { eta: Some(Timestamp::new(soon)), ..message("fail") });
    bench.send(message("echo"));
    bench.diary.eventually("put FAILURE").await;
    let lines = bench.diary.lines();
    let at = |line: &str| lines.iter().position(|seen| seen == line).expect(line);
    assert!(at("run echo") < at("run fail"), "{lines:?}");
    assert!(jiff::Timestamp::now() >= soon);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_running_tasks_end_and_gives_waiting_ones_back() {
    let bench = Bench::start(|config| {
        config.concurrency = 1;
        config.prefetch_multiplier = 4;
    });
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    bench.send(message("slow"));
    let later = jiff::Timestamp::now() + Duration::from_secs(3600);
    bench.send(Message { eta: Some(Timestamp::new(later)), ..message("echo") });
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.shutdown.drain();
    bench.diary.eventually("Requeue").await;
    bench.gate.add_permits(1);
    let diary = bench.diary.clone();
    let summary = bench.stop().await;
    let lines = diary.lines();
    assert_eq!(lines.iter().filter(|line| *line == "Requeue").count(), 2, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("Ack"), "{lines:?}");
    assert_eq!((summary.finished, summary.returned, summary.stuck), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_cut_off_goes_back_without_a_result() {
    let bench = Bench::start(|_| {});
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    bench.shutdown.abort();
    let diary = bench.diary.clone();
    bench.stop().await;
    assert_eq!(diary.lines(), ["run slow", "Requeue"]);
}

#[tokio::test(start_paused = true)]
async fn an_early_acknowledged_run_cut_off_is_recorded_as_lost() {
    let bench = Bench::start(|_| {});
    bench.send(message("slow-early"));
    bench.diary.eventually("run slow-early").await;
    bench.shutdown.abort();
    let store = bench.store.clone();
    bench.stop().await;
    assert_eq!(exception(&store), ("billiard.exceptions".into(), "WorkerLostError".into()));
}

#[tokio::test(start_paused = true)]
async fn the_drain_timeout_cuts_off_what_does_not_end() {
    let bench = Bench::start(|config| config.drain_timeout = Duration::from_secs(2));
    bench.send(message("slow"));
    bench.diary.eventually("run slow").await;
    let diary = bench.diary.clone();
    bench.stop().await;
    assert_eq!(diary.lines(), ["run slow", "Requeue"]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_coalesced_and_never_follows_the_end() {
    let bench = Bench::start(|_| {});
    bench.send(message("progress"));
    bench.diary.eventually("Ack").await;
    let lines = bench.diary.lines();
    let updates = lines.iter().filter(|line| *line == "put PROGRESS").count();
    assert!(updates < 1000, "{updates} updates were stored");
    assert_eq!(lines[lines.len() - 2..], ["put SUCCESS", "Ack"]);
    assert_eq!(bench.store.last().state, State::Success);
    bench.stop().await;
}

/// The log, the counters and the record say the same, and nothing is sent that follows a success.
#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_written_is_a_failure_to_everybody() {
    let bench = Bench::start(|_| {});
    let mut sent = message("echo");
    sent.args = vec!["unwritable".into()];
    sent.embed.callbacks = Some(vec![signature("far.log", "log")].into());
    sent.embed.errbacks = Some(vec![signature("far.oops", "oops")].into());
    bench.send(sent);
    bench.saw(&["run echo", "put FAILURE", "publish celery", "Ack"]).await;
    assert_eq!(exception(&bench.store), ("kombu.exceptions".into(), "EncodeError".into()));
    assert_eq!(bench.broker.sent()[0].task, "far.oops");
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_nobody_wants_need_not_be_written() {
    let bench = Bench::start(|_| {});
    let sent = Message { args: vec!["unwritable".into()], ..message("echo") };
    bench.send(Message { ignore_result: Some(true), ..sent });
    bench.saw(&["run echo", "Ack"]).await;
    bench.stop().await;
}
