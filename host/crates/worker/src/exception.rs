//! Pure: from how a run ended to the exception that a Python caller sees (PROTOCOL 4.3).

use std::time::Duration;

use umbel_protocol::canvas::CanvasError;
use umbel_protocol::message::Message;
use umbel_protocol::record::Exception;
use umbel_task::outcome::{Failure, Kind, Limit};
use umbel_value::Value;

pub(crate) fn over_limit(limit: &Limit) -> Exception {
    match limit {
        Limit::Time(limit) => Exception {
            kind: "TimeLimitExceeded".to_owned(),
            args: vec![seconds(*limit)],
            module: Some("billiard.exceptions".to_owned()),
        },
        // The seconds first, as always; the text tells it from the limit on wall time.
        Limit::Cpu(limit) => Exception {
            kind: "TimeLimitExceeded".to_owned(),
            args: vec![seconds(*limit), Value::Text("of CPU time".to_owned())],
            module: Some("billiard.exceptions".to_owned()),
        },
        Limit::SoftTime(_) => Exception {
            kind: "SoftTimeLimitExceeded".to_owned(),
            args: Vec::new(),
            module: Some("billiard.exceptions".to_owned()),
        },
        Limit::Memory(bytes) => {
            builtin("MemoryError", format!("the task's memory limit of {bytes} bytes"))
        }
        Limit::Fuel(units) => own("FuelExhausted", format!("the task's limit of {units} units")),
        Limit::Output(bytes) => {
            own("OutputTooLarge", format!("the result is larger than {bytes} bytes"))
        }
        Limit::Stack(bytes) => {
            own("TaskTrap", format!("stack overflow: the limit is {bytes} bytes"))
        }
        Limit::HostCalls(what) => own("HostCallLimitExceeded", what.clone()),
    }
}

/// Whole seconds as an integer, as callers give them.
fn seconds(limit: Duration) -> Value {
    if limit.subsec_nanos() == 0 {
        Value::Int(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX))
    } else {
        Value::Float(limit.as_secs_f64())
    }
}

pub(crate) fn retries_exceeded(message: &Message) -> Exception {
    let arguments = |repr: &Option<String>| repr.clone().unwrap_or_default();
    let text = format!(
        "Can't retry {}[{}] args:{} kwargs:{}",
        message.task,
        message.id,
        arguments(&message.argsrepr),
        arguments(&message.kwargsrepr)
    );
    celery("MaxRetriesExceededError", text)
}

/// The modules are ours to choose, never the guest's.
pub(crate) fn of_failure(failure: Failure) -> Exception {
    let (module, kind) = match failure.kind {
        Kind::Builtin(kind) => ("builtins", kind.to_owned()),
        Kind::Own(kind) => ("umbel.exceptions", kind.to_owned()),
        Kind::Guest(kind) if BUILTIN_EXCEPTIONS.contains(&kind.as_str()) => ("builtins", kind),
        Kind::Guest(kind) if is_identifier(&kind) => ("umbel.exceptions", kind),
        Kind::Guest(_) => ("umbel.exceptions", "TaskError".to_owned()),
    };
    Exception { kind, args: failure.args, module: Some(module.to_owned()) }
}

/// A canvas that could not be sent.
pub(crate) fn canvas(error: &CanvasError) -> Exception {
    builtin("ValueError", error.to_string())
}

/// A message that its task does not want back.
pub(crate) fn reject(reason: &str) -> Exception {
    Exception {
        kind: "Reject".to_owned(),
        args: vec![reason.into(), false.into()],
        module: Some("celery.exceptions".to_owned()),
    }
}

/// The end of a run whose worker went away.
pub(crate) fn worker_lost(text: String) -> Exception {
    Exception::new("billiard.exceptions", "WorkerLostError", text)
}

/// A result that its serializer cannot write, as Celery's clients see it.
pub(crate) fn unwritable(what: String) -> Exception {
    Exception::new("kombu.exceptions", "EncodeError", what)
}

pub(crate) fn builtin(kind: &str, text: String) -> Exception {
    Exception::new("builtins", kind, text)
}

pub(crate) fn own(kind: &str, text: String) -> Exception {
    Exception::new("umbel.exceptions", kind, text)
}

pub(crate) fn celery(kind: &str, text: String) -> Exception {
    Exception::new("celery.exceptions", kind, text)
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    text.len() <= 100
        && chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a guest may name to raise that builtin in a Python caller: exceptions that one message can
/// construct and that do not end or bend the caller's own flow (no `SystemExit`, no `StopIteration`).
const BUILTIN_EXCEPTIONS: &[&str] = &[
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BlockingIOError",
    "BrokenPipeError",
    "BufferError",
    "ChildProcessError",
    "ConnectionAbortedError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "EOFError",
    "Exception",
    "FileExistsError",
    "FileNotFoundError",
    "FloatingPointError",
    "IOError",
    "ImportError",
    "IndexError",
    "InterruptedError",
    "IsADirectoryError",
    "KeyError",
    "LookupError",
    "MemoryError",
    "ModuleNotFoundError",
    "NameError",
    "NotADirectoryError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PermissionError",
    "ProcessLookupError",
    "RecursionError",
    "ReferenceError",
    "RuntimeError",
    "SyntaxError",
    "SystemError",
    "TimeoutError",
    "TypeError",
    "UnicodeError",
    "ValueError",
    "ZeroDivisionError",
];
