//! `umbel build`: a component of a project, checked.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use umbel_author::build::{Built, Engine, Options, build};
use umbel_author::{Language, Show};

use super::new::{fault, languages};
use crate::fault::no_colour;
use crate::out;
use crate::out::Progress;
use crate::settings::{Settings, variable};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project's folder; or a core module, which is made a component with the adapter for WASI
    /// preview 1
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,

    /// Make it small: optimise for size, strip what only debuggers read
    #[arg(long)]
    release: bool,

    /// Write the component here instead of to build/NAME.wasm in the project
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What the project is written in, if its files leave a doubt
    #[arg(long, value_name = "LANGUAGE", value_parser = languages())]
    lang: Option<Language>,

    /// What JavaScript and TypeScript run in: `quickjs` is a tenth of the size, `starlingmonkey` has
    /// `fetch`, timers and more of what browsers have
    #[arg(long, value_name = "ENGINE", default_value = "quickjs", value_parser = engines())]
    engine: Engine,
}

/// Reads an engine from the command line.
fn engines() -> impl TypedValueParser<Value = Engine> {
    PossibleValuesParser::new(Engine::ALL.map(Engine::key)).map(|key| {
        let known = Engine::ALL.into_iter().find(|engine| engine.key() == key);
        known.expect("only keys are possible values")
    })
}

/// Builds, checks, and prints what has come of it.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    let _ = settings;
    let options = Options {
        language: args.lang,
        release: args.release,
        output: args.output.clone(),
        engine: args.engine,
    };
    let mut console = Console::new();
    let built = build(&args.place, &options, &variable, &mut console);
    console.end();
    summary(&built.map_err(fault)?)?;
    Ok(ExitCode::SUCCESS)
}

fn summary(built: &Built) -> anyhow::Result<()> {
    out::line(&format!("{}: {} bytes", built.file.display(), built.size))?;
    Ok(())
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

    fn end(&mut self) {
        self.line.clear();
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
