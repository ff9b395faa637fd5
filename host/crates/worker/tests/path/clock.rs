//! The wall clock jumps: what is said in its terms follows it, nothing else does.

use std::cell::Cell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use umbel_protocol::message::Message;
use umbel_protocol::time::Timestamp as WireTime;

use crate::bench::{Bench, exception, message};

thread_local! {
    /// How far the clock of this test has jumped, in seconds.
    static JUMPED: Cell<i64> = const { Cell::new(0) };
}

const HOUR: i64 = 3600;

/// The worker of a test runs on the thread of the test.
fn clock() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(JUMPED.get())
}

fn jump(seconds: i64) {
    JUMPED.set(JUMPED.get() + seconds);
}

fn in_seconds(seconds: i64) -> Option<WireTime> {
    Some(WireTime::new(clock() + SignedDuration::from_secs(seconds)))
}

/// A worker that holds a message with an eta in half an hour.
async fn holding(expires: Option<WireTime>) -> Bench {
    let bench = Bench::start(|config| config.clock = clock);
    bench.send(Message { eta: in_seconds(HOUR / 2), expires, ..message("echo") });
    // It is held once the worker has looked at the next one.
    bench.send(message("fail"));
    bench.diary.eventually("put FAILURE").await;
    bench.diary.eventually("Ack").await;
    bench
}

#[tokio::test(start_paused = true)]
async fn a_held_message_runs_soon_after_the_clock_has_passed_its_eta() {
    let bench = holding(None).await;
    jump(HOUR);
    bench.diary.eventually("put SUCCESS").await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_held_message_waits_on_when_the_clock_is_set_back() {
    let bench = holding(None).await;
    jump(-HOUR);
    // By the old clock it is due by now; by the new one it is not for another half an hour.
    tokio::time::sleep(Duration::from_secs(2400)).await;
    assert!(!bench.diary.lines().contains(&"run echo".to_owned()), "it ran before its time");
    jump(2 * HOUR);
    bench.diary.eventually("run echo").await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_waits_is_refused_by_the_clock_of_the_moment() {
    let bench = holding(in_seconds(HOUR * 3 / 4)).await;
    jump(HOUR);
    bench.diary.eventually("put REVOKED").await;
    assert_eq!(exception(&bench.store), ("celery.exceptions".into(), "TaskRevokedError".into()));
    assert!(!bench.diary.lines().contains(&"run echo".to_owned()), "it ran after its time");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_does_not_notice_a_jump_in_either_direction() {
    for by in [HOUR, -HOUR] {
        let bench = Bench::start(|config| config.clock = clock);
        bench.send(message("slow"));
        bench.diary.eventually("run slow").await;
        jump(by);
        bench.gate.add_permits(1);
        bench.saw(&["run slow", "put SUCCESS", "Ack"]).await;
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_goes_by_the_time_that_passes_and_not_by_the_clock() {
    let bench = Bench::start(|config| config.clock = clock);
    for _ in 0..2 {
        bench.send(message("limited"));
    }
    bench.diary.eventually("Ack").await;
    let before = tokio::time::Instant::now();
    jump(-HOUR);
    let ran = || bench.diary.lines().iter().filter(|line| *line == "run limited").count();
    while ran() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(before.elapsed() < Duration::from_secs(5), "it waited {:?}", before.elapsed());
    bench.stop().await;
}
