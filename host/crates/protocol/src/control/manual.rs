//! What operators ask of workers on a command line: each command, its arguments in the order in
//! which they are typed, and what kind of answer it has (PROTOCOL 7.4).

use std::fmt;

use umbel_value::{Map, Value};

/// Celery's two families of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Asks for facts.
    Inspect,
    /// Changes something.
    Control,
}

/// One command.
#[derive(Debug)]
pub struct Manual {
    pub name: &'static str,
    pub manner: Manner,
    /// Its arguments, as a help shows them.
    pub usage: &'static str,
    /// One line.
    pub help: &'static str,
    /// As somebody would type them.
    pub example: &'static str,
    pub answer: Answers,
    parameters: &'static [Parameter],
    /// What all further words are together.
    rest: Option<&'static str>,
    /// The words that it cannot do without.
    least: usize,
}

/// What a worker says to it, beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// `{"ok": text}`, a text, a number or nothing.
    Line,
    /// A list of texts.
    Lines,
    /// A list of tasks.
    Tasks,
    /// A list of tasks that wait for their time.
    Scheduled,
    /// A list of queues.
    Queues,
    /// Tasks and how far they are, by id.
    States,
    /// A worker in numbers.
    Stats,
    /// Fields.
    Fields,
    /// Several lines of text.
    Text,
    /// It does not answer.
    Nothing,
}

#[derive(Debug)]
struct Parameter {
    name: &'static str,
    form: Form,
}

/// What a word may be.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Count,
    Seconds,
    Rate,
    Truth,
    Signal,
}

/// Why words are no arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

const BASE: Manual = Manual {
    name: "",
    manner: Manner::Inspect,
    usage: "",
    help: "",
    example: "",
    answer: Answers::Line,
    parameters: &[],
    rest: None,
    least: 0,
};

const fn inspect(name: &'static str, answer: Answers, help: &'static str) -> Manual {
    Manual { name, answer, help, ..BASE }
}

const fn control(name: &'static str, help: &'static str) -> Manual {
    Manual { name, help, manner: Manner::Control, ..BASE }
}

const fn takes(name: &'static str, form: Form) -> Parameter {
    Parameter { name, form }
}

