//! Canvas: what is sent when a task ends, against what Celery sent.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

mod bounds;
mod failing;
mod following;
mod recorded;
mod replacing;
mod sending;
mod tails;

use umbel_protocol::body::Content;
use umbel_protocol::canvas::{CanvasError, Plan, Sender, Step};
use umbel_protocol::message::{Message, Route};
use umbel_value::Value;

/// Runs `work` with a sender that has this parent and these ids to give out, then numbered ones.
fn sending<T>(
    parent: Option<&Message>,
    ids: &[&str],
    work: impl FnOnce(&mut Sender<'_>) -> T,
) -> T {
    let mut numbered = (0..).map(|number| format!("fresh-{number}"));
    let mut given = ids.iter().map(|id| (*id).to_owned());
    let mut sender = Sender {
        parent,
        origin: "test@host",
        now: "2030-01-02T03:04:05Z".parse().unwrap(),
        route: &|_| Route::queue("celery"),
        ids: &mut || given.next().or_else(|| numbered.next()).unwrap(),
        content: Content::default(),
    };
    work(&mut sender)
}

/// The messages of a plan.
fn sent(plan: &Plan) -> Vec<&Message> {
    let messages = plan.steps.iter().filter_map(|step| match step {
        Step::Send { message, .. } => Some(&**message),
        _ => None,
    });
    messages.collect()
}

/// What a plan does, short enough to compare: names with arguments, sizes, kept groups.
fn steps(plan: &Plan) -> Vec<String> {
    let show = |step: &Step| match step {
        Step::Send { message, .. } => {
            format!("{}{}", message.task, message.argsrepr.as_deref().unwrap())
        }
        Step::Size { group, size } => format!("size of {group} is {size}"),
        Step::Keep { group, .. } => format!("keep {group}"),
    };
    plan.steps.iter().map(show).collect()
}

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn task(name: &str, args: &str) -> String {
    format!(r#"{{"task": "{name}", "args": {args}, "kwargs": {{}}, "options": {{}}}}"#)
}

fn canvas(kind: &str, tasks: &[String]) -> String {
    let tasks = tasks.join(", ");
    format!(
        r#"{{"task": "celery.{kind}", "args": [], "kwargs": {{"tasks": [{tasks}]}},
            "options": {{}}, "subtask_type": "{kind}", "immutable": false}}"#
    )
}

fn chain(tasks: &[String]) -> String {
    canvas("chain", tasks)
}

fn group(tasks: &[String]) -> String {
    canvas("group", tasks)
}

fn chord(header: &[String], body: &str) -> String {
    let header = header.join(", ");
    format!(
        r#"{{"task": "celery.chord", "args": [], "kwargs": {{"kwargs": {{}}, "header": [{header}],
            "body": {body}}}, "options": {{}}, "subtask_type": "chord", "immutable": false}}"#
    )
}

fn apply(signature: &str, parent: Option<&Message>) -> Result<Plan, CanvasError> {
    apply_with(signature, &[], parent)
}

fn apply_with(
    signature: &str,
    ids: &[&str],
    parent: Option<&Message>,
) -> Result<Plan, CanvasError> {
    let signature = json(signature);
    sending(parent, ids, |sender| {
        umbel_protocol::canvas::apply(&signature, &[], &Default::default(), sender)
    })
}
