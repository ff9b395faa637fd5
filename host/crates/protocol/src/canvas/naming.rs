//! The tasks that a signature names, at any depth.

use umbel_value::Value;

use crate::names::carries_signatures;

/// See [`super::names`]. Keeps its own stack: nothing may be missed for being nested too deep.
pub(super) fn names(signature: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![signature];
    while let Some(value) = open.pop() {
        match value {
            Value::List(items) => open.extend(items.iter().rev()),
            Value::Map(signature) => {
                let at = |key, inner: &[&str]| {
                    let Some(Value::Map(map)) = signature.get(key) else { return Vec::new() };
                    inner.iter().filter_map(|key| map.get(*key)).collect()
                };
                open.extend::<Vec<_>>(at("options", &["chord", "chain", "link_error", "link"]));
                let name = signature.get("task").and_then(Value::as_str).unwrap_or_default();
                let is_canvas = signature.get("subtask_type").is_some_and(Value::is_truthy);
                // Celery's own tasks carry canvas even where they are called as tasks.
                if is_canvas || name.starts_with("celery.") {
                    let inner = ["body", "header", "tasks", "task", "callback"];
                    open.extend::<Vec<_>>(at("kwargs", &inner));
                }
                if !is_canvas && carries_signatures(name) {
                    let args = signature.get("args").and_then(Value::as_list);
                    let args = args.unwrap_or_default().iter().take(2);
                    open.extend(args.filter(|arg| arg.as_map().is_some()));
                }
                if !is_canvas && !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            _ => {}
        }
    }
    names
}
