//! Whatever a task does, it ends within its limits, and the others do not notice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    ADD, Bench, Recorder, SLACK, WAIT, body, call, echo, json, run, run_with, timed,
};
use tokio_util::sync::CancellationToken;
use umbel_task::outcome::{Kind, Limit, Outcome};
use umbel_task::runner::{Level, Source, Task};
use umbel_value::Value;

const LIMIT: Duration = Duration::from_millis(200);

async fn ends_at_its_time_limit(text: &str, args: &str) {
    let bench = Bench::new();
    let task = bench.limited(text, |s| s.time = LIMIT);
    let (outcome, took) = timed(&task, args).await;
    let Outcome::OverLimit(Limit::Time(limit), _) = outcome else { panic!("{outcome:?}") };
    assert_eq!(limit, LIMIT);
    assert!(took >= LIMIT && took < LIMIT + SLACK, "it took {took:?}");
    // The engine serves on.
    let ended = run(&bench.task(ADD), "[2, 3]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(5)));
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_time_limit() {
    ends_at_its_time_limit(&body("", "(loop (br 0))"), "[]").await;
}

#[tokio::test]
async fn an_endless_start_function_ends_at_the_time_limit() {
    let start = "(func $spin (loop (br 0))) (start $spin)";
    ends_at_its_time_limit(&body(start, ""), "[]").await;
}

#[tokio::test]
async fn a_wait_that_never_ends_ends_at_the_time_limit() {
    ends_at_its_time_limit(WAIT, "[18446744073709551615]").await;
}

#[tokio::test]
async fn a_million_short_waits_end_at_the_time_limit() {
    let text = WAIT.replace(
        "(call $block (call $sub (local.get 0)))",
        "(loop (call $block (call $sub (local.get 0))) (br 0))",
    );
    // The handles it does not give back may end it first.
    let bench = Bench::new();
    let task = bench.limited(&text, |s| s.time = LIMIT);
    let (outcome, took) = timed(&task, "[1]").await;
    assert!(matches!(outcome, Outcome::OverLimit(..)), "{outcome:?}");
    assert!(took < LIMIT + SLACK, "it took {took:?}");
}

#[tokio::test]
async fn the_callers_time_limit_lowers_the_policys() {
    let bench = Bench::new();
    let task = bench.limited(&body("", "(loop (br 0))"), |s| s.time = Duration::from_secs(60));
    for _ in 0..10 {
        let mut short = call("[]");
        short.time_limit = Some(LIMIT);
        let ended = run_with(&task, short, Arc::new(Recorder::default())).await;
        let Outcome::OverLimit(Limit::Time(limit), traceback) = ended.outcome else { panic!() };
        assert_eq!(limit, LIMIT);
        assert!(!ended.cost.cpu.is_zero() && ended.cost.wall >= LIMIT, "{:?}", ended.cost);
        // A guest that waited for its turn just then was nowhere.
        if let Some(traceback) = traceback {
            assert!(traceback.contains("at task"), "the traceback says where it was");
            return;
        }
    }
    panic!("none of ten tracebacks says where it was");
}

#[tokio::test]
async fn taking_all_memory_ends_at_the_memory_limit() {
    let bench = Bench::new();
    let grow = body("(memory 1)", "(loop (drop (memory.grow (i32.const 16))) (br 0))");
    let task = bench.limited(&grow, |s| s.memory = 8 << 20);
    let ended = run(&task, "[]").await;
    let Outcome::OverLimit(Limit::Memory(limit), traceback) = ended.outcome else { panic!() };
    assert_eq!(limit, 8 << 20);
    assert!(traceback.unwrap().contains("at task"));
    assert!(ended.cost.memory > 6 << 20 && ended.cost.memory <= 8 << 20);
}

#[tokio::test]
async fn many_memories_share_one_limit() {
    let bench = Bench::new();
    let two = body("(memory 60) (memory 60)", "(drop (memory.grow 1 (i32.const 10)))");
    let task = bench.limited(&two, |s| s.memory = 8 << 20);
    let ended = run(&task, "[]").await;
    assert!(matches!(ended.outcome, Outcome::OverLimit(Limit::Memory(_), _)), "{ended:?}");
}

#[tokio::test]
async fn endless_recursion_is_a_crash_with_a_traceback() {
    let bench = Bench::new();
    let task = bench.task(&body("(func $deeper (call $deeper))", "(call $deeper)"));
    let Outcome::Crashed { reason, traceback } = run(&task, "[]").await.outcome else { panic!() };
    assert_eq!(reason, "stack overflow");
    assert!(traceback.unwrap().contains("at deeper"));
}

#[tokio::test]
async fn a_trap_names_the_functions_it_came_through() {
    let bench = Bench::new();
    let task = bench.task(&body("(func $divide_the_cake unreachable)", "(call $divide_the_cake)"));
    let Outcome::Crashed { reason, traceback } = run(&task, "[]").await.outcome else { panic!() };
    assert!(reason.contains("unreachable"), "{reason}");
    let traceback = traceback.unwrap();
    assert_eq!(traceback, "wasm backtrace, innermost first:\n  at divide_the_cake\n  at task");
}

#[tokio::test]
async fn fuel_is_counted_where_it_is_metered() {
    let bench = Bench::new();
    let task = bench.limited(&body("", "(loop (br 0))"), |s| s.fuel = Some(10_000));
    let ended = run(&task, "[]").await;
    assert!(matches!(ended.outcome, Outcome::OverLimit(Limit::Fuel(10_000), _)), "{ended:?}");
    assert!(ended.cost.fuel.unwrap() >= 9_000, "{:?}", ended.cost);
    let add = bench.limited(ADD, |s| s.fuel = Some(u64::MAX));
    assert!(run(&add, "[1, 2]").await.cost.fuel.unwrap() < 100);
    assert_eq!(run(&bench.task(ADD), "[1, 2]").await.cost.fuel, None, "and nowhere else");
}

#[tokio::test]
async fn a_result_beyond_the_output_limit_is_not_taken() {
    let bench = Bench::new();
    let text = echo("", "string");
    let task = bench.limited(&text, |s| s.output = 1000);
    let long = |n: usize| format!("[\"{}\"]", "x".repeat(n));
    assert!(matches!(run(&task, &long(998)).await.outcome, Outcome::Done(_)));
    for length in [999, 10_000, 5_000_000] {
        let outcome = run(&task, &long(length)).await.outcome;
        assert!(matches!(outcome, Outcome::OverLimit(Limit::Output(1000), None)), "{length}");
    }
}

#[tokio::test]
async fn a_stop_ends_a_computing_and_a_waiting_guest() {
    let bench = Bench::new();
    for (text, args) in [(body("", "(loop (br 0))"), "[]"), (WAIT.to_owned(), "[90000000000]")] {
        let task = bench.task(&text);
        let stop = CancellationToken::new();
        let running = {
            let (task, stop, call) = (task.clone(), stop.clone(), call(args));
            tokio::spawn(async move { task.run(call, Arc::new(Recorder::default()), stop).await })
        };
        tokio::time::timeout(Duration::from_millis(50), async { running.is_finished() })
            .await
            .unwrap();
        let start = Instant::now();
        stop.cancel();
        assert_eq!(running.await.unwrap().outcome, Outcome::Stopped);
        assert!(start.elapsed() < SLACK, "it took {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn neighbours_run_on_while_guests_compute_on_the_only_thread() {
    let bench = Bench::with(|c| c.threads = 1);
    let spin = bench.limited(&body("", "(loop (br 0))"), |s| s.time = Duration::from_secs(60));
    let add = bench.task(ADD);
    let stop = CancellationToken::new();
    let spinning: Vec<_> = (0..2)
        .map(|_| {
            let (task, stop) = (spin.clone(), stop.clone());
            tokio::spawn(
                async move { task.run(call("[]"), Arc::new(Recorder::default()), stop).await },
            )
        })
        .collect();
    for i in 0..20 {
        let (outcome, took) = timed(&add, &format!("[{i}, 1]")).await;
        assert_eq!(outcome, Outcome::Done(Value::Int(i + 1)));
        assert!(took < SLACK, "a neighbour waited {took:?}");
    }
    stop.cancel();
    for spinning in spinning {
        assert_eq!(spinning.await.unwrap().outcome, Outcome::Stopped);
    }
}

#[tokio::test]
async fn dropping_a_run_ends_it_and_frees_its_slot() {
    let bench = Bench::with(|c| c.concurrency = 1);
    let spin = bench.task(&body("", "(loop (br 0))"));
    let short = Duration::from_millis(30);
    assert!(tokio::time::timeout(short, run(&spin, "[]")).await.is_err());
    let add = bench.task(ADD);
    let ended = tokio::time::timeout(Duration::from_secs(5), run(&add, "[2, 3]")).await.unwrap();
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(5)));
}

#[tokio::test]
async fn a_run_sees_nothing_that_another_one_left() {
    let bench = Bench::with(|c| c.concurrency = 1);
    let plugin = bench.load(
        r#"(component
            (core module $m
                (memory 40)
                (data (i32.const 100) "image")
                (global $seen (mut i32) (i32.const 0))
                (table 100 funcref)
                (func (export "leave") (param $a i32)
                    (memory.fill (i32.const 0) (i32.const 42) (i32.const 2621440))
                    (drop (memory.grow (i32.const 20)))
                    (memory.fill (i32.const 2621440) (i32.const 42) (i32.const 1310720))
                    (global.set $seen (i32.const 42)))
                (func (export "look") (result i32) (local $a i32) (local $n i32)
                    (local.set $n (global.get $seen))
                    (drop (memory.grow (i32.const 20)))
                    (loop $next
                        (if (i32.eq (i32.load8_u (local.get $a)) (i32.const 42))
                            (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
                        (local.set $a (i32.add (local.get $a) (i32.const 1)))
                        (br_if $next (i32.lt_u (local.get $a) (i32.const 3932160))))
                    (local.get $n)))
            (core instance $i (instantiate $m))
            (func (export "leave") (param "a" u32) (canon lift (core func $i "leave")))
            (func (export "look") (result u32) (canon lift (core func $i "look"))))"#,
    );
    let (leave, look) = (&plugin.tasks[0], &plugin.tasks[1]);
    for _ in 0..5 {
        assert_eq!(run(leave, "[0]").await.outcome, Outcome::Done(Value::Null));
        assert_eq!(run(look, "[]").await.outcome, Outcome::Done(Value::Int(0)));
    }
}

#[tokio::test]
async fn a_thousand_waiting_guests_hold_no_threads() {
    let bench = Bench::with(|c| c.concurrency = 1000);
    let task = bench.task(WAIT);
    let start = Instant::now();
    let all: Vec<_> = (0..1000)
        .map(|_| {
            let task = task.clone();
            tokio::spawn(async move { run(&task, "[500000000]").await.outcome })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Outcome::Done(Value::Null));
    }
    // One after the other they would take eight minutes.
    assert!(start.elapsed() < Duration::from_secs(30), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn more_runs_than_slots_wait_their_turn() {
    let bench = Bench::with(|c| c.concurrency = 2);
    let task = bench.task(WAIT);
    let all: Vec<_> = (0..10)
        .map(|_| {
            let task = task.clone();
            tokio::spawn(async move { run(&task, "[1000000]").await.outcome })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Outcome::Done(Value::Null));
    }
}

#[tokio::test]
async fn progress_and_log_lines_reach_the_outbox() {
    let bench = Bench::new();
    let recorder = Arc::new(Recorder::default());
    let task = bench.task(&note("HALFWAY", r#"{\"done\": 5}"#));
    let ended = run_with(&task, call("[]"), recorder.clone()).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Null));
    assert_eq!(*recorder.notes.lock().unwrap(), [("HALFWAY".to_owned(), json(r#"{"done":5}"#))]);
    let lines = recorder.lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].level, lines[0].from), (Level::Warning, Source::Log));
    assert_eq!(lines[0].message, "HALFWAY");
    assert_eq!(ended.cost.log, 7 + 11);
}

#[tokio::test]
async fn a_reserved_state_or_bad_details_end_the_task() {
    let bench = Bench::new();
    for (state, meta, expected) in [
        ("SUCCESS", "{}", "`SUCCESS` is not a state a task may set"),
        ("HALF", "{nonsense", "the details of `HALF` are not JSON"),
        ("", "{}", "a state is at most 100"),
    ] {
        let outcome = run(&bench.task(&note(state, meta)), "[]").await.outcome;
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.kind, Kind::Builtin("ValueError"));
        let [Value::Text(message)] = &failure.args[..] else { panic!("{failure:?}") };
        assert!(message.contains(expected), "{message}");
    }
}

/// Tells a state with details, and logs a warning of the same texts.
fn note(state: &str, meta: &str) -> String {
    let (s, m) = (state.len(), meta.replace('\\', "").len());
    format!(
        r#"(component
            (import "umbel:task/types@0.1.0" (instance $types
                (type $text string) (export "json" (type (eq $text)))))
            (alias export $types "json" (type $json))
            (import "umbel:task/progress@0.1.0" (instance $progress
                (alias outer 1 $json (type $j')) (export "json" (type $j (eq $j')))
                (export "update" (func (param "state" string) (param "meta" $j)))))
            (import "umbel:task/log@0.1.0" (instance $log
                (alias outer 1 $json (type $j')) (export "json" (type $j (eq $j')))
                (type $level' (enum "debug" "info" "warning" "error"))
                (export "level" (type $level (eq $level')))
                (export "write" (func (param "level" $level) (param "message" string)
                    (param "fields" $j)))))
            (core module $libc (memory (export "memory") 1)
                (data (i32.const 0) "{state}") (data (i32.const 200) "{meta}"))
            (core instance $libc (instantiate $libc))
            (core func $update
                (canon lower (func $progress "update") (memory (core memory $libc "memory"))))
            (core func $write (canon lower (func $log "write") (memory (core memory $libc "memory"))))
            (core module $m
                (import "h" "update" (func $update (param i32 i32 i32 i32)))
                (import "h" "write" (func $write (param i32 i32 i32 i32 i32)))
                (func (export "task")
                    (call $update (i32.const 0) (i32.const {s}) (i32.const 200) (i32.const {m}))
                    (call $write (i32.const 2)
                        (i32.const 0) (i32.const {s}) (i32.const 200) (i32.const {m}))))
            (core instance $i (instantiate $m (with "h" (instance
                (export "update" (func $update)) (export "write" (func $write))))))
            (func (export "task") (canon lift (core func $i "task"))))"#
    )
}
