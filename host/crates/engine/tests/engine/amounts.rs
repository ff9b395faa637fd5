//! Every amount that a run may use is finite, its own, and on the bill.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Bench, Recorder, SLACK, WAIT, body, call, echo, refusal, run, run_with, timed,
};
use umbel_task::outcome::{Limit, Outcome};
use umbel_value::Value;

const LIMIT: Duration = Duration::from_millis(100);

/// The words of a limit on what the host gives.
#[track_caller]
fn host_limit(outcome: Outcome) -> String {
    match outcome {
        Outcome::OverLimit(Limit::HostCalls(what), _) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn burning_the_processor_ends_at_the_cpu_limit() {
    let bench = Bench::new();
    let start = "(func $spin (loop (br 0))) (start $spin)";
    for text in [body("", "(loop (br 0))"), body(start, "")] {
        let task = bench.limited(&text, |s| s.cpu = Some(LIMIT));
        let ended = run(&task, "[]").await;
        let Outcome::OverLimit(Limit::Cpu(limit), _) = ended.outcome else { panic!("{ended:?}") };
        assert_eq!(limit, LIMIT);
        let cpu = ended.cost.cpu;
        assert!(cpu >= LIMIT && cpu < LIMIT + Duration::from_millis(30), "{cpu:?}");
    }
}

#[tokio::test]
async fn burning_it_between_waits_counts_as_well() {
    let bench = Bench::new();
    let text = WAIT.replace(
        "(call $block (call $sub (local.get 0)))",
        "(local $n i32)
         (loop $on
            (call $block (call $sub (local.get 0)))
            (local.set $n (i32.const 200000))
            (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (br $on))",
    );
    let task = bench.limited(&text, |s| {
        s.cpu = Some(LIMIT);
        s.handles = 1_000_000;
    });
    let outcome = run(&task, "[1000]").await.outcome;
    assert!(matches!(outcome, Outcome::OverLimit(Limit::Cpu(LIMIT), _)), "{outcome:?}");
}

#[tokio::test]
async fn waiting_costs_no_cpu_time() {
    let bench = Bench::new();
    let task = bench.limited(WAIT, |s| s.cpu = Some(Duration::from_millis(50)));
    let ended = run(&task, "[200000000]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Null));
    assert!(ended.cost.wall >= Duration::from_millis(200) && ended.cost.host_calls >= 2);
}

#[tokio::test]
async fn host_calls_without_end_end_at_their_number() {
    let bench = Bench::new();
    let waits = WAIT.replace(
        "(call $block (call $sub (local.get 0)))",
        "(loop (call $block (call $sub (local.get 0))) (br 0))",
    );
    let draws = drawing("(loop (drop (call $u64)) (br 0))");
    for (text, args) in [(waits, "[1000]"), (draws, "[]")] {
        let task = bench.limited(&text, |s| {
            s.host_calls = 500;
            s.random = u64::MAX;
        });
        let ended = run(&task, args).await;
        assert_eq!(host_limit(ended.outcome), "more than 500 calls of the host");
        assert!(ended.cost.host_calls > 500);
    }
}

#[tokio::test]
async fn randomness_ends_at_its_bytes() {
    let bench = Bench::new();
    for (core, drawn) in [
        ("(loop (drop (call $u64)) (br 0))", 800),
        ("(loop (call $bytes (i64.const 300) (i32.const 8)) (br 0))", 600),
        // More than any machine has.
        ("(call $bytes (i64.const -1) (i32.const 8))", 0),
    ] {
        let task = bench.limited(&drawing(core), |s| s.random = 800);
        let ended = run(&task, "[]").await;
        assert_eq!(host_limit(ended.outcome), "more than 800 bytes of randomness", "{core}");
        assert_eq!(ended.cost.random, drawn, "{core}");
    }
}

#[tokio::test]
async fn handles_end_at_their_number() {
    let bench = Bench::new();
    let text = WAIT.replace(
        "(call $block (call $sub (local.get 0)))",
        "(loop (drop (call $sub (local.get 0))) (br 0))",
    );
    let task = bench.limited(&text, |s| s.handles = 50);
    assert_eq!(host_limit(run(&task, "[1]").await.outcome), "more than 50 handles held");
}

#[tokio::test]
async fn updates_beyond_their_number_are_dropped_and_told() {
    let bench = Bench::new();
    let recorder = Arc::new(Recorder::default());
    let task = bench.limited(&updating(), |s| s.progress = 10);
    let ended = run_with(&task, call("[]"), recorder.clone()).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Null));
    assert_eq!((recorder.notes.lock().unwrap().len(), ended.cost.progress), (10, 1000));
    let lines = recorder.lines.lock().unwrap();
    assert_eq!(lines[0].message, "990 progress updates dropped beyond the limit of 10");
}

#[tokio::test]
async fn a_table_grows_up_to_its_limit() {
    let bench = Bench::new();
    let text = r#"(component
        (core module $m (table $t 10 funcref)
            (func (export "grow") (param i32) (result i32)
                (table.grow $t (ref.null func) (local.get 0))))
        (core instance $i (instantiate $m))
        (func (export "grow") (param "by" u32) (result s32) (canon lift (core func $i "grow"))))"#;
    let task = bench.limited(text, |s| s.table_elements = 100);
    for (by, answer, most) in [(90, 10, 100), (91, -1, 10), (u32::MAX, -1, 10)] {
        let ended = run(&task, &format!("[{by}]")).await;
        assert_eq!(ended.outcome, Outcome::Done(Value::Int(answer)), "{by}");
        assert_eq!(ended.cost.table_elements, most, "{by}");
    }
}

#[test]
fn a_component_too_large_is_refused_by_the_limits_name() {
    let bench = Bench::new();
    let many = |what: &str, count: usize| body(&what.repeat(count), "");
    let instances =
        format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(201));
    for (text, limit) in [
        (many("(memory 1)", 9), "memories"),
        (many("(table 1 funcref)", 17), "tables"),
        (body("(table 200001 funcref)", ""), "table-elements"),
        (body("(memory 4097)", ""), "memory"),
        (instances, "instances"),
    ] {
        let why = bench.refusal(&text);
        assert!(why.contains(&format!("limit `{limit}` of every task")), "{limit}: {why}");
    }
    // Below what the engine has room for, above what this task may.
    let lower = |text: &str, change: fn(&mut umbel_task::policy::Sandbox)| {
        let mut source = bench.source(text);
        change(&mut source.policy.sandbox);
        refusal(bench.engine.load(&source))
    };
    let why = lower(&many("(memory 1)", 3), |s| s.memories = 2);
    assert!(why.contains("starts with 3 memories, but `task` may only use 2"), "{why}");
    let why = lower(&many("(table 1 funcref)", 3), |s| s.tables = 2);
    assert!(why.ends_with("raise its limit `tables`"), "{why}");
    let why = lower(&body("", ""), |s| s.instances = 10_000);
    assert!(why.contains("10000 (`instances`), but the engine is made for 200"), "{why}");
}