const MANUALS: &[Manual] = &[
    inspect("active", Answers::Tasks, "Tasks that run now"),
    inspect("active_queues", Answers::Queues, "Queues that are taken from"),
    inspect("clock", Answers::Line, "The logical clock"),
    Manual {
        usage: "[with_defaults]",
        example: "true",
        parameters: &[takes("with_defaults", Form::Truth)],
        ..inspect("conf", Answers::Fields, "Settings, without passwords")
    },
    Manual {
        usage: "[samples]",
        example: "5",
        parameters: &[takes("samples", Form::Count)],
        ..inspect("memdump", Answers::Text, "Samples of the memory in use")
    },
    inspect("memsample", Answers::Line, "The memory in use"),
    Manual {
        usage: "[type [num [max_depth]]]",
        example: "Request 200 10",
        parameters: &[
            takes("type", Form::Text),
            takes("num", Form::Count),
            takes("max_depth", Form::Count),
        ],
        ..inspect("objgraph", Answers::Fields, "Draw a graph of objects (Python workers)")
    },
    inspect("ping", Answers::Line, "Who is there"),
    Manual {
        usage: "<id>...",
        example: "6b593dd5-4076-3c05-b202-ac44ae71d1ec",
        rest: Some("ids"),
        least: 1,
        ..inspect("query_task", Answers::States, "How far tasks are, by id")
    },
    Manual {
        usage: "[attribute]...",
        example: "rate_limit acks_late",
        rest: Some("taskinfoitems"),
        ..inspect("registered", Answers::Lines, "Tasks that are known, with attributes")
    },
    inspect("report", Answers::Text, "What a bug report should say of a worker"),
    inspect("reserved", Answers::Tasks, "Tasks that were taken and wait for a slot"),
    inspect("revoked", Answers::Lines, "Ids of tasks that were revoked"),
    inspect("scheduled", Answers::Scheduled, "Tasks that wait for their time"),
    inspect("stats", Answers::Stats, "Workers in numbers"),
    Manual {
        usage: "<queue> [exchange [type [routing_key]]]",
        example: "pictures",
        parameters: &[
            takes("queue", Form::Text),
            takes("exchange", Form::Text),
            takes("exchange_type", Form::Text),
            takes("routing_key", Form::Text),
        ],
        least: 1,
        ..control("add_consumer", "Take from one more queue")
    },
    Manual {
        usage: "<max> [min]",
        example: "10 2",
        parameters: &[takes("max", Form::Count), takes("min", Form::Count)],
        least: 1,
        ..control("autoscale", "Let the number of slots vary")
    },
    Manual {
        usage: "<queue>",
        example: "pictures",
        parameters: &[takes("queue", Form::Text)],
        least: 1,
        ..control("cancel_consumer", "Take from a queue no longer")
    },
    control("disable_events", "Tell of tasks no longer"),
    control("enable_events", "Tell of tasks, for `events` and other monitors"),
    control("heartbeat", "Give a sign of life, as an event"),
    Manual {
        usage: "[n]",
        example: "2",
        parameters: &[takes("n", Form::Count)],
        ..control("pool_grow", "Add slots")
    },
    control("pool_restart", "Read plugins and configuration again; restart a Python pool"),
    Manual {
        usage: "[n]",
        example: "2",
        parameters: &[takes("n", Form::Count)],
        ..control("pool_shrink", "Remove slots")
    },
    Manual {
        usage: "<task> <rate>",
        example: "tasks.add 10/m",
        parameters: &[takes("task_name", Form::Text), takes("rate_limit", Form::Rate)],
        least: 2,
        ..control(
            "rate_limit",
            "Change how often a task may run: 5, 10/s, 100/m, 1000/h, 0 for ever",
        )
    },
    Manual {
        usage: "<id>...",
        example: "6b593dd5-4076-3c05-b202-ac44ae71d1ec",
        rest: Some("task_id"),
        least: 1,
        ..control("revoke", "Never begin these tasks")
    },
    Manual {
        usage: "<header=value>...",
        example: "tenant=acme",
        rest: Some("headers"),
        least: 1,
        ..control("revoke_by_stamped_headers", "Never begin tasks that carry one of these stamps")
    },
    Manual { answer: Answers::Nothing, ..control("shutdown", "End workers once their tasks did") },
    Manual {
        usage: "<signal> <id>...",
        example: "SIGTERM 6b593dd5-4076-3c05-b202-ac44ae71d1ec",
        parameters: &[takes("signal", Form::Signal)],
        rest: Some("task_id"),
        least: 2,
        ..control("terminate", "Revoke these tasks and stop those that run")
    },
    Manual {
        usage: "<task> <soft> [hard]",
        example: "tasks.add 60 120",
        parameters: &[
            takes("task_name", Form::Text),
            takes("soft", Form::Seconds),
            takes("hard", Form::Seconds),
        ],
        least: 2,
        ..control("time_limit", "Change how long a task may run, in seconds; 0 is no limit")
    },
];

/// All commands of a family, by name.
pub fn manuals(manner: Manner) -> impl Iterator<Item = &'static Manual> {
    MANUALS.iter().filter(move |manual| manual.manner == manner)
}

impl Manual {
    /// What the words say, as the request has it.
    pub fn arguments(&self, words: &[String]) -> Result<Map, Misuse> {
        let most = self.parameters.len();
        if words.len() < self.least || (self.rest.is_none() && words.len() > most) {
            return Err(self.miscounted(words.len()));
        }
        let mut arguments = Map::new();
        for (word, parameter) in words.iter().zip(self.parameters) {
            let value = parameter.form.read(word).map_err(|what| {
                Misuse(format!("`{}` takes {}, and `{word}` is no {what}", self.name, self.usage))
            })?;
            arguments.insert(parameter.name.to_owned(), value);
        }
        if let Some(rest) = self.rest {
            let further = words.get(most..).unwrap_or_default();
            if rest == "headers"
                && let Some(word) = further.iter().find(|word| !word.contains('='))
            {
                let what = format!("`{}` takes {}, and `{word}` has no `=`", self.name, self.usage);
                return Err(Misuse(what));
            }
            if !further.is_empty() {
                arguments.insert(rest.to_owned(), further.iter().map(Value::from).collect());
            }
        }
        Ok(arguments)
    }

    fn miscounted(&self, words: usize) -> Misuse {
        let takes = if self.usage.is_empty() { "no arguments" } else { self.usage };
        let given = match words {
            0 => "none was given".to_owned(),
            1 => "one was given".to_owned(),
            count => format!("{count} were given"),
        };
        Misuse(format!("`{}` takes {takes}, and {given}", self.name))
    }
}

