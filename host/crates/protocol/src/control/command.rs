//! Which commands there are, what each takes, and Python's words for what does not fit
//! (PROTOCOL 7.4).

use umbel_value::Map;

use super::ANSWER_TO;
use crate::repr::quoted;

/// Something that can be asked of a worker.
#[derive(Debug)]
struct Command {
    /// The name of Celery's own handler; errors name it.
    name: &'static str,
    /// Other names it is asked for by.
    aliases: &'static [&'static str],
    required: &'static [&'static str],
    /// What it takes beside those. `None`: whatever else is said is ignored.
    only: Option<&'static [&'static str]>,
}

const fn lenient(name: &'static str, required: &'static [&'static str]) -> Command {
    Command { name, aliases: &[], required, only: None }
}

const fn strict(name: &'static str, only: &'static [&'static str]) -> Command {
    Command { name, aliases: &[], required: &[], only: Some(only) }
}

const fn also(name: &'static str, aliases: &'static [&'static str]) -> Command {
    Command { name, aliases, required: &[], only: None }
}

const COMMANDS: &[Command] = &[
    also("active", &["dump_active"]),
    strict("active_queues", &[]),
    lenient("add_consumer", &["queue"]),
    strict("autoscale", &["max", "min"]),
    lenient("cancel_consumer", &["queue"]),
    lenient("clock", &[]),
    also("conf", &["dump_conf"]),
    strict("disable_events", &[]),
    lenient("election", &["id", "topic"]),
    strict("enable_events", &[]),
    strict("heartbeat", &[]),
    lenient("hello", &["from_node"]),
    lenient("memdump", &[]),
    lenient("memsample", &[]),
    strict("objgraph", &["num", "max_depth", "type"]),
    lenient("ping", &[]),
    lenient("pool_grow", &[]),
    lenient("pool_restart", &[]),
    lenient("pool_shrink", &[]),
    lenient("query_task", &["ids"]),
    lenient("rate_limit", &["task_name", "rate_limit"]),
    also("registered", &["dump_tasks"]),
    strict("report", &[]),
    also("reserved", &["dump_reserved"]),
    lenient("revoke", &["task_id"]),
    lenient("revoke_by_stamped_headers", &["headers"]),
    also("revoked", &["dump_revoked"]),
    also("scheduled", &["dump_schedule"]),
    lenient("shutdown", &[]),
    lenient("stats", &[]),
    lenient("terminate", &["task_id"]),
    lenient("time_limit", &[]),
    // Ours.
    lenient("plugins", &[]),
    lenient("plugin_rollback", &["plugin"]),
];

/// The command that is asked for, by its own name; or the exception that Celery's worker would
/// answer, as Python shows it.
pub fn recognize(method: &str, arguments: &Map) -> Result<&'static str, String> {
    let named = |one: &&Command| one.name == method || one.aliases.contains(&method);
    let Some(command) = COMMANDS.iter().find(named) else {
        return Err(format!("KeyError({})", quoted(method)));
    };
    match command.misfit(arguments) {
        None => Ok(command.name),
        Some(what) => Err(format!("TypeError({})", quoted(&format!("{}() {what}", command.name)))),
    }
}

impl Command {
    fn misfit(&self, arguments: &Map) -> Option<String> {
        let takes = |key: &str| {
            let listed = self.only.is_none_or(|only| only.contains(&key));
            listed || self.required.contains(&key) || key == ANSWER_TO
        };
        if let Some(unknown) = arguments.keys().find(|key| !takes(key)) {
            return Some(format!("got an unexpected keyword argument '{unknown}'"));
        }
        let missing = self.required.iter().filter(|key| !arguments.contains_key(**key));
        let missing: Vec<String> = missing.map(|key| format!("'{key}'")).collect();
        let list = match &*missing {
            [] => return None,
            [one] => return Some(format!("missing 1 required positional argument: {one}")),
            [one, other] => format!("{one} and {other}"),
            [most @ .., last] => format!("{}, and {last}", most.join(", ")),
        };
        Some(format!("missing {} required positional arguments: {list}", missing.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_in_pythons_words() {
        let check = |method: &str, keys: &[&str], expected: Result<&'static str, &str>| {
            let arguments = keys.iter().map(|key| ((*key).to_owned(), 1.into())).collect();
            let expected = expected.map_err(str::to_owned);
            assert_eq!(recognize(method, &arguments), expected, "{method} {keys:?}");
        };
        check("ping", &["bogus"], Ok("ping"));
        check("dump_tasks", &[], Ok("registered"));
        check("terminate", &["task_id"], Ok("terminate"));
        check("heartbeat", &[ANSWER_TO], Ok("heartbeat"));
        check("no_such_command", &[], Err("KeyError('no_such_command')"));
        check(
            "active_queues",
            &["x"],
            Err(r#"TypeError("active_queues() got an unexpected keyword argument 'x'")"#),
        );
        check(
            "query_task",
            &[],
            Err(r#"TypeError("query_task() missing 1 required positional argument: 'ids'")"#),
        );
        let both = r#"TypeError("rate_limit() missing 2 required positional arguments: 'task_name' and 'rate_limit'")"#;
        check("rate_limit", &["x"], Err(both));
    }
}
