//! `umbel new`: the first files of a plugin.

use std::path::Path;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use umbel_author::{Language, Name, Problem};

use crate::fault::{Code, Fault};
use crate::out;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the plugin is called; its tasks are NAME.…
    name: String,

    /// What it is written in
    #[arg(short, long, value_name = "LANGUAGE", value_parser = languages())]
    lang: Language,
}

/// Writes the project, and says what to type next.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = Name::parse(&args.name).map_err(fault)?;
    let folder = umbel_author::new::create(&name, args.lang, Path::new("")).map_err(fault)?;
    out::line(&format!("wrote {}: a plugin in {}; now:", folder.display(), args.lang))?;
    for line in umbel_author::new::next_steps(&name, args.lang) {
        out::line(&format!("  {line}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a language from the command line.
pub(super) fn languages() -> impl TypedValueParser<Value = Language> {
    let keys = Language::ALL.map(Language::key);
    PossibleValuesParser::new(keys).map(|key| {
        let known = Language::ALL.into_iter().find(|language| language.key() == key);
        known.expect("only keys are possible values")
    })
}

/// The author's mistakes are usage errors, failures are failures.
pub(super) fn fault(problem: Problem) -> Fault {
    let code = if problem.is_usage() { Code::Usage } else { Code::Failure };
    Fault::new(code, problem.to_string())
}
