//! Pure: what a guest may say in a signature. Ids, parents, groups and routes are the host's to set, or
//! a task could put its words under another one's name.

use umbel_protocol::canvas::CanvasError;
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

/// A signature of which only a guest's own choices are left, at any depth.
pub(crate) fn sanitized(mut signature: Value) -> Result<Value, CanvasError> {
    clean(&mut signature);
    match signature {
        Value::Map(_) => Ok(signature),
        other => Err(CanvasError(format!("a signature is an object, not {}", other.type_name()))),
    }
}

fn clean(signature: &mut Value) {
    match signature {
        // The members of a group, callbacks: signatures side by side.
        Value::List(members) => members.iter_mut().for_each(clean),
        Value::Map(map) => {
            if let Some(Value::Map(options)) = map.get_mut("options") {
                clean_options(options);
            }
            let nests = map.get("subtask_type").is_some_and(Value::is_truthy);
            if nests && let Some(Value::Map(kwargs)) = map.get_mut("kwargs") {
                for inner in ["tasks", "header", "body", "task"] {
                    kwargs.get_mut(inner).into_iter().for_each(clean);
                }
            }
        }
        _ => {}
    }
}

fn clean_options(options: &mut Map) {
    options.retain(|name, _| CHOICES.contains(&name.as_str()));
    if let Some(Value::Map(headers)) = options.get_mut("headers") {
        headers.retain(|name, _| !name.starts_with(OURS));
    }
    for callbacks in ["link", "link_error"] {
        options.get_mut(callbacks).into_iter().for_each(clean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, left: &str) {
        let read = |text: &str| Value::from_json(text.as_bytes()).expect("JSON");
        assert_eq!(sanitized(read(given)).expect("a signature"), read(left));
    }

    #[test]
    fn ids_and_routes_are_taken_off_and_choices_stay() {
        check(
            r#"{"task":"a","options":{"task_id":"x","root_id":"y","queue":"q","exchange":"e",
                "group_id":"g","chord":{},"headers":{"mine":1,"umbel_depth":0}}}"#,
            r#"{"task":"a","options":{"queue":"q","headers":{"mine":1}}}"#,
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
    fn what_is_no_object_is_no_signature() {
        assert!(sanitized(Value::from(1)).is_err());
    }
}
