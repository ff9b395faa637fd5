//! `umbel completions` and `umbel man`: what shells and `man` want to know of the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;
use clap_mangen::Man;

use crate::fault::Fault;
use crate::out;

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct Pages {
    /// Folder for the pages; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the shell's script.
pub(super) fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "umbel", &mut script);
    out::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the whole and one for each command.
pub(super) fn pages(args: &Pages) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    let failed = |error: std::io::Error| {
        Fault::failure(format!("cannot write to {}: {error}", folder.display()))
            .help("name a folder that you may write to")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let mut count = 0;
    write_pages(&command, folder, &mut count).map_err(failed)?;
    out::note(&format!("{count} pages in {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &clap::Command, folder: &Path, count: &mut usize) -> std::io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(inner, folder, count)?;
    }
    let version = concat!("umbel ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(version).manual("Umbel").generate_to(folder)?;
    *count += 1;
    Ok(())
}
