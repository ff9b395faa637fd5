//! Functions that are `async`: tasks like the others, with the same limits and the same ends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use umbel_task::outcome::{Limit, Outcome};
use umbel_task::policy::Sandbox;
use umbel_task::runner::Task;
use umbel_value::Value;

use crate::support::{Bench, Recorder, call, run};

/// A component with the async function `task`, which gives a number. `start` is the body of its core
/// function, `event` that of its callback; both give what is to happen next: 0 for the end, 1 for
/// another turn, 2 and a set of waitables for a wait.
fn task(start: &str, event: &str) -> String {
    format!(
        r#"(component
            (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
                (export "wait-for" (func async (param "how-long" u64)))))
            (core func $wait (canon lower (func $clock "wait-for") async))
            (core func $block (canon lower (func $clock "wait-for")))
            (core func $return (canon task.return (result u32)))
            (core func $set (canon waitable-set.new))
            (core func $join (canon waitable.join))
            (core module $m
                (import "h" "wait" (func $wait (param i64) (result i32)))
                (import "h" "block" (func $block (param i64)))
                (import "h" "return" (func $return (param i32)))
                (import "h" "set" (func $set (result i32)))
                (import "h" "join" (func $join (param i32 i32)))
                (memory 1)
                (global $runs (mut i32) (i32.const 0))
                (global $s (mut i32) (i32.const 0))
                (func $recurse (param i32) (result i32)
                    (i32.add (i32.const 1) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
                ;; Begins to wait, as part of the set.
                (func $begin (param i64) (local $sub i32)
                    (local.set $sub (i32.shr_u (call $wait (local.get 0)) (i32.const 4)))
                    (if (i32.ne (local.get $sub) (i32.const 0))
                        (then (call $join (local.get $sub) (global.get $s)))))
                (func $waiting (result i32)
                    (i32.or (i32.const 2) (i32.shl (global.get $s) (i32.const 4))))
                (func (export "task") (result i32)
                    (global.set $s (call $set))
                    (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
                    {start})
                (func (export "event") (param i32 i32 i32) (result i32) {event}))
            (core instance $i (instantiate $m (with "h" (instance
                (export "wait" (func $wait)) (export "block" (func $block))
                (export "return" (func $return))
                (export "set" (func $set)) (export "join" (func $join))))))
            (func (export "task") async (result u32)
                (canon lift (core func $i "task") async (callback (core func $i "event")))))"#
    )
}

/// Returns what the expression gives.
fn returns(expression: &str) -> String {
    format!("(call $return {expression}) (i32.const 0)")
}

async fn ending(start: &str, event: &str, change: impl FnOnce(&mut Sandbox)) -> Outcome {
    let bench = Bench::new();
    let change = |sandbox: &mut Sandbox| {
        sandbox.time = Duration::from_secs(20);
        change(sandbox);
    };
    run(&bench.limited(&task(start, event), change), "[]").await.outcome
}

const NEVER: &str = "(unreachable)";

#[tokio::test]
async fn an_async_function_is_a_task_and_shows_as_one() {
    let bench = Bench::new();
    let task = bench.task(&task(&returns("(i32.const 42)"), NEVER));
    assert_eq!(task.signature().wit(), "task: async func() -> u32");
    assert_eq!(task.signature().to_string(), "test.task() -> int");
    let ended = run(&task, "[]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(42)));
    assert!(ended.cost.memory > 0 && ended.cost.wall > Duration::ZERO, "{:?}", ended.cost);
}

#[tokio::test]
async fn no_state_is_left_of_an_earlier_run() {
    let bench = Bench::new();
    let task = bench.task(&task(&returns("(global.get $runs)"), NEVER));
    for _ in 0..3 {
        assert_eq!(run(&task, "[]").await.outcome, Outcome::Done(Value::Int(1)));
    }
}

/// It waits for an hour and for a millisecond, and returns when the first of the two is over.
#[tokio::test]
async fn several_things_are_waited_for_at_once() {
    let start = "(call $begin (i64.const 3600000000000)) (call $begin (i64.const 1000000)) \
                 (call $waiting)";
    let bench = Bench::new();
    let ended = run(&bench.task(&task(start, &returns("(i32.const 7)"))), "[]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(7)));
    assert_eq!(ended.cost.host_calls, 2);
}

#[tokio::test]
async fn without_an_end_it_ends_at_its_time_limit() {
    let limit = Duration::from_millis(200);
    for (what, start, event) in [
        ("a loop", "(loop (br 0)) (unreachable)", NEVER),
        ("turn after turn", "(i32.const 1)", "(i32.const 1)"),
        ("an endless wait", "(call $begin (i64.const -1)) (call $waiting)", NEVER),
        ("a wait that blocks", "(call $block (i64.const -1)) (unreachable)", NEVER),
    ] {
        let outcome = ending(start, event, |sandbox| sandbox.time = limit).await;
        let Outcome::OverLimit(Limit::Time(time), _) = outcome else {
            panic!("{what}: {outcome:?}")
        };
        assert_eq!(time, limit, "{what}");
    }
}

#[tokio::test]
async fn it_has_the_limits_of_any_task() {
    let spin = "(loop (br 0)) (unreachable)";
    let outcome =
        ending(spin, NEVER, |sandbox| sandbox.cpu = Some(Duration::from_millis(50))).await;
    assert!(matches!(outcome, Outcome::OverLimit(Limit::Cpu(_), _)), "{outcome:?}");
    let outcome = ending(spin, NEVER, |sandbox| sandbox.fuel = Some(100_000)).await;
    assert!(matches!(outcome, Outcome::OverLimit(Limit::Fuel(100_000), _)), "{outcome:?}");
    let leak = "(loop (drop (memory.grow (i32.const 16))) (br 0)) (unreachable)";
    let outcome = ending(leak, NEVER, |sandbox| sandbox.memory = 8 << 20).await;
    assert!(matches!(outcome, Outcome::OverLimit(Limit::Memory(_), _)), "{outcome:?}");
    let calls = "(loop (call $block (i64.const 0)) (br 0)) (unreachable)";
    let outcome = ending(calls, NEVER, |sandbox| sandbox.host_calls = 100).await;
    assert!(matches!(outcome, Outcome::OverLimit(Limit::HostCalls(_), _)), "{outcome:?}");
}

#[tokio::test]
async fn what_it_holds_of_the_host_is_limited() {
    for (what, start) in [
        ("sets", "(loop (drop (call $set)) (br 0)) (unreachable)"),
        ("waits", "(loop (call $begin (i64.const -1)) (br 0)) (unreachable)"),
    ] {
        let outcome = ending(start, NEVER, |sandbox| sandbox.handles = 500).await;
        let Outcome::OverLimit(Limit::HostCalls(why), _) = outcome else {
            panic!("{what}: {outcome:?}")
        };
        assert_eq!(why, "more than 500 handles held", "{what}");
    }
}

#[tokio::test]
async fn its_mistakes_are_traps() {
    for (start, event, part) in [
        ("(drop (call $recurse (i32.const 0))) (unreachable)", NEVER, "stack overflow"),
        ("(unreachable)", NEVER, "unreachable"),
        ("(i32.const 0)", NEVER, "failed to produce a result"),
        ("(call $waiting)", NEVER, "deadlock"),
        ("(i32.const 1)", "(unreachable)", "unreachable"),
    ] {
        let outcome = ending(start, event, |_| {}).await;
        let Outcome::Crashed { reason, .. } = outcome else { panic!("{start}: {outcome:?}") };
        assert!(reason.contains(part), "no `{part}` in: {reason}");
    }
}

#[tokio::test]
async fn it_is_told_to_stop_while_it_waits() {
    let bench = Bench::new();
    let task = bench.task(&task("(call $begin (i64.const -1)) (call $waiting)", NEVER));
    let stop = CancellationToken::new();
    let running = task.run(call("[]"), Arc::new(Recorder::default()), stop.clone());
    let (ended, ()) = tokio::join!(running, async {
        tokio::task::yield_now().await;
        stop.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Stopped);
}

/// Each of them would need a stack of its own while it waits.
#[test]
fn components_inside_it_have_no_async_functions() {
    let inner = task(&returns("(i32.const 1)"), NEVER);
    let bench = Bench::new();
    let refusal = bench.refusal(&format!("(component {inner})"));
    assert!(refusal.contains("have async functions of their own"), "{refusal}");
}

#[test]
fn what_wasi_3_offers_needs_the_grants_that_wasi_2_needs() {
    let bench = Bench::new();
    let importing = |name: &str| format!("(component (import \"{name}\" (instance)))");
    let refusal = bench.refusal(&importing("wasi:http/client@0.3.0"));
    assert!(refusal.contains("allow = { http = ["), "{refusal}");
    for name in ["wasi:random/random@0.3.0", "wasi:filesystem/types@0.3.0", "wasi:cli/stdout@0.3.0"]
    {
        bench.load(&importing(name));
    }
    for name in ["wasi:filesystem/types@0.3.0", "wasi:sockets/types@0.3.0"] {
        let mut source = bench.source(&importing(name));
        source.grants.scratch = Some(1 << 20);
        source.grants.sockets = vec!["tcp://example.com:5432".parse().unwrap()];
        bench.engine.load(&source).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// Two clocks, one of each version, tell the same time.
#[tokio::test]
async fn both_versions_of_wasi_serve_one_component() {
    let bench = Bench::new();
    let task = bench.task(
        r#"(component
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $two
                (export "now" (func (result u64)))))
            (import "wasi:clocks/monotonic-clock@0.3.0" (instance $three
                (export "now" (func (result u64)))))
            (core func $two (canon lower (func $two "now")))
            (core func $three (canon lower (func $three "now")))
            (core module $m
                (import "h" "two" (func $two (result i64)))
                (import "h" "three" (func $three (result i64)))
                (func (export "task") (result i32) (local $first i64) (local $second i64)
                    (local.set $first (call $two))
                    (local.set $second (call $three))
                    (i32.and
                        (i64.ge_u (local.get $second) (local.get $first))
                        (i64.ge_u (call $two) (local.get $second)))))
            (core instance $i (instantiate $m (with "h" (instance
                (export "two" (func $two)) (export "three" (func $three))))))
            (func (export "task") (result bool) (canon lift (core func $i "task"))))"#,
    );
    let ended = run(&task, "[]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Bool(true)));
    assert_eq!(ended.cost.host_calls, 3);
}

/// What nobody has asked for yet is not there to be attacked.
#[test]
fn threads_and_error_contexts_are_refused() {
    let bench = Bench::new();
    for part in [
        "(core func $f (canon error-context.drop))",
        "(core func $f (canon subtask.cancel async))",
        "(core func $f (canon thread.index))",
    ] {
        let refusal = bench.refusal(&format!("(component {part})"));
        assert!(refusal.contains("cannot be compiled"), "{part}: {refusal}");
    }
}
