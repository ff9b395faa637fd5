//! The soft time limit ends a run, unless the run has taken it upon itself.

use std::time::Duration;

use crate::support::{ALLOCATOR, Bench, SLACK, WAIT, body, run, timed};
use umbel_task::outcome::{Limit, Outcome};
use umbel_task::policy::Sandbox;
use umbel_value::Value;

const SOFT: Duration = Duration::from_millis(150);
const HARD: Duration = Duration::from_millis(400);

fn both(sandbox: &mut Sandbox) {
    sandbox.soft_time = Some(SOFT);
    sandbox.time = HARD;
}

async fn ends_at(text: &str, args: &str, expected: Limit, after: Duration) {
    let bench = Bench::new();
    let (outcome, took) = timed(&bench.limited(text, both), args).await;
    let Outcome::OverLimit(limit, _) = outcome else { panic!("{outcome:?}") };
    assert_eq!(limit, expected);
    assert!(took >= after && took < after + SLACK, "it took {took:?}");
}

#[tokio::test]
async fn a_computing_and_a_waiting_run_end_at_the_soft_limit() {
    ends_at(&body("", "(loop (br 0))"), "[]", Limit::SoftTime(SOFT), SOFT).await;
    ends_at(WAIT, FOR_EVER, Limit::SoftTime(SOFT), SOFT).await;
    let start = "(func $spin (loop (br 0))) (start $spin)";
    ends_at(&body(start, ""), "[]", Limit::SoftTime(SOFT), SOFT).await;
}

#[tokio::test]
async fn a_run_that_takes_the_soft_limit_ends_at_the_hard_one() {
    ends_at(&spinning(), "[]", Limit::Time(HARD), HARD).await;
    ends_at(&waiting(), FOR_EVER, Limit::Time(HARD), HARD).await;
}

#[tokio::test]
async fn a_run_that_takes_the_soft_limit_may_end_by_itself_after_it() {
    let bench = Bench::new();
    let task = bench.limited(&waiting(), |sandbox| {
        sandbox.soft_time = Some(Duration::from_millis(50));
        sandbox.time = Duration::from_secs(60);
    });
    let (outcome, took) = timed(&task, "[100000000]").await;
    assert_eq!(outcome, Outcome::Done(Value::Null));
    assert!(took >= Duration::from_millis(100), "it took {took:?}");
}

#[tokio::test]
async fn a_soft_limit_that_the_hard_one_comes_before_is_none() {
    let bench = Bench::new();
    for soft in [HARD, HARD * 2] {
        let task = bench.limited(&body("", "(loop (br 0))"), |sandbox| {
            sandbox.soft_time = Some(soft);
            sandbox.time = HARD;
        });
        let outcome = run(&task, "[]").await.outcome;
        assert!(matches!(outcome, Outcome::OverLimit(Limit::Time(HARD), _)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_run_can_ask_how_long_it_has() {
    let bench = Bench::new();
    let outcome = run(&bench.task(&asking()), "[]").await.outcome;
    assert_eq!(outcome, Outcome::Done(Value::Null), "no soft limit, no time left until it");
    let task = bench.limited(&asking(), |sandbox| sandbox.soft_time = Some(HARD));
    let Outcome::Done(Value::Int(left)) = run(&task, "[]").await.outcome else { panic!() };
    assert!(left > 0 && left <= 400, "{left}");
}

#[tokio::test]
async fn an_async_run_has_a_soft_limit_too() {
    let text = r#"(component
        (core module $m
            (func (export "task") (result i32) (loop (br 0)) unreachable)
            (func (export "resume") (param i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (func (export "task") async
            (canon lift (core func $i "task") async (callback (core func $i "resume")))))"#;
    ends_at(text, "[]", Limit::SoftTime(SOFT), SOFT).await;
}

/// More nanoseconds than anybody has.
const FOR_EVER: &str = "[18446744073709551615]";

/// The import by which a run takes the soft limit upon itself, as core function `$take`.
const TAKE: &str = r#"
    (import "umbel:task/context@0.1.0" (instance $context
        (export "take-soft-limit" (func))))
    (core func $take (canon lower (func $context "take-soft-limit")))"#;

/// Takes the soft limit upon itself and computes for ever.
fn spinning() -> String {
    format!(
        r#"(component {TAKE}
            (core module $m
                (import "h" "take" (func $take))
                (func (export "task") (call $take) (loop (br 0))))
            (core instance $i (instantiate $m (with "h" (instance (export "take" (func $take))))))
            (func (export "task") (canon lift (core func $i "task"))))"#
    )
}

/// `WAIT`, but takes the soft limit upon itself before it waits.
fn waiting() -> String {
    WAIT.replacen("(component", &format!("(component {TAKE}"), 1)
        .replace("(core module $m", r#"(core module $m (import "h" "take" (func $take))"#)
        .replace("(call $block (call", "(call $take) (call $block (call")
        .replace(r#"(export "sub""#, r#"(export "take" (func $take)) (export "sub""#)
}

/// Gives the milliseconds until the soft limit.
fn asking() -> String {
    format!(
        r#"(component {ALLOCATOR}
            (import "umbel:task/context@0.1.0" (instance $context
                (export "soft-remaining-ms" (func (result (option u64))))))
            (core func $left (canon lower (func $context "soft-remaining-ms")
                (memory (core memory $i "memory"))))
            (core module $n
                (import "h" "left" (func $left (param i32)))
                (func (export "left") (result i32)
                    (call $left (i32.const 64)) (i32.const 64)))
            (core instance $n (instantiate $n
                (with "h" (instance (export "left" (func $left))))))
            (func (export "left") (result (option u64))
                (canon lift (core func $n "left") (memory (core memory $i "memory")))))"#
    )
}
