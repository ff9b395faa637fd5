//! `umbel inspect` and `umbel control`: Celery's commands of remote control, asked of workers of any
//! kind.

mod shown;

use std::ffi::OsStr;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use serde_json::json;
use umbel_protocol::control::{Answer, Answers, Manner, Manual, manuals};
use umbel_value::{Map, Value};

use super::asking::{self, Line, Whom, by_node};
use super::render;
use crate::fault::{Code, Fault};
use crate::out;
use crate::settings::units::show_duration;
use crate::settings::{Settings, nearest};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to ask for; see below
    #[arg(index = 1, value_name = "COMMAND", value_parser = Commands(Manner::Inspect))]
    manual: &'static Manual,

    /// What the command takes
    #[arg(index = 2, value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    #[command(flatten)]
    whom: Whom,
}

/// The same arguments for the other family of commands, and the list of all in the help.
pub(super) fn complete(command: clap::Command, manner: Manner) -> clap::Command {
    let command = command
        .mut_arg("manual", |arg| arg.value_parser(Commands(manner)).hide_possible_values(true));
    let width = manuals(manner).map(|manual| typed(manual).len()).max().unwrap_or_default();
    let mut list = String::from("Commands:\n");
    for manual in manuals(manner) {
        list += &format!("  {:width$}  {}\n", typed(manual), manual.help);
    }
    command.after_help(list + AFTER_HELP)
}

const AFTER_HELP: &str = "
--json prints the answers in Celery's shape. Ends with 69 if nobody answered, and with 1 if a
worker answered with an error.";

fn typed(manual: &Manual) -> String {
    format!("{} {}", manual.name, manual.usage).trim_end().to_owned()
}

/// Reads the name of a command.
#[derive(Clone, Copy, Debug)]
struct Commands(Manner);

impl TypedValueParser for Commands {
    type Value = &'static Manual;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<&'static Manual, clap::Error> {
        let word = value.to_string_lossy();
        // Some like dashes better.
        let name = word.replace('-', "_");
        let found = manuals(self.0).find(|manual| manual.name == name);
        found.ok_or_else(|| {
            let text = format!("{}\n", unknown(self.0, &name, &word));
            clap::Error::raw(ErrorKind::InvalidValue, text).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values =
            manuals(self.0).map(|manual| PossibleValue::new(manual.name).help(manual.help));
        Some(Box::new(values))
    }
}

fn unknown(manner: Manner, name: &str, word: &str) -> String {
    let (own, other, others) = match manner {
        Manner::Inspect => ("inspect", "control", Manner::Control),
        Manner::Control => ("control", "inspect", Manner::Inspect),
    };
    let what = format!("`umbel {own}` has no command `{word}`");
    if manuals(others).any(|manual| manual.name == name) {
        return format!("{what}\nhelp: write `umbel {other} {name}`");
    }
    let names: Vec<&str> = manuals(manner).map(|manual| manual.name).collect();
    match nearest(name, &names) {
        Some(near) => format!("{what}\nhelp: did you mean `{near}`?"),
        None => format!("{what}\nhelp: `umbel {own} --help` lists them"),
    }
}

/// Asks and prints what is answered.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let manual = args.manual;
    let arguments = manual.arguments(&args.args).map_err(|misuse| {
        let family = if manual.manner == Manner::Inspect { "inspect" } else { "control" };
        let example = format!("umbel {family} {} {}", manual.name, manual.example);
        Fault::usage(misuse.to_string()).help(format!("write for example `{}`", example.trim_end()))
    })?;
    let runtime = super::small_runtime()?;
    if manual.answer == Answers::Nothing {
        return runtime.block_on(order(settings, manual, arguments, &args.whom));
    }
    let answers = runtime.block_on(async {
        let line = Line::open(settings).await?;
        let answers = line.ask(manual.name, arguments, &args.whom).await;
        line.close().await;
        answers
    })?;
    if answers.is_empty() {
        return Err(asking::nobody(settings, &args.whom).into());
    }
    if settings.json {
        out::json(&as_celery(manual.manner, &answers))?;
    } else {
        shown::answers(manual, &answers)?;
        if manual.manner == Manner::Inspect {
            out::line(&format!("\n{}", online(answers.len())))?;
        }
    }
    miss(&args.whom, &answers);
    let failed = answers.iter().any(|answer| error(answer).is_some());
    Ok(if failed { Code::Failure.into() } else { ExitCode::SUCCESS })
}

/// For what workers do not answer: says it to those who are there, and who they are.
async fn order(
    settings: &Settings,
    manual: &Manual,
    arguments: Map,
    whom: &Whom,
) -> anyhow::Result<ExitCode> {
    let line = Line::open(settings).await?;
    let there = line.ask("ping", Map::new(), whom).await?;
    let said = match there.is_empty() {
        true => Ok(()),
        false => line.order(manual.name, arguments, &whom.destination).await,
    };
    line.close().await;
    if there.is_empty() {
        return Err(asking::nobody(settings, whom).into());
    }
    said.with_context(|| format!("`{}` could not be sent", manual.name))?;
    if settings.json {
        let told = there.iter().map(|answer| json!({ answer.node.as_str(): { "ok": "told" } }));
        out::json(&told.collect())?;
    } else {
        let head = ["NODE", "ANSWER"].map(str::to_owned);
        let told = format!("told to {}", manual.name);
        let rows = there.iter().map(|answer| [answer.node.clone(), told.clone()]);
        render::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    }
    miss(whom, &there);
    Ok(ExitCode::SUCCESS)
}

/// Facts by node; what was changed as a list of answers.
fn as_celery(manner: Manner, answers: &[Answer]) -> serde_json::Value {
    let one = |answer: &Answer| json!({ answer.node.as_str(): render::json(&answer.value) });
    match manner {
        Manner::Inspect => by_node(answers),
        Manner::Control => answers.iter().map(one).collect(),
    }
}

/// Celery's last line.
pub(super) fn online(count: usize) -> String {
    format!("{count} {} online.", if count == 1 { "node" } else { "nodes" })
}

/// Tells of nodes that were named and did not answer.
pub(super) fn miss(whom: &Whom, answers: &[Answer]) {
    let silent = |name: &&String| !answers.iter().any(|answer| answer.node == **name);
    for name in whom.destination.iter().filter(silent) {
        let time = show_duration(whom.timeout);
        out::note(&format!("warning: no answer from {name} within {time}"));
    }
}

/// What a worker complains of.
pub(super) fn error(answer: &Answer) -> Option<&str> {
    answer.value.get("error").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_answered_with_what_was_meant() {
        for (manner, word, part) in [
            (Manner::Inspect, "pign", "did you mean `ping`"),
            (Manner::Inspect, "activ_queue", "did you mean `active_queues`"),
            (Manner::Inspect, "revoke", "write `umbel control revoke`"),
            (Manner::Control, "stats", "write `umbel inspect stats`"),
            (Manner::Control, "xyzzy", "`umbel control --help` lists them"),
        ] {
            let text = unknown(manner, word, word);
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn answers_are_told_as_celery_tells_them() {
        let answer =
            Answer { node: "w@lab".to_owned(), value: Value::from([("ok", "pong".into())]) };
        let answers = [answer];
        assert_eq!(as_celery(Manner::Inspect, &answers), json!({ "w@lab": { "ok": "pong" } }));
        assert_eq!(as_celery(Manner::Control, &answers), json!([{ "w@lab": { "ok": "pong" } }]));
    }
}
