//! `umbel build`: a component of a project, checked.

mod changes;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use umbel_author::build::{Engine, Options, build};
use umbel_author::{Language, Show};
use umbel_engine::Plugin;

use super::new::{fault, languages};
use crate::fault::{Code, no_colour};
use crate::out::Progress;
use crate::settings::units::about_size;
use crate::settings::{Settings, variable};
use crate::{compiling, loading, out, privileges};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project's folder; or a core module, which is made a component with the adapter for WASI
    /// preview 1
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,

    /// Make it small: optimise for size, strip what only debuggers read
    #[arg(long)]
    release: bool,

    /// Build again whenever a source changes, until Ctrl+C; a worker takes each one up
    #[arg(short, long)]
    watch: bool,

    /// Write the component here instead of to build/NAME.wasm in the project
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What the project is written in, if its files leave a doubt
    #[arg(short, long, value_name = "LANGUAGE", value_parser = languages())]
    lang: Option<Language>,

    /// What JavaScript and TypeScript run in: quickjs (about 1 MiB, quick to build), starlingmonkey
    /// (about 12 MiB, with more of the web's interfaces)
    #[arg(long, value_name = "ENGINE", default_value = Engine::default().key(), value_parser = engines())]
    engine: Engine,
}

/// Builds, checks, and prints what has come of it.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    if args.watch {
        return changes::build_on_each(&args.place, || once(settings, args));
    }
    once(settings, args)
}

fn once(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        language: args.lang,
        release: args.release,
        output: args.output.clone(),
        engine: args.engine,
    };
    let since = Instant::now();
    let mut console = Console::new();
    let built = build(&args.place, &options, &variable, &mut console);
    console.line.clear();
    let built = built.map_err(fault)?;
    let seconds = since.elapsed().as_secs_f64();
    console.step("check");
    let plugin = load(settings, &built.file);
    console.line.clear();
    let size = about_size(built.size as u64);
    out::line(&format!("{}: {size}, built in {seconds:.1}s", built.file.display()))?;
    let plugin = plugin?;
    out::line(&tasks(&plugin))?;
    if !plugin.tasks.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    out::note("error: there is no task in it: it exports no function of its world's interfaces");
    Ok(Code::Failure.into())
}

fn engines() -> impl TypedValueParser<Value = Engine> {
    PossibleValuesParser::new(Engine::ALL.map(Engine::key)).map(|key| {
        let known = Engine::ALL.into_iter().find(|engine| engine.key() == key);
        known.expect("only keys are possible values")
    })
}

/// The same as `umbel check` does with one file.
fn load(settings: &Settings, file: &Path) -> anyhow::Result<Plugin> {
    let sources = [loading::source(settings, file)];
    let cache = privileges::cache_folder(settings.cache.as_deref(), None, &variable)?;
    let engine = loading::engine(&sources, 1, cache, compiling::start(settings.compile)?)?;
    let loaded = loading::load(&engine, &sources).pop();
    Ok(loaded.ok_or_else(|| anyhow::anyhow!("the engine loaded nothing"))??)
}

/// Tasks, what is none, and imports, a line each.
fn tasks(plugin: &Plugin) -> String {
    let tasks = plugin.tasks.iter().map(|task| format!("  {}", task.signature()));
    let skipped = plugin.skipped.iter().map(|(what, why)| format!("  not a task: {what}: {why}"));
    let mut lines: Vec<String> = tasks.chain(skipped).collect();
    let (own, system): (Vec<&String>, Vec<&String>) =
        plugin.imports.iter().partition(|import| !import.starts_with("wasi:"));
    lines.extend(own.into_iter().map(|import| format!("  imports {import}")));
    match system.as_slice() {
        [] => {}
        [one] => lines.push(format!("  imports {one}")),
        [first, .., last] => {
            lines.push(format!("  imports {} of WASI: {first} … {last}", system.len()));
        }
    }
    lines.join("\n")
}

/// One line that changes on a terminal; elsewhere a line for each step.
struct Console {
    line: Progress,
    step: String,
}

impl Console {
    fn new() -> Self {
        Self { line: Progress::new(), step: String::new() }
    }
}

impl Show for Console {
    fn step(&mut self, what: &str) {
        what.clone_into(&mut self.step);
        if self.line.is_visible() {
            self.line.tell(what);
        } else {
            out::note(what);
        }
    }

    fn tick(&mut self) {
        self.line.tell(&self.step);
    }

    fn said(&mut self, text: &str) {
        self.line.clear();
        out::note(text.trim_end());
    }

    fn colour(&self) -> bool {
        std::io::stderr().is_terminal() && !no_colour()
    }
}