impl Form {
    /// The value of a word; an error is the name of what it should have been.
    fn read(self, word: &str) -> Result<Value, &'static str> {
        match self {
            Form::Text => Ok(word.into()),
            Form::Count => word.parse::<u32>().map(Value::from).map_err(|_| "whole number"),
            Form::Seconds => match word.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds.into()),
                _ => Err("number of seconds"),
            },
            Form::Rate => {
                if is_rate(word) {
                    Ok(word.into())
                } else {
                    Err("rate")
                }
            }
            Form::Truth => match word.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true.into()),
                "false" | "no" | "off" | "0" => Ok(false.into()),
                _ => Err("truth: write true or false"),
            },
            Form::Signal => {
                if is_signal(word) {
                    Ok(word.into())
                } else {
                    Err("signal")
                }
            }
        }
    }
}

/// `7`, `10/s`, `100/m` or `1000/h`.
fn is_rate(word: &str) -> bool {
    let (number, unit) = word.split_once('/').unwrap_or((word, "s"));
    let number = number.parse::<f64>().is_ok_and(|rate| rate.is_finite() && rate >= 0.0);
    number && ["s", "m", "h"].contains(&unit)
}

/// What a process can be sent to end or to wake it, with or without `SIG`, or its number.
fn is_signal(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = ["HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "ALRM", "TERM", "CONT"];
    known.contains(&name) || word.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number))
}

/// The software and its version that a `report` names: `celery:5.7.0`.
pub fn software(report: &Value) -> Option<&str> {
    let text = report.get("ok")?.as_str()?;
    text.split_once("software -> ")?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manual(name: &str) -> &'static Manual {
        MANUALS.iter().find(|manual| manual.name == name).expect("a command")
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_become_the_arguments_that_celery_sends() {
        for (name, line, expected) in [
            ("ping", "", "{}"),
            ("conf", "yes", r#"{"with_defaults":true}"#),
            ("query_task", "a b", r#"{"ids":["a","b"]}"#),
            ("registered", "", "{}"),
            ("registered", "rate_limit", r#"{"taskinfoitems":["rate_limit"]}"#),
            ("autoscale", "10 2", r#"{"max":10,"min":2}"#),
            ("rate_limit", "tasks.add 10/m", r#"{"task_name":"tasks.add","rate_limit":"10/m"}"#),
            ("time_limit", "t 1 2.5", r#"{"task_name":"t","soft":1.0,"hard":2.5}"#),
            ("terminate", "KILL a b", r#"{"signal":"KILL","task_id":["a","b"]}"#),
            ("revoke", "a", r#"{"task_id":["a"]}"#),
            ("revoke_by_stamped_headers", "k=v", r#"{"headers":["k=v"]}"#),
            (
                "add_consumer",
                "q x topic k.#",
                r#"{"queue":"q","exchange":"x","exchange_type":"topic","routing_key":"k.#"}"#,
            ),
        ] {
            let arguments = manual(name).arguments(&words(line)).expect(line);
            assert_eq!(Value::Map(arguments).to_json(), expected, "{name} {line}");
        }
    }

    #[test]
    fn words_that_do_not_fit_are_refused() {
        for (name, line, part) in [
            ("ping", "x", "takes no arguments, and one was given"),
            ("revoke", "", "takes <id>..., and none was given"),
            ("rate_limit", "tasks.add", "takes <task> <rate>, and one was given"),
            ("rate_limit", "tasks.add 5/d", "`5/d` is no rate"),
            ("rate_limit", "tasks.add -1", "`-1` is no rate"),
            ("time_limit", "t nan", "`nan` is no number of seconds"),
            ("pool_grow", "many", "`many` is no whole number"),
            ("pool_grow", "1 2", "2 were given"),
            ("terminate", "some-id other", "`some-id` is no signal"),
            ("terminate", "TERM", "one was given"),
            ("revoke_by_stamped_headers", "k", "`k` has no `=`"),
        ] {
            let misuse = manual(name).arguments(&words(line)).expect_err(line).to_string();
            assert!(misuse.contains(part), "{misuse}");
        }
    }

    #[test]
    fn examples_are_good_and_every_command_is_one_that_workers_know() {
        for manual in MANUALS {
            let arguments = manual.arguments(&words(manual.example)).expect(manual.name);
            let known = crate::control::recognize(manual.name, &arguments);
            assert_eq!(known, Ok(manual.name));
        }
    }

    #[test]
    fn a_report_names_its_software() {
        let report = |text: &str| Value::from([("ok", text.into())]);
        let python = report("\nsoftware -> celery:5.7.0 (collider) kombu:5.7.0 py:3.11.7\n");
        assert_eq!(software(&python), Some("celery:5.7.0"));
        assert_eq!(software(&report("nothing")), None);
    }
}
