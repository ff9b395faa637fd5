//! Pure: what a guest may say in a signature. Ids, parents, groups and routes are the host's to set, or
//! a task could put its words under another one's name, or where no task belongs.

use umbel_protocol::names;
use umbel_task::policy::Submit;
use umbel_task::runner::OutboxError;
use umbel_value::{Map, Value};

/// The options that are a guest's to choose. Stamps are not: they revoke.
const CHOICES: [&str; 14] = [
    "queue",
    "priority",
    "serializer",
    "compression",
    "countdown",
    "eta",
    "expires",
    "time_limit",
    "soft_time_limit",
    "headers",
    "shadow",
    "ignore_result",
    "link",
    "link_error",
];

/// What our own headers begin with.
const OURS: &str = "umbel_";

/// Headers by which RabbitMQ sends copies to further queues.
const COPIES: [&str; 2] = ["CC", "BCC"];

/// Where signatures stand among the keyword arguments of a canvas.
const INNER: [&str; 5] = ["tasks", "header", "body", "task", "callback"];

/// The queues that a guest's tasks may go to.
pub(crate) struct Queues<'a> {
    /// Where a task goes that names none.
    pub(crate) usual: &'a dyn Fn(&str) -> String,
    pub(crate) policy: &'a Submit,
}

impl Queues<'_> {
    fn check(&self, task: &str, queue: &str) -> Result<(), OutboxError> {
        let usual = || (self.usual)(task) == queue;
        let open = || !names::is_reserved_queue(queue) && self.policy.allows_queue(queue);
        if usual() || open() { Ok(()) } else { Err(OutboxError::Queue(queue.to_owned())) }
    }
}

/// A signature of which only a guest's own choices are left, at any depth.
pub(crate) fn sanitized(mut signature: Value, queues: &Queues<'_>) -> Result<Value, OutboxError> {
    clean(&mut signature, queues)?;
    match signature {
        Value::Map(_) => Ok(signature),
        other => {
            let what = format!("a signature is an object, not {}", other.type_name());
            Err(OutboxError::Invalid(what))
        }
    }
}

fn clean(signature: &mut Value, queues: &Queues<'_>) -> Result<(), OutboxError> {
    match signature {
        // The members of a group, callbacks: signatures side by side.
        Value::List(members) => members.iter_mut().try_for_each(|one| clean(one, queues)),
        Value::Map(map) => {
            let task = map.get("task").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(Value::Map(options)) = map.get_mut("options") {
                clean_options(&task, options, queues)?;
            }
            let is_canvas = map.get("subtask_type").is_some_and(Value::is_truthy);
            // Celery's own tasks carry canvas even where they are called as tasks.
            let carries = !is_canvas && names::carries_signatures(&task);
            if (is_canvas || carries)
                && let Some(Value::Map(kwargs)) = map.get_mut("kwargs")
            {
                for inner in INNER {
                    kwargs.get_mut(inner).map_or(Ok(()), |inner| clean(inner, queues))?;
                }
            }
            if carries && let Some(Value::List(args)) = map.get_mut("args") {
                let signatures = args.iter_mut().filter(|arg| arg.as_map().is_some());
                signatures.into_iter().try_for_each(|arg| clean(arg, queues))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn clean_options(task: &str, options: &mut Map, queues: &Queues<'_>) -> Result<(), OutboxError> {
    options.retain(|name, _| CHOICES.contains(&name.as_str()));
    if let Some(Value::Map(headers)) = options.get_mut("headers") {
        headers.retain(|name, _| !name.starts_with(OURS) && !COPIES.contains(&name.as_str()));
    }
    if let Some(Value::Text(queue)) = options.get("queue") {
        queues.check(task, queue)?;
    }
    for callbacks in ["link", "link_error"] {
        options.get_mut(callbacks).map_or(Ok(()), |callbacks| clean(callbacks, queues))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        Value::from_json(text.as_bytes()).expect("JSON")
    }

    /// Tasks go to the queue of their name's first letter; `more` and what begins so is open too.
    fn clean(given: &str) -> Result<Value, String> {
        let policy =
            Submit { queues: vec!["more*".to_owned(), "*v*".to_owned()], ..Submit::default() };
        let usual = |task: &str| task[..1].to_owned();
        let queues = Queues { usual: &usual, policy: &policy };
        sanitized(read(given), &queues).map_err(|why| why.to_string())
    }

    fn check(given: &str, left: &str) {
        assert_eq!(clean(given), Ok(read(left)));
    }

    #[test]
    fn ids_and_routes_are_taken_off_and_choices_stay() {
        check(
            r#"{"task":"a","options":{"task_id":"x","root_id":"y","parent_id":"z","queue":"a",
                "exchange":"e","routing_key":"k","reply_to":"r","group_id":"g","chord":{},
                "chain":[],"stamped_headers":[],
                "headers":{"mine":1,"umbel_depth":0,"CC":["q"],"BCC":["q"]}}}"#,
            r#"{"task":"a","options":{"queue":"a","headers":{"mine":1}}}"#,
        );
    }

    #[test]
    fn what_is_nested_is_cleaned_and_arguments_are_left_alone() {
        check(
            r#"{"task":"celery.chain","subtask_type":"chain","options":{},"kwargs":{"tasks":[
                {"task":"a","args":[{"task":"data","options":{"task_id":"kept"}}],
                 "options":{"task_id":"x","link":[{"task":"b","options":{"reply_to":"y"}}]}}]}}"#,
            r#"{"task":"celery.chain","subtask_type":"chain","options":{},"kwargs":{"tasks":[
                {"task":"a","args":[{"task":"data","options":{"task_id":"kept"}}],
                 "options":{"link":[{"task":"b","options":{}}]}}]}}"#,
        );
    }

    #[test]
    fn what_a_task_of_celerys_own_would_send_is_cleaned_too() {
        let inner = r#"{"task":"a","options":{"task_id":"x","exchange":"e"}}"#;
        let left = r#"{"task":"a","options":{}}"#;
        for (before, after) in [
            (r#"{"task":"celery.chunks","kwargs":{"it":[],"n":1,"task":"#, "}}"),
            (r#"{"task":"celery.chunks","args":["#, r#",[],1]}"#),
            (r#"{"task":"celery.chord_unlock","args":["g","#, r#"]}"#),
            (r#"{"task":"celery.chord_unlock","kwargs":{"callback":"#, "}}"),
        ] {
            check(&format!("{before}{inner}{after}"), &format!("{before}{left}{after}"));
        }
    }

    #[test]
    fn a_queue_is_the_usual_one_or_one_that_is_granted_and_never_a_reserved_one() {
        let to = |queue: &str| format!(r#"{{"task":"a","options":{{"queue":"{queue}"}}}}"#);
        for (queue, granted) in [
            ("a", true),
            ("more", true),
            ("more.of.it", true),
            ("over", true),
            ("b", false),
            ("celeryev", false),
            ("celery.vague.pidbox", false),
        ] {
            let given = to(queue);
            let deep = format!(r#"{{"task":"a","options":{{"link":[{given}]}}}}"#);
            for given in [&given, &deep] {
                let refused = format!("this task may not send to the queue `{queue}`");
                let expected = if granted { Ok(read(given)) } else { Err(refused) };
                assert_eq!(clean(given), expected, "{queue}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_no_signature() {
        assert!(clean("1").is_err());
    }
}
