//! From what wasmtime and the guest say to an `Outcome`. The only match on wasmtime's errors.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use umbel_task::outcome::{Failure, Kind, Limit, Outcome};
use umbel_task::policy::Sandbox;
use umbel_value::Value;
use wasmtime::Trap;
use wasmtime::component::Val;

use crate::backtrace::Frames;
use crate::deadlines::TimeUp;
use crate::hostcalls::BadProgress;
use crate::limits::MemoryLimit;
use crate::meter::Exceeded;
use crate::run::Stopped;
use crate::shape::{Complaint, Give};
use crate::size::{json_size, least_json_size};
use crate::value::{Bad, json, lift, lift_side};

/// What a function gave, as the task's end.
pub(crate) fn returned(give: &Give, val: Option<Val>, output: u64) -> (Outcome, u64) {
    let least = least_size(give, val.as_ref());
    if least > output {
        return (Outcome::OverLimit(Limit::Output(output), None), least);
    }
    if least < LARGE || Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
        return converted(give, val, output);
    }
    // The other runs of this thread go on elsewhere meanwhile.
    tokio::task::block_in_place(|| converted(give, val, output))
}

/// Bytes of JSON that take a while to make a value of.
const LARGE: u64 = 256 << 10;

/// How large what is stored of it is at the least.
fn least_size(give: &Give, val: Option<&Val>) -> u64 {
    match (give, val) {
        (Give::Value(_), Some(val)) => least_json_size(val),
        (Give::Result { .. }, Some(Val::Result(Ok(Some(val))))) => least_json_size(val),
        _ => 0,
    }
}

fn converted(give: &Give, val: Option<Val>, output: u64) -> (Outcome, u64) {
    let outcome = match (give, val) {
        (Give::Nothing, _) => Ok(Outcome::Done(Value::Null)),
        (Give::Value(shape), Some(val)) => lift(val, shape).map(Outcome::Done),
        (Give::Result { ok, .. }, Some(Val::Result(Ok(val)))) => {
            lift_side(val, ok.as_ref()).map(Outcome::Done)
        }
        (Give::Result { err, .. }, Some(Val::Result(Err(val)))) => complaint(err, val),
        _ => Err(Bad::Shape),
    };
    match outcome {
        Ok(outcome) => {
            let size = size(&outcome);
            if size > output {
                return (Outcome::OverLimit(Limit::Output(output), None), size);
            }
            (outcome, size)
        }
        Err(Bad::Json(why)) => (failed(format!("the task's result is not JSON: {why}")), 0),
        Err(Bad::Shape) => (failed("the task's result is not of its type".to_owned()), 0),
    }
}

/// An error that a task returned.
fn complaint(err: &Complaint, val: Option<Box<Val>>) -> Result<Outcome, Bad> {
    let args = match (err, val) {
        (Complaint::Ending(_), Some(val)) => return ending(*val),
        (Complaint::Text, Some(val)) => match *val {
            Val::String(text) => vec![Value::Text(text)],
            _ => return Err(Bad::Shape),
        },
        (Complaint::Other(shape), Some(val)) => vec![lift(*val, shape)?],
        (_, None) => vec![Value::Text("the task returned an error without a value".to_owned())],
        (Complaint::Nothing, Some(_)) => return Err(Bad::Shape),
    };
    Ok(Outcome::Failed(Failure { kind: Kind::Own("TaskError"), args, traceback: None }))
}

/// `umbel:task/types.error`.
fn ending(val: Val) -> Result<Outcome, Bad> {
    let Val::Variant(case, payload) = val else { return Err(Bad::Shape) };
    match (case.as_str(), payload.map(|val| *val)) {
        ("failed", Some(Val::Record(fields))) => Ok(Outcome::Failed(failure(fields)?)),
        ("retry", Some(Val::Record(fields))) => {
            let mut retry = (None, None, None);
            for (name, val) in fields {
                match (name.as_str(), some(val)?) {
                    (_, None) => {}
                    ("cause", Some(Val::Record(fields))) => retry.0 = Some(failure(fields)?),
                    ("after-ms", Some(Val::U64(ms))) => retry.1 = Some(Duration::from_millis(ms)),
                    ("max", Some(Val::U32(max))) => retry.2 = Some(max),
                    _ => return Err(Bad::Shape),
                }
            }
            Ok(Outcome::Retry { cause: retry.0, after: retry.1, max: retry.2 })
        }
        ("reject", Some(Val::Bool(requeue))) => Ok(Outcome::Rejected { requeue }),
        ("ignore", None) => Ok(Outcome::Ignored),
        _ => Err(Bad::Shape),
    }
}

