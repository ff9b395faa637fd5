//! What one run costs: a fresh store, an instance, the call, and taking all of it down. What counting fuel adds,
//! and how late a time limit is.

#![expect(clippy::print_stdout, reason = "what was measured is the purpose")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio_util::sync::CancellationToken;
use umbel_engine::{Engine, EngineConfig, LoadedTask, PluginSource};
use umbel_task::call::Call;
use umbel_task::outcome::Outcome;
use umbel_task::runner::{LogLine, Outbox, OutboxError, Task};
use umbel_value::Value;

/// Adds two integers without a language's runtime around it.
const ADD: &str = r#"(component
    (core module $m
        (func (export "add") (param i64 i64) (result i64)
            (i64.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func (export "add") (param "x" s64) (param "y" s64) (result s64)
        (canon lift (core func $i "add"))))"#;

struct Silent;

impl Outbox for Silent {
    fn progress(&self, _: String, _: Value) -> Result<(), OutboxError> {
        Ok(())
    }

    fn log(&self, _: LogLine) {}
}

fn add(engine: &Engine, file: &Path) -> Arc<LoadedTask> {
    let plugin = engine.load(&PluginSource::file(file)).unwrap_or_else(|e| panic!("{e}"));
    let task = plugin.tasks.iter().find(|t| t.signature().function == "add");
    task.expect("it has an `add`").clone()
}

/// Computes and touches memory for some ten milliseconds, as guests do that are not asked to wait.
const CRUNCH: &str = r#"(component
    (core module $m
        (memory 1)
        (func (export "crunch") (param i32) (result i64) (local $sum i64) (local $at i32)
            (loop $on
                (local.set $at (i32.and (i32.mul (local.get 0) (i32.const 40503)) (i32.const 65528)))
                (i64.store (local.get $at)
                    (i64.add (i64.load (local.get $at)) (i64.extend_i32_u (local.get 0))))
                (if (i32.and (local.get 0) (i32.const 1))
                    (then (local.set $sum (i64.xor (local.get $sum) (i64.load (local.get $at)))))
                    (else (local.set $sum (i64.add (local.get $sum) (i64.const 1)))))
                (br_if $on (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get $sum)))
    (core instance $i (instantiate $m))
    (func (export "crunch") (param "rounds" u32) (result s64)
        (canon lift (core func $i "crunch"))))"#;

/// Turn by turn with and without counting its fuel, so that whatever else the machine does befalls
/// both. What is compared is the CPU time of each pair.
const PAIRS: usize = 300;

/// What counting fuel costs a guest that only computes, in blocks as short as they come; one that
/// calls the host or waits pays less.
fn metering(_: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let engine = Engine::new(&EngineConfig::default()).expect("the engine starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("crunch.wasm");
    std::fs::write(&file, wat::parse_str(CRUNCH).expect("it is WAT")).expect("it can be written");
    let [off, counted] = [None, Some(u64::MAX)].map(|fuel| {
        let mut source = PluginSource::file(&file);
        source.policy.sandbox.fuel = fuel;
        let plugin = engine.load(&source).unwrap_or_else(|e| panic!("{e}"));
        plugin.tasks.first().expect("it has a task").clone()
    });
    let call = Call { args: vec![Value::Int(5_000_000)], ..Call::default() };
    let cpu = |task: &Arc<LoadedTask>| {
        let run = task.run_here(call.clone(), Arc::new(Silent), CancellationToken::new());
        let ended = runtime.block_on(run);
        assert!(matches!(ended.outcome, Outcome::Done(_)), "{ended:?}");
        ended.cost.cpu.as_secs_f64()
    };
    let mut pairs: Vec<(f64, f64)> = (0..PAIRS).map(|_| (cpu(&off), cpu(&counted))).collect();
    pairs.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let ratio = |at: usize| pairs[at].1 / pairs[at].0;
    let (low, middle, high) = (ratio(PAIRS / 4), ratio(PAIRS / 2), ratio(PAIRS * 3 / 4));
    println!(
        "fuel: counting takes {middle:.3} times the CPU time (quartiles {low:.3} and {high:.3}; \
         {:.1} ms without)",
        pairs[PAIRS / 2].0 * 1e3
    );
}

/// Computes until it is stopped.
const LOOP: &str = r#"(component
    (core module $m (func (export "spin") (loop $on (br $on))))
    (core instance $i (instantiate $m))
    (func (export "spin") (canon lift (core func $i "spin"))))"#;

/// How late a guest that never ends is ended.
fn lateness(_: &mut Criterion) {
    const RUNS: usize = 200;
    const LIMIT: Duration = Duration::from_micros(21_500);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let engine = Engine::new(&EngineConfig::default()).expect("the engine starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("spin.wasm");
    std::fs::write(&file, wat::parse_str(LOOP).expect("it is WAT")).expect("it can be written");
    let mut source = PluginSource::file(&file);
    source.policy.sandbox.time = LIMIT;
    let plugin = engine.load(&source).unwrap_or_else(|e| panic!("{e}"));
    let task = plugin.tasks.first().expect("it has a task");
    let late = |_| {
        let run = task.run(Call::default(), Arc::new(Silent), CancellationToken::new());
        let ended = runtime.block_on(run);
        assert!(matches!(ended.outcome, Outcome::OverLimit(..)), "{ended:?}");
        ended.cost.wall.saturating_sub(LIMIT).as_secs_f64() * 1e3
    };
    let mut late: Vec<f64> = (0..RUNS).map(late).collect();
    late.sort_by(f64::total_cmp);
    println!(
        "time limit: noticed {:.2} ms late in the median, {:.2} ms in the 99th percentile",
        late[RUNS / 2],
        late[RUNS * 99 / 100]
    );
}

fn runs(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let engine = Engine::new(&EngineConfig::default()).expect("the engine starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = folder.path().join("text.wasm");
    std::fs::write(&text, wat::parse_str(ADD).expect("it is WAT")).expect("it can be written");
    let mut tasks = vec![("text", add(&engine, &text))];
    // Built by `make plugins`.
    let rust = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/plugins/tasks.wasm");
    if rust.exists() {
        tasks.push(("rust", add(&engine, &rust)));
    }
    let call = Call { args: vec![Value::Int(2), Value::Int(3)], ..Call::default() };
    for (name, task) in tasks {
        criterion.bench_function(&format!("add {name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let stop = CancellationToken::new();
                let ended = task.run_here(call.clone(), Arc::new(Silent), stop).await;
                assert_eq!(ended.outcome, Outcome::Done(Value::Int(5)));
            });
        });
        criterion.bench_function(&format!("add {name}, through the guests' threads"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let stop = CancellationToken::new();
                let ended = task.run(call.clone(), Arc::new(Silent), stop).await;
                assert_eq!(ended.outcome, Outcome::Done(Value::Int(5)));
            });
        });
    }
}

criterion_group!(benches, runs, metering, lateness);
criterion_main!(benches);
