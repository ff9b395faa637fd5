//! The command line: one tree of commands, flags from the table of settings.

mod arguments;
mod asking;
mod banner;
mod beat;
mod bill;
mod build;
mod call;
mod check;
mod dead_letter;
mod documents;
mod endings;
mod events;
mod invoke;
mod new;
mod purge;
mod remote;
mod render;
mod report;
mod result;
mod show_config;
mod status;
mod tasks;
mod times;
mod waiting;
mod worker;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use umbel_protocol::control::Manner;

use crate::fault::{Code, redact};
use crate::plugins::Again;
use crate::settings::table::{Heading, flags, with_flags};
use crate::settings::{Settings, Sources, resolve};

const AFTER_HELP: &str = "\
Configuration:
  Every option can be given as a flag, as an environment variable (UMBEL_…) or in umbel.toml.
  Flags beat variables, variables beat the file. `umbel worker --show-config` prints each value
  and where it came from. Nothing prints a password. In the file the folder of --plugins is
  `plugin-folder`; limits are keys of [limits] (time, soft-time, memory, fuel, output, log,
  deliveries, concurrency), what happens to messages is in [tasks] (acks, retry, rate-limit, …),
  what happens to results in [results], [plugins.NAME] configures one plugin and its tasks, and
  [beat.NAME] schedules a task.
  `umbel worker --help` lists them all; `-h` leaves out what is seldom needed.

Exit codes:
  0   done
  1   the task failed, or anything else did
  2   the command line or the configuration is wrong
  69  broker or result backend cannot be reached, or refuse the credentials; or no worker answered
  75  the result is not there yet
  77  started as root without --uid or --allow-root";

/// A Celery-compatible worker whose tasks are sandboxed WebAssembly components
///
/// Celery clients send tasks over RabbitMQ, Redis or an SQLite file; each task is an exported
/// function of a component in the plugin folder and runs in a sandbox of its own.
#[derive(Debug, Parser)]
#[command(name = "umbel", version, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    /// Read this file instead of umbel.toml [env: UMBEL_CONFIG]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Everywhere")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a small project that builds: two tasks, a test, a README
    New(new::Args),
    /// Make a component of a project, in any language, and check it
    ///
    /// The language is known by the project's files, its tools are looked for in the project, in the
    /// active Python environment and on the PATH. All that is made lies in the project's folder
    /// `build`, which can be given to `umbel worker --plugins`.
    Build(build::Args),
    /// Take messages and run their tasks
    ///
    /// SIGTERM or Ctrl+C drains: nothing more is taken, running tasks end, the rest goes back to the
    /// broker. A second one, or SIGQUIT, cuts running tasks off; their messages go back, too.
    Worker(worker::Args),
    /// Say whether component files would load: tasks, types, imports, limits
    Check(check::Args),
    /// List the tasks of the plugin folder, or of running workers
    Tasks(tasks::Args),
    /// Have running workers read their plugins and configuration again
    ///
    /// They do so by themselves when a file changes; SIGHUP does the same to one worker.
    Reload(asking::Reload),
    /// Have running workers give all messages of a plugin to the first of its `versions`
    ///
    /// This lasts until `versions` changes in the configuration or the worker is started again; set
    /// the weights there to make it last.
    Rollback(asking::Rollback),
    /// Run one task of a file, without a broker, and print the result and what it cost
    Invoke(invoke::Args),
    /// Send a task; print its id, or with --wait its result
    Call(Box<call::Args>),
    /// Print the result of a task
    Result(result::Args),
    /// Ask workers for facts: what runs, waits, is known, is used
    Inspect(remote::Args),
    /// Have workers change something: revoke tasks, set limits, grow, shrink, end
    Control(remote::Args),
    /// Say which workers are there, and how they are
    Status(status::Args),
    /// Watch workers and tasks, or print each event
    Events(events::Args),
    /// Remove the messages that wait in queues; those that workers hold or delay stay
    Purge(purge::Args),
    /// Send tasks on schedule, as [beat.NAME] in umbel.toml says
    ///
    /// Several may run: one of them sends, another one takes over when it dies. The file is read again
    /// when it changes.
    Beat(beat::Args),
    /// Look at messages that were put aside, and put them back
    ///
    /// A message is put aside when it took too many workers down with it, when its task rejected it,
    /// or when it failed and its task keeps failed messages.
    DeadLetter(dead_letter::Args),
    /// Print everything that a bug report needs, and no secret
    ///
    /// This program, the machine, the configuration and where it came from, what the servers are,
    /// every plugin with its hash, its tasks and its imports, and what was refused and why.
    Report(report::Args),
    /// Print a script that completes commands and options in a shell
    ///
    /// For bash, now: `source <(umbel completions bash)`; for good: into
    /// /usr/share/bash-completion/completions/umbel.
    Completions(documents::Completions),
    /// Write the manual's pages, one for each command
    Man(documents::Pages),
}