/// The record `failure`; its data becomes the exception's second argument.
fn failure(fields: Vec<(String, Val)>) -> Result<Failure, Bad> {
    let mut kind = String::new();
    let mut args = Vec::new();
    for (name, val) in fields {
        match (name.as_str(), val) {
            ("kind", Val::String(text)) => kind = text,
            ("message", Val::String(text)) => args.insert(0, Value::Text(text)),
            ("data", val) => match some(val)? {
                Some(Val::String(text)) => args.push(json(&text)?),
                None => {}
                _ => return Err(Bad::Shape),
            },
            _ => return Err(Bad::Shape),
        }
    }
    Ok(Failure { kind: Kind::Guest(kind), args, traceback: None })
}

fn some(val: Val) -> Result<Option<Val>, Bad> {
    match val {
        Val::Option(inner) => Ok(inner.map(|val| *val)),
        _ => Err(Bad::Shape),
    }
}

fn failed(what: String) -> Outcome {
    Outcome::Failed(Failure::own("TaskError", what))
}

/// Bytes of what is stored of an outcome, as JSON.
fn size(outcome: &Outcome) -> u64 {
    let args = |failure: &Failure| failure.args.iter().map(json_size).sum();
    match outcome {
        Outcome::Done(value) => json_size(value),
        Outcome::Failed(failure) | Outcome::Retry { cause: Some(failure), .. } => args(failure),
        _ => 0,
    }
}

/// An error out of instantiation or out of the call.
pub(crate) fn broken(error: &wasmtime::Error, sandbox: &Sandbox) -> Outcome {
    let frames = Frames::of(error);
    let traceback = frames.as_ref().map(Frames::to_string);
    if let Some(TimeUp(limit)) = error.downcast_ref::<TimeUp>() {
        return Outcome::OverLimit(limit.clone(), traceback);
    }
    if error.downcast_ref::<Stopped>().is_some() {
        return Outcome::Stopped;
    }
    if error.downcast_ref::<MemoryLimit>().is_some() {
        return Outcome::OverLimit(Limit::Memory(sandbox.memory), traceback);
    }
    if let Some(Exceeded(what)) = error.downcast_ref::<Exceeded>() {
        return Outcome::OverLimit(Limit::HostCalls(what.clone()), traceback);
    }
    if let Some(bad) = error.downcast_ref::<BadProgress>() {
        let mut failure = Failure::builtin("ValueError", bad.0.clone());
        failure.traceback = traceback;
        return Outcome::Failed(failure);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return crashed(format!("the task called exit with status {}", exit.0), traceback);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            Outcome::OverLimit(Limit::Fuel(sandbox.fuel.unwrap_or(u64::MAX)), traceback)
        }
        Some(Trap::StackOverflow) => crashed("stack overflow".to_owned(), traceback),
        // Compilers keep a stack of their own in linear memory, below everything else.
        Some(Trap::MemoryOutOfBounds) if frames.is_some_and(|f| f.is_runaway()) => {
            crashed("stack overflow (out of bounds memory access)".to_owned(), traceback)
        }
        Some(trap) => crashed(trap_in_words(*trap), traceback),
        None => uncommon(error, sandbox, traceback),
    }
}

/// Errors of wasmtime that have no type of their own.
fn uncommon(error: &wasmtime::Error, sandbox: &Sandbox, traceback: Option<String>) -> Outcome {
    let root = error.root_cause().to_string();
    if root.contains("fuel allocated for hostcalls") {
        // Without a frame of the guest it was the result that was too much.
        return match traceback {
            None => Outcome::OverLimit(Limit::Output(sandbox.output), None),
            some => Outcome::OverLimit(
                Limit::HostCalls("too many bytes passed to the host in one call".to_owned()),
                some,
            ),
        };
    }
    if root.contains("resource limit exceeded: instance") {
        let what = format!("more than {} core instances", sandbox.instances);
        return Outcome::OverLimit(Limit::HostCalls(what), traceback);
    }
    if root.contains("resource table has no free keys") || root.contains("store handle limit") {
        let what = format!("more than {} handles held", sandbox.handles);
        return Outcome::OverLimit(Limit::HostCalls(what), traceback);
    }
    crashed(root, traceback)
}

