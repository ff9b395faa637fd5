//! Runs one task of a component without a broker: `embed FILE TASK '[2, 3]'`.

#![expect(clippy::print_stdout, reason = "it is a command")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use umbel_engine::{Catalog, Engine, EngineConfig, PluginSource};
use umbel_task::call::Call;
use umbel_task::outcome::Outcome;
use umbel_task::runner::{LogLine, Outbox, OutboxError, Runner};
use umbel_value::Value;

/// What a running task tells is printed. What it would send is refused, as it is by default.
struct Console;

impl Outbox for Console {
    fn progress(&self, state: String, meta: Value) -> Result<(), OutboxError> {
        println!("{state}: {}", meta.to_json());
        Ok(())
    }

    fn log(&self, line: LogLine) {
        println!("log: {}", line.message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, name, args] = arguments.as_slice() else {
        return Err("usage: embed FILE TASK '[…]'".into());
    };

    // One engine for the process. Guests run on threads of its own.
    let engine = Engine::new(&EngineConfig { concurrency: 4, ..EngineConfig::default() })?;
    let mut source = PluginSource::file(file);
    source.policy.sandbox.time = Duration::from_secs(1);
    source.policy.sandbox.memory = 32 << 20;

    // A catalogue may be given other plugins while tasks run; what runs keeps its version.
    let catalog = Catalog::new(vec![engine.load(&source)?])?;
    let task =
        catalog.find(name).ok_or_else(|| format!("{:?} is all there is", catalog.names()))?;

    let args = Value::from_json(args.as_bytes())?;
    let args = args.as_list().ok_or("arguments are a list")?.to_vec();
    let call = Call { id: "1".to_owned(), name: name.clone(), args, ..Call::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(task.run(call, Arc::new(Console), CancellationToken::new()));

    // A run has no error of the engine's: every way to end is an outcome.
    match ended.outcome {
        Outcome::Done(value) => println!("{}", value.to_json()),
        Outcome::Failed(failure) => println!("failed: {:?} {:?}", failure.kind, failure.args),
        other => println!("{other:?}"),
    }
    println!("{:?} of CPU time, {} bytes of memory", ended.cost.cpu, ended.cost.memory);
    Ok(())
}