/// A command with everything it was told.
#[derive(Debug)]
pub(crate) struct Invocation {
    cli: Cli,
    flags: Vec<(&'static str, String)>,
}

/// Reads the command line. `Err` is the exit code of help, version or a mistake, already printed.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let parsed = command().try_get_matches_from(args).and_then(|matches| {
        let flags = matches.subcommand().map(|(_, matches)| flags(matches)).unwrap_or_default();
        Ok(Invocation { cli: Cli::from_arg_matches(&matches)?, flags })
    });
    parsed.map_err(|error| {
        let usage = error.use_stderr();
        let text = error.render();
        // What was typed may hold a password.
        if usage {
            let colour = std::io::stderr().is_terminal() && !crate::fault::no_colour();
            let text = if colour { text.ansi().to_string() } else { text.to_string() };
            let _ = std::io::stderr().write_all(redact(&text).as_bytes());
            Code::Usage.into()
        } else {
            let colour = std::io::stdout().is_terminal() && !crate::fault::no_colour();
            let text = if colour { text.ansi().to_string() } else { text.to_string() };
            let _ = crate::out::bytes(text.as_bytes());
            ExitCode::SUCCESS
        }
    })
}

/// Carries the command out.
pub(crate) fn run(invocation: Invocation) -> anyhow::Result<ExitCode> {
    let Invocation { cli, flags } = invocation;
    let again = Again { flags: flags.clone(), config: cli.config.clone() };
    // What was asked for even if the configuration is wrong.
    let json = flags.iter().any(|(key, _)| *key == "json");
    let settings = Sources::gather(flags, cli.config).and_then(resolve);
    match &cli.command {
        Command::Report(args) => return report::run(settings, args, json),
        Command::Completions(args) => return documents::completions(args),
        Command::Man(args) => return documents::pages(args),
        _ => {}
    }
    let settings = settings?;
    match cli.command {
        Command::Worker(args) if args.show_config => show_config::run(&settings),
        Command::Worker(_) => worker::run(&settings, again),
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&settings, &args),
        Command::Check(args) => check::run(&settings, &args),
        Command::Tasks(args) => tasks::run(&settings, &args),
        Command::Reload(args) => asking::reload(&settings, &args),
        Command::Rollback(args) => asking::roll_back(&settings, &args),
        Command::Invoke(args) => invoke::run(&settings, &args),
        Command::Call(args) => call::run(&settings, &args),
        Command::Result(args) => result::run(&settings, &args),
        Command::Inspect(args) | Command::Control(args) => remote::run(&settings, &args),
        Command::Status(args) => status::run(&settings, &args),
        Command::Events(args) => events::run(&settings, &args),
        Command::Purge(args) => purge::run(&settings, &args),
        Command::Beat(args) => beat::run(&settings, &args, again),
        Command::DeadLetter(args) => dead_letter::run(&settings, &args),
        Command::Report(_) | Command::Completions(_) | Command::Man(_) => Ok(ExitCode::SUCCESS),
    }
}

fn command() -> clap::Command {
    let styles = Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold());
    let offline: &[Heading] = &[Heading::Plugins, Heading::Limits];
    let command = with_flags(Cli::command().styles(styles), &[Heading::Everywhere]);
    command
        .mut_subcommand("worker", |command| with_flags(command, &Heading::WORKERS))
        .mut_subcommand("build", |command| with_flags(command, offline))
        .mut_subcommand("check", |command| with_flags(command, offline))
        .mut_subcommand("tasks", |command| with_flags(command, offline))
        .mut_subcommand("inspect", |command| remote::complete(command, Manner::Inspect))
        .mut_subcommand("control", |command| remote::complete(command, Manner::Control))
        .mut_subcommand("beat", |command| with_flags(command, &[Heading::Beat]))
        .mut_subcommand("invoke", |command| with_flags(command, offline))
        .mut_subcommand("report", |command| with_flags(command, offline))
}

/// A runtime on this thread, for commands that wait for one thing at a time.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Logs of commands that are no workers: what goes wrong, on stderr.
fn quiet_log(settings: &Settings) {
    use crate::settings::LogLevel;
    let level = match settings.level {
        LogLevel::Debug => LogLevel::Debug,
        _ => LogLevel::Warning,
    };
    crate::telemetry::start(level, settings.log_format);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_taken_before_and_after_the_command() {
        for line in ["umbel -b redis://h worker -c 8", "umbel worker -b redis://h -c 8"] {
            let args = line.split(' ').map(OsString::from);
            let invocation = parse(args).expect("a good command line");
            let flags = invocation.flags;
            assert!(flags.contains(&("broker", "redis://h".into())), "{flags:?}");
            assert!(flags.contains(&("concurrency", "8".into())), "{flags:?}");
        }
    }
}
