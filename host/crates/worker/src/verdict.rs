//! Hop 6, pure: all that follows from an outcome or a refusal.

use std::time::Duration;

use jiff::Timestamp;
use umbel_protocol::message::{Message, RawMessage, Route};
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_protocol::time::Timestamp as WireTime;
use umbel_task::outcome::{Failure, Kind, Limit, Outcome};
use umbel_task::policy::{Acks, Handling};
use umbel_transport::delivery::Settlement;
use umbel_value::Value;

use crate::admit::Refusal;
use crate::retry;
use crate::tell::Ending;

/// What a judgement depends on beside message and outcome, gathered once.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) now: Timestamp,
    /// Where the message was published to.
    pub(crate) route: &'a Route,
    /// Drawn at random, 0 to 1.
    pub(crate) spread: f64,
}

/// All that follows; the fields are in the order they are carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) follow_ups: Vec<(Route, RawMessage)>,
    pub(crate) record: Option<ResultRecord>,
    /// For the log and the counters.
    pub(crate) ending: Ending,
    pub(crate) settlement: Settlement,
}

/// What follows from a run.
pub(crate) fn verdict(
    message: &Message,
    handling: &Handling,
    outcome: Outcome,
    facts: &Facts,
) -> Verdict {
    match outcome {
        Outcome::Done(value) => success(message, value, facts),
        Outcome::Failed(failure) => failed(message, failure, facts),
        Outcome::Retry { cause, after, max } => {
            again(message, handling, cause, retry::Wish { after, max }, facts)
        }
        Outcome::Rejected { requeue } => quiet(
            if requeue { Settlement::Requeue } else { Settlement::Discard },
            Ending::Rejected { requeue },
        ),
        Outcome::Ignored => quiet(Settlement::Ack, Ending::Ignored),
        Outcome::OverLimit(limit, traceback) => {
            failure(message, over_limit(&limit), traceback, Settlement::Ack, facts)
        }
        Outcome::Crashed { reason, traceback } => {
            failure(message, own("TaskTrap", reason), traceback, Settlement::Ack, facts)
        }
        Outcome::Denied { what, traceback } => {
            failure(message, builtin("PermissionError", what), traceback, Settlement::Ack, facts)
        }
        Outcome::Stopped => stopped(message, handling, facts),
    }
}

/// What follows when a message is refused before its run.
pub(crate) fn refusal(message: &Message, why: &Refusal, now: Timestamp) -> Verdict {
    let route = Route::default();
    let facts = Facts { now, route: &route, spread: 0.0 };
    match why {
        Refusal::Unregistered => {
            let exception = celery("NotRegistered", message.task.clone());
            let mut verdict = failure(message, exception, None, Settlement::Discard, &facts);
            verdict.ending = Ending::Unregistered;
            verdict
        }
        Refusal::Expired => {
            let exception = celery("TaskRevokedError", "expired".to_owned());
            let record = record(message, State::Revoked, exception.to_value(), None, &facts);
            Verdict {
                follow_ups: Vec::new(),
                record: stored(message, record),
                ending: Ending::Expired,
                settlement: Settlement::Ack,
            }
        }
        Refusal::Unsupported(what) => {
            let text = format!("this worker does not run messages with {what} yet");
            let exception = builtin("NotImplementedError", text);
            failure(message, exception, None, Settlement::Discard, &facts)
        }
    }
}

/// The failure a caller gets for a message that is readable but no valid request.
pub(crate) fn invalid(id: &str, what: &str, now: Timestamp) -> ResultRecord {
    ResultRecord {
        id: id.to_owned(),
        state: State::Failure,
        result: celery("InvalidTaskError", what.to_owned()).to_value(),
        traceback: None,
        children: Some(Vec::new()),
        date_done: Some(WireTime::new(now).text),
        group_id: None,
        parent_id: None,
        other: Default::default(),
    }
}

/// A state of the task's own, on its way to whoever follows it.
pub(crate) fn progress(message: &Message, state: String, meta: Value) -> ResultRecord {
    ResultRecord { date_done: None, ..blank(message, State::Custom(state), meta) }
}

fn success(message: &Message, value: Value, facts: &Facts) -> Verdict {
    let ending = Ending::succeeded(&value);
    let record = record(message, State::Success, value, None, facts);
    Verdict {
        follow_ups: Vec::new(),
        record: stored(message, record),
        ending,
        settlement: Settlement::Ack,
    }
}

fn failed(message: &Message, cause: Failure, facts: &Facts) -> Verdict {
    let traceback = cause.traceback.clone();
    failure(message, exception(cause), traceback, Settlement::Ack, facts)
}