fn crashed(reason: String, traceback: Option<String>) -> Outcome {
    Outcome::Crashed { reason, traceback }
}

/// `unreachable` is what panics, aborts and failed assertions end in.
fn trap_in_words(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "wasm `unreachable` instruction executed (a panic or an abort)".to_owned()
        }
        trap => {
            let text = trap.to_string();
            text.strip_prefix("wasm trap: ").map_or(text.clone(), str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    fn err(complaint: Complaint, val: Option<Val>) -> Outcome {
        let give = Give::Result { ok: None, err: complaint };
        returned(&give, Some(Val::Result(Err(val.map(Box::new)))), 1000).0
    }

    fn text(text: &str) -> Val {
        Val::String(text.to_owned())
    }

    fn some(val: Val) -> Val {
        Val::Option(Some(Box::new(val)))
    }

    fn failure(data: Val) -> Val {
        let fields = [("kind", text("Odd")), ("message", text("no luck")), ("data", data)];
        Val::Record(fields.map(|(name, val)| (name.to_owned(), val)).to_vec())
    }

    fn ending(case: &str, payload: Option<Val>) -> Outcome {
        let val = Val::Variant(case.to_owned(), payload.map(Box::new));
        err(Complaint::Ending(Shape::Text), Some(val))
    }

    fn odd(args: Vec<Value>) -> Failure {
        Failure { kind: Kind::Guest("Odd".to_owned()), args, traceback: None }
    }

    #[test]
    fn an_error_of_text_or_of_another_type_is_a_task_error() {
        let failed =
            |args| Outcome::Failed(Failure { kind: Kind::Own("TaskError"), args, traceback: None });
        let given = err(Complaint::Text, Some(text("no")));
        assert_eq!(given, failed(vec![Value::Text("no".to_owned())]));
        let given = err(Complaint::Other(Shape::U8), Some(Val::U8(7)));
        assert_eq!(given, failed(vec![Value::Int(7)]));
        let nothing = "the task returned an error without a value";
        assert_eq!(err(Complaint::Nothing, None), failed(vec![Value::Text(nothing.to_owned())]));
    }

    #[test]
    fn an_error_of_the_contracts_own_type_says_how_the_task_ends() {
        let message = Value::Text("no luck".to_owned());
        let plain = failure(Val::Option(None));
        let failed = Outcome::Failed(odd(vec![message.clone()]));
        assert_eq!(ending("failed", Some(plain.clone())), failed);
        let with_data = failure(some(text("[1]")));
        let args = vec![message.clone(), Value::List(vec![Value::Int(1)])];
        assert_eq!(ending("failed", Some(with_data)), Outcome::Failed(odd(args)));
        let retry = |cause, after, max| {
            let fields = [("cause", cause), ("after-ms", after), ("max", max)];
            Val::Record(fields.map(|(name, val)| (name.to_owned(), val)).to_vec())
        };
        let none = || Val::Option(None);
        let expected = Outcome::Retry { cause: None, after: None, max: None };
        assert_eq!(ending("retry", Some(retry(none(), none(), none()))), expected);
        let expected = Outcome::Retry {
            cause: Some(odd(vec![message])),
            after: Some(Duration::from_millis(1500)),
            max: Some(7),
        };
        let given = retry(some(plain), some(Val::U64(1500)), some(Val::U32(7)));
        assert_eq!(ending("retry", Some(given)), expected);
        let reject = ending("reject", Some(Val::Bool(true)));
        assert_eq!(reject, Outcome::Rejected { requeue: true });
        assert_eq!(ending("ignore", None), Outcome::Ignored);
    }

    #[test]
    fn data_that_is_no_json_fails_the_task_and_says_so() {
        let given = ending("failed", Some(failure(some(text("{")))));
        let Outcome::Failed(Failure { args, .. }) = given else { panic!("{given:?}") };
        let [Value::Text(message)] = &args[..] else { panic!("{args:?}") };
        assert!(message.starts_with("the task's result is not JSON"), "{message}");
    }

    #[test]
    fn an_error_counts_towards_the_output_limit() {
        let given = err(Complaint::Text, Some(text(&"x".repeat(2000))));
        assert_eq!(given, Outcome::OverLimit(Limit::Output(1000), None));
    }
}
