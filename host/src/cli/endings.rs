//! How a run that gave no value ended, for the task's author: as Python would print it, and what to do.

use umbel_task::outcome::{Failure, Kind, Limit, Outcome, Traceback};

use super::render;
use crate::settings::units::{show_duration, show_size};

/// The ending, and the way out where the words of the ending leave it open.
pub(super) fn told(outcome: &Outcome) -> String {
    match advice(outcome) {
        Some(advice) => format!("{}\nhelp: {advice}", explain(outcome)),
        None => explain(outcome),
    }
}

const GRANTS: &str = "`umbel check FILE` says which grant each import needs; `allow = { … }` in the worker's \
                      umbel.toml gives it";

fn advice(outcome: &Outcome) -> Option<&'static str> {
    let limit = match outcome {
        Outcome::Crashed { .. } => {
            return Some(
                "the task panicked, aborted or left its memory, in the function above; what callers \
                 should hear of is an error that it returns",
            );
        }
        Outcome::Denied { .. } => return Some(GRANTS),
        Outcome::Failed(Failure { kind: Kind::Guest(kind), .. }) if kind == "PermissionError" => {
            return Some(GRANTS);
        }
        Outcome::OverLimit(limit, _) => limit,
        _ => return None,
    };
    Some(match limit {
        Limit::Time(_) | Limit::Cpu(_) | Limit::SoftTime(_) => {
            "`--profile FILE` shows where its time goes; if it needs more, `--limit time=…` here, and \
             `limits = { time = \"…\" }` in the worker's umbel.toml"
        }
        Limit::Memory(_) => {
            "if it needs more: `--limit memory=…` here, `limits = { memory = \"…\" }` in the worker's \
             umbel.toml"
        }
        Limit::Fuel(_) => {
            "if it needs more: `--limit fuel=…` here, `limits = { fuel = … }` in the worker's \
             umbel.toml"
        }
        Limit::Output(_) => {
            "return less, for example where the whole lies; or `limits = { output = \"…\" }` in the \
             worker's umbel.toml"
        }
        Limit::Stack(_) => "it calls itself without end, or keeps large values on the stack",
        Limit::HostCalls(_) => return None,
    })
}

/// An ending that is no value, as Python would print it.
pub(super) fn explain(outcome: &Outcome) -> String {
    let (traceback, what): (&Traceback, String) = match outcome {
        Outcome::Done(value) => (&None, value.to_json()),
        Outcome::Failed(failure) => (&failure.traceback, describe(failure)),
        Outcome::Retry { cause, after, max } => {
            let mut what = "Retry: the task asks to be run again".to_owned();
            if let Some(after) = after {
                what += &format!(" in {}", show_duration(*after));
            }
            if let Some(max) = max {
                what += &format!(", {max} times at most");
            }
            if let Some(cause) = cause {
                what += &format!(": {}", describe(cause));
            }
            (&None, what)
        }
        Outcome::Rejected { requeue } => (&None, format!("Reject: requeue={requeue}")),
        Outcome::Ignored => (&None, "Ignore: the task wants neither result nor retry".to_owned()),
        Outcome::OverLimit(limit, traceback) => (traceback, over(limit)),
        Outcome::Crashed { reason, traceback } => (traceback, format!("TaskTrap: {reason}")),
        Outcome::Denied { what, traceback } => (traceback, format!("PermissionError: {what}")),
        Outcome::Stopped => (&None, "interrupted".to_owned()),
    };
    match traceback {
        Some(traceback) => format!("{}\n{what}", traceback.trim_end()),
        None => what,
    }
}

fn describe(failure: &Failure) -> String {
    let kind = match &failure.kind {
        Kind::Builtin(name) | Kind::Own(name) => (*name).to_owned(),
        Kind::Guest(name) => name.chars().filter(|c| !c.is_control()).take(100).collect(),
    };
    let args = failure.args.clone();
    render::exception(&umbel_protocol::record::Exception { kind, args, module: None })
}

fn over(limit: &Limit) -> String {
    match limit {
        Limit::Time(time) => format!("TimeLimitExceeded: {}", show_duration(*time)),
        Limit::Cpu(time) => format!("TimeLimitExceeded: {} of CPU time", show_duration(*time)),
        Limit::SoftTime(time) => format!("SoftTimeLimitExceeded: {}", show_duration(*time)),
        Limit::Memory(bytes) => format!("MemoryError: more than {}", show_size(*bytes)),
        Limit::Fuel(fuel) => format!("FuelExhausted: more than {fuel}"),
        Limit::Output(bytes) => {
            format!("OutputTooLarge: the result has more than {}", show_size(*bytes))
        }
        Limit::Stack(bytes) => format!("TaskTrap: stack overflow at {}", show_size(*bytes)),
        Limit::HostCalls(which) => format!("TaskTrap: {which}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_hears_what_to_do() {
        let crash = Outcome::Crashed { reason: "unreachable".to_owned(), traceback: None };
        for (outcome, parts) in [
            (crash, ["TaskTrap: unreachable\nhelp: ", "an error that it returns"]),
            (
                Outcome::OverLimit(Limit::Memory(1 << 20), Some("at grow\n".to_owned())),
                ["at grow\nMemoryError: more than 1MiB\nhelp: ", "--limit memory="],
            ),
            (
                Outcome::OverLimit(Limit::Time(std::time::Duration::from_secs(1)), None),
                ["TimeLimitExceeded: 1s\nhelp: ", "--profile FILE"],
            ),
        ] {
            let told = told(&outcome);
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        }
        assert_eq!(told(&Outcome::Rejected { requeue: true }), "Reject: requeue=true");
    }
}
