//! An engine, a folder for components, seeds, and what was seen so far.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use umbel_engine::{Engine, EngineConfig, LoadError, LoadedTask, Plugin, PluginSource};
use umbel_task::call::Call;
use umbel_task::outcome::Outcome;
use umbel_task::runner::{LogLine, Outbox, OutboxError, Task};
use umbel_value::Value;

/// What a load says when the reader of interfaces panics.
pub(crate) const READER_FAILS: &str = "cannot be read: the reader fails";

/// What the targets work with.
pub(crate) struct Lab {
    engine: Engine,
    runtime: Runtime,
    folder: TempDir,
    /// Components that load.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// The component that was tried last.
    pub(crate) last: Vec<u8>,
    pub(crate) loaded: u64,
    pub(crate) refused: u64,
    /// Files on which wasmtime's compiler or the reader panicked; the load caught it.
    pub(crate) contained: u64,
    pub(crate) runs: u64,
}

/// Takes what a run sends, and forgets it.
struct Void;

impl Outbox for Void {
    fn progress(&self, _: String, _: Value) -> Result<(), OutboxError> {
        Ok(())
    }

    fn log(&self, _: LogLine) {}
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let config = EngineConfig { concurrency: 4, threads: 1, ..EngineConfig::default() };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Lab {
            engine: Engine::new(&config).expect("the engine starts"),
            runtime: Runtime::new().expect("a runtime can be made"),
            folder,
            seeds: seeds(),
            last: Vec::new(),
            loaded: 0,
            refused: 0,
            contained: 0,
            runs: 0,
        }
    }

    /// Loads bytes as a worker would load a file.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let file = self.folder.path().join("guest.wasm");
        std::fs::write(&file, bytes).expect("a temporary folder is writable");
        let mut source = PluginSource::file(file);
        source.policy.sandbox.time = Duration::from_millis(50);
        source.policy.sandbox.memory = 64 << 20;
        let loaded = self.engine.load(&source);
        match &loaded {
            Ok(_) => self.loaded += 1,
            Err(error) => {
                let text = error.to_string();
                let fails = ["makes the compiler fail", READER_FAILS];
                let contained = fails.iter().any(|what| text.contains(what));
                *(if contained { &mut self.contained } else { &mut self.refused }) += 1;
            }
        }
        loaded
    }

    /// Runs a task to its end.
    pub(crate) fn run(&mut self, task: &Arc<LoadedTask>, args: Vec<Value>) -> Outcome {
        self.runs += 1;
        let call = Call { id: "1".to_owned(), name: "fuzz".to_owned(), args, ..Call::default() };
        let ended = task.run(call, Arc::new(Void), CancellationToken::new());
        self.runtime.block_on(ended).outcome
    }

    pub(crate) fn tally(&self) -> String {
        let Lab { loaded, refused, contained, runs, .. } = self;
        format!("{loaded} loaded, {refused} refused, {contained} panics contained, {runs} runs")
    }
}

/// The hostile guests that are written as text, and built ones that are small.
fn seeds() -> Vec<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../..");
    let mut seeds = Vec::new();
    for folder in ["tests/guests", "target/guests"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            match file.extension().and_then(|end| end.to_str()) {
                Some("wat") => seeds.extend(wat::parse_file(&file)),
                Some("wasm") => seeds.extend(std::fs::read(&file)),
                _ => {}
            }
        }
    }
    seeds.retain(|seed| seed.len() < 40_000);
    assert!(!seeds.is_empty(), "there are guests in tests/guests");
    seeds
}