fn failure(
    message: &Message,
    exception: Exception,
    traceback: Option<String>,
    settlement: Settlement,
    facts: &Facts,
) -> Verdict {
    let ending = Ending::Failed { exception: exception.to_string(), traceback: traceback.clone() };
    let record = record(message, State::Failure, exception.to_value(), traceback, facts);
    Verdict { follow_ups: Vec::new(), record: stored(message, record), ending, settlement }
}

fn again(
    message: &Message,
    handling: &Handling,
    cause: Option<Failure>,
    wish: retry::Wish,
    facts: &Facts,
) -> Verdict {
    let after = match retry::next(&handling.retry, message.retries, wish, facts.spread) {
        retry::Next::After(after) => after,
        retry::Next::Exhausted => {
            let cause = cause.map_or_else(|| retries_exceeded(message), exception);
            return failure(message, cause, None, Settlement::Ack, facts);
        }
    };
    let traceback = cause.as_ref().and_then(|cause| cause.traceback.clone());
    let cause = cause.map(exception);
    let text = cause.as_ref().map_or_else(String::new, Exception::to_string);
    let result = cause.map_or(Value::Null, |cause| cause.to_value());
    let eta = facts.now.checked_add(after).unwrap_or(Timestamp::MAX);
    let record =
        ResultRecord { traceback, date_done: None, ..blank(message, State::Retry, result) };
    Verdict {
        // Back to where the message came from (PROTOCOL 5.6).
        follow_ups: vec![(facts.route.clone(), message.retry(Some(eta)).encode())],
        record: stored(message, record),
        ending: Ending::Retry { after, cause: text },
        settlement: Settlement::Ack,
    }
}

/// Interrupted is not failed. The exception is honest: acknowledged early, it never comes again.
fn stopped(message: &Message, handling: &Handling, facts: &Facts) -> Verdict {
    match handling.acks {
        Acks::Late => quiet(Settlement::Requeue, Ending::Returned),
        Acks::Early => {
            let exception = Exception {
                kind: "WorkerLostError".to_owned(),
                args: vec![Value::Text("the worker stopped while the task ran".to_owned())],
                module: Some("billiard.exceptions".to_owned()),
            };
            failure(message, exception, None, Settlement::Ack, facts)
        }
    }
}

fn quiet(settlement: Settlement, ending: Ending) -> Verdict {
    Verdict { follow_ups: Vec::new(), record: None, ending, settlement }
}

fn record(
    message: &Message,
    state: State,
    result: Value,
    traceback: Option<String>,
    facts: &Facts,
) -> ResultRecord {
    let date_done = Some(WireTime::new(facts.now).text);
    ResultRecord { traceback, date_done, ..blank(message, state, result) }
}

fn blank(message: &Message, state: State, result: Value) -> ResultRecord {
    ResultRecord {
        id: message.id.clone(),
        state,
        result,
        traceback: None,
        children: Some(Vec::new()),
        date_done: None,
        group_id: message.group.clone(),
        parent_id: message.parent_id.clone(),
        other: Default::default(),
    }
}

fn stored(message: &Message, record: ResultRecord) -> Option<ResultRecord> {
    (message.ignore_result != Some(true)).then_some(record)
}

fn over_limit(limit: &Limit) -> Exception {
    match limit {
        Limit::Time(limit) => Exception {
            kind: "TimeLimitExceeded".to_owned(),
            args: vec![seconds(*limit)],
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

fn retries_exceeded(message: &Message) -> Exception {
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
fn exception(failure: Failure) -> Exception {
    let (module, kind) = match failure.kind {
        Kind::Builtin(kind) => ("builtins", kind.to_owned()),
        Kind::Own(kind) => ("umbel.exceptions", kind.to_owned()),
        Kind::Guest(kind) if BUILTIN_EXCEPTIONS.contains(&kind.as_str()) => ("builtins", kind),
        Kind::Guest(kind) if is_identifier(&kind) => ("umbel.exceptions", kind),
        Kind::Guest(_) => ("umbel.exceptions", "TaskError".to_owned()),
    };
    Exception { kind, args: failure.args, module: Some(module.to_owned()) }
}

fn builtin(kind: &str, text: String) -> Exception {
    in_module("builtins", kind, text)
}

fn own(kind: &str, text: String) -> Exception {
    in_module("umbel.exceptions", kind, text)
}

fn celery(kind: &str, text: String) -> Exception {
    in_module("celery.exceptions", kind, text)
}

fn in_module(module: &str, kind: &str, text: String) -> Exception {
    Exception {
        kind: kind.to_owned(),
        args: vec![Value::Text(text)],
        module: Some(module.to_owned()),
    }
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

/// What is stored in place of a record that its store can never hold.
pub(crate) fn unstorable(record: &ResultRecord, what: &str) -> ResultRecord {
    ResultRecord {
        state: State::Failure,
        result: own("OutputTooLarge", what.to_owned()).to_value(),
        traceback: None,
        ..record.clone()
    }
}
