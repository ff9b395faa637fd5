//! An engine, components written as text, and an outbox that remembers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use umbel_engine::{Engine, EngineConfig, LoadError, LoadedTask, Plugin, PluginSource};
use umbel_task::call::Call;
use umbel_task::outcome::{Ended, Outcome};
use umbel_task::runner::{LogLine, Outbox, OutboxError, Task};
use umbel_value::Value;

/// An engine and a folder for its components, both gone at the end of the test.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = EngineConfig { concurrency: 8, threads: 2, ..EngineConfig::default() };
        change(&mut config);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { engine: Engine::new(&config).expect("the engine starts"), folder }
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path
    }

    pub(crate) fn source(&self, text: &str) -> PluginSource {
        let binary = wat::parse_str(text).unwrap_or_else(|e| panic!("the text is WAT: {e}"));
        PluginSource::file(self.file("test.wasm", &binary))
    }

    pub(crate) fn load(&self, text: &str) -> Plugin {
        self.engine.load(&self.source(text)).unwrap_or_else(|e| panic!("it loads: {e}"))
    }

    /// The plugin's only task, or its first by name.
    pub(crate) fn task(&self, text: &str) -> Arc<LoadedTask> {
        self.load(text).tasks.first().expect("it has a task").clone()
    }

    /// Like `task`, with another policy.
    pub(crate) fn limited(
        &self,
        text: &str,
        change: impl FnOnce(&mut umbel_task::policy::Sandbox),
    ) -> Arc<LoadedTask> {
        let mut source = self.source(text);
        change(&mut source.policy.sandbox);
        let plugin = self.engine.load(&source).unwrap_or_else(|e| panic!("it loads: {e}"));
        plugin.tasks.first().expect("it has a task").clone()
    }

    pub(crate) fn refusal(&self, text: &str) -> String {
        refusal(self.engine.load(&self.source(text)))
    }
}

/// Why a load failed.
pub(crate) fn refusal(loaded: Result<Plugin, LoadError>) -> String {
    match loaded {
        Ok(_) => panic!("it loads, but should not"),
        Err(error) => error.to_string(),
    }
}

/// Remembers what a run sends out.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) lines: Mutex<Vec<LogLine>>,
    pub(crate) notes: Mutex<Vec<(String, Value)>>,
}

impl Outbox for Recorder {
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError> {
        self.notes.lock().unwrap().push((state, meta));
        Ok(())
    }

    fn log(&self, line: LogLine) {
        self.lines.lock().unwrap().push(line);
    }
}

/// JSON text as a value.
pub(crate) fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap_or_else(|e| panic!("{text} is JSON: {}", e.what))
}

/// A call with these positional arguments, a JSON array.
pub(crate) fn call(args: &str) -> Call {
    let Value::List(args) = json(args) else { panic!("{args} is an array") };
    Call { id: "1".to_owned(), name: "test".to_owned(), args, ..Call::default() }
}

/// Runs a task to its end.
pub(crate) async fn run(task: &LoadedTask, args: &str) -> Ended {
    run_with(task, call(args), Arc::new(Recorder::default())).await
}

pub(crate) async fn run_with(task: &LoadedTask, call: Call, outbox: Arc<dyn Outbox>) -> Ended {
    task.run(call, outbox, CancellationToken::new()).await
}

/// A task's outcome and how long it took.
pub(crate) async fn timed(task: &LoadedTask, args: &str) -> (Outcome, Duration) {
    let start = Instant::now();
    (run(task, args).await.outcome, start.elapsed())
}

/// How much later than its limit a run may end on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);

/// A module with an allocator and `echo`, which gives back a list or a text, lifted for a type.
/// `types` are component-level definitions that `ty` may name.
pub(crate) fn echo(types: &str, ty: &str) -> String {
    format!(
        r#"(component
            {types}
            {ALLOCATOR}
            (func (export "echo") (param "x" {ty}) (result {ty})
                (canon lift (core func $i "echo") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc")))))"#
    )
}

/// The core instance `$i`: memory, a bump allocator that grows it, `echo` and `forever`.
pub(crate) const ALLOCATOR: &str = r#"
    (core module $m
        (memory (export "memory") 1)
        (global $next (mut i32) (i32.const 1024))
        (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) (local $p i32)
            (local.set $p (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
            (global.set $next (i32.add (local.get $p) (local.get 3)))
            (block $enough
                (loop $more
                    (br_if $enough (i32.le_u (global.get $next)
                        (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.const 16)))
                    (br $more)))
            (local.get $p))
        (func (export "echo") (param i32 i32) (result i32)
            (i32.store (i32.const 16) (local.get 0))
            (i32.store (i32.const 20) (local.get 1))
            (i32.const 16)))
    (core instance $i (instantiate $m))"#;

/// Adds two integers; wraps, as wasm does.
pub(crate) const ADD: &str = r#"(component
    (core module $m
        (func (export "add") (param i64 i64) (result i64)
            (i64.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func $add (param "x" s64) (param "y" s64) (result s64)
        (canon lift (core func $i "add")))
    (instance $tasks (export "add" (func $add)))
    (export "test:math/tasks@0.1.0" (instance $tasks)))"#;

/// A component of one function without parameters whose core body is given.
pub(crate) fn body(definitions: &str, body: &str) -> String {
    format!(
        r#"(component
            (core module $m {definitions} (func $task (export "task") {body}))
            (core instance $i (instantiate $m))
            (func (export "task") (canon lift (core func $i "task"))))"#
    )
}

/// Waits so many nanoseconds in one host call.
pub(crate) const WAIT: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p))
        (export "pollable" (type $q (eq $p)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $q))))))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $sub (canon lower (func $clock "subscribe-duration")))
    (core module $m
        (import "h" "sub" (func $sub (param i64) (result i32)))
        (import "h" "block" (func $block (param i32)))
        (func (export "wait") (param i64) (call $block (call $sub (local.get 0)))))
    (core instance $i (instantiate $m (with "h" (instance
        (export "sub" (func $sub)) (export "block" (func $block))))))
    (func (export "wait") (param "ns" u64) (canon lift (core func $i "wait"))))"#;