#[tokio::test]
async fn more_core_instances_than_the_task_may_have_end_the_run() {
    let bench = Bench::new();
    let text = body("", "")
        .replace("(core instance $i", "(core instance (instantiate $m)) (core instance $i");
    let task = bench.limited(&text, |s| s.instances = 1);
    assert_eq!(host_limit(run(&task, "[]").await.outcome), "more than 1 core instances");
}

#[tokio::test]
async fn more_than_a_run_may_pass_in_one_call_ends_it() {
    let bench = Bench::new();
    // 100 MiB of text for the log, whose line would be cut anyway.
    let text = updating()
        .replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 2000)")
        .replace("(i32.const 2))", "(i32.const 104857600))");
    let (outcome, took) = timed(&bench.task(&text), "[]").await;
    assert_eq!(host_limit(outcome), "too many bytes passed to the host in one call");
    assert!(took < SLACK, "it took {took:?}");
}

#[tokio::test]
async fn the_bill_names_what_was_used() {
    let bench = Bench::new();
    let text = echo("", "string");
    let ended = run(&bench.task(&text), "[\"abc\"]").await;
    let cost = ended.cost;
    assert!(cost.memory >= 65536 && cost.output == 5 && !cost.cpu.is_zero(), "{cost:?}");
    assert_eq!((cost.host_calls, cost.random, cost.progress, cost.fuel), (0, 0, 0, None));
}

/// A task that may call `$u64` and `$bytes` (a length, and where the list's address goes).
fn drawing(core: &str) -> String {
    format!(
        r#"(component
            (import "wasi:random/random@0.2.0" (instance $random
                (export "get-random-u64" (func (result u64)))
                (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
            (core module $libc (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
            (core instance $libc (instantiate $libc))
            (core func $u64 (canon lower (func $random "get-random-u64")))
            (core func $bytes (canon lower (func $random "get-random-bytes")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $m
                (import "h" "u64" (func $u64 (result i64)))
                (import "h" "bytes" (func $bytes (param i64 i32)))
                (func (export "task") {core}))
            (core instance $i (instantiate $m (with "h" (instance
                (export "u64" (func $u64)) (export "bytes" (func $bytes))))))
            (func (export "task") (canon lift (core func $i "task"))))"#
    )
}

/// Gives a thousand updates with the details `{}`.
fn updating() -> String {
    r#"(component
        (import "umbel:task/types@0.1.0" (instance $types
            (type $text string) (export "json" (type (eq $text)))))
        (alias export $types "json" (type $json))
        (import "umbel:task/progress@0.1.0" (instance $progress
            (alias outer 1 $json (type $j')) (export "json" (type $j (eq $j')))
            (export "update" (func (param "state" string) (param "meta" $j)))))
        (core module $libc (memory (export "memory") 1)
            (data (i32.const 0) "HALF") (data (i32.const 8) "{}"))
        (core instance $libc (instantiate $libc))
        (core func $update
            (canon lower (func $progress "update") (memory (core memory $libc "memory"))))
        (core module $m
            (import "h" "update" (func $update (param i32 i32 i32 i32)))
            (func (export "task") (local $n i32)
                (local.set $n (i32.const 1000))
                (loop
                    (call $update (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 2))
                    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
        (core instance $i (instantiate $m (with "h" (instance (export "update" (func $update))))))
        (func (export "task") (canon lift (core func $i "task"))))"#
        .to_owned()
}
