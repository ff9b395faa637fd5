//! Remote control: what is asked of workers, and their replies (PROTOCOL 7.1 and 7.2).

mod command;
mod manual;
mod shape;
mod stats;

use regex_lite::Regex;
use umbel_value::{Map, Value};

use crate::body::{self, Body};
use crate::message::{Properties, RawMessage, Route};

pub use self::command::recognize;
pub use self::manual::{Answers, Manner, Manual, Misuse, manuals, software};
pub use self::shape::{Binding, TASK_ITEMS, TaskInfo, rate, registered, set};
pub(crate) use self::shape::{args_text, cut, kwargs_text};
pub use self::stats::{Autoscaler, Pool, Server, Stats, Usage};

/// Node names that a request is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A shell pattern for the whole name.
    Glob(String),
    /// A regular expression for the name's beginning.
    Pcre(String),
}

/// A request to every worker that it addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub method: String,
    pub arguments: Map,
    /// Node names; empty is everybody, or whoever fits the pattern.
    pub destination: Vec<String>,
    /// Which node names it is for.
    pub pattern: Option<Pattern>,
    /// Repeated in the reply.
    pub ticket: Option<String>,
    /// Where the reply goes, if one is wanted.
    pub reply_to: Option<Route>,
    /// The sender's Lamport clock.
    pub clock: Option<u64>,
}

impl Request {
    /// Reads a request; `None` if it is none.
    pub fn decode(raw: &RawMessage) -> Option<Request> {
        let Ok(Body::Value(Value::Map(mut body))) = body::open(raw) else { return None };
        let mut take = |key: &str| body.shift_remove(key).unwrap_or_default();
        let Value::Text(method) = take("method") else { return None };
        let arguments = match take("arguments") {
            Value::Map(arguments) => arguments,
            _ => Map::new(),
        };
        let destination = match take("destination") {
            Value::List(names) => {
                names.iter().filter_map(|n| n.as_str()).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let text = |value: Value| value.as_str().map(str::to_owned);
        let pattern = match (text(take("pattern")), text(take("matcher")).as_deref()) {
            (Some(pattern), Some("glob")) => Some(Pattern::Glob(pattern)),
            (Some(pattern), Some("pcre")) => Some(Pattern::Pcre(pattern)),
            _ => None,
        };
        let reply_to = take("reply_to");
        let part = |key: &str| reply_to.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Request {
            method,
            arguments,
            destination,
            pattern,
            ticket: text(take("ticket")),
            reply_to: part("routing_key").map(|routing_key| Route {
                exchange: part("exchange").unwrap_or_default(),
                routing_key,
            }),
            clock: raw.headers.get("clock").and_then(Value::as_u64),
        })
    }

    /// Whether this request is for the node of that name.
    pub fn addresses(&self, node: &str) -> bool {
        if !self.destination.is_empty() {
            return self.destination.iter().any(|name| name == node);
        }
        match &self.pattern {
            None => true,
            Some(Pattern::Glob(pattern)) => glob(pattern, node),
            Some(Pattern::Pcre(pattern)) => {
                let anchored = Regex::new(&format!("^(?:{pattern})"));
                anchored.is_ok_and(|pattern| pattern.is_match(node))
            }
        }
    }
}

/// A request as one who listens itself says it: who answers says so to the node `answer_to`, which
/// hears it as every node hears what is said ([`Answer`]). Nothing is left behind at the broker.
pub fn question(
    method: &str,
    mut arguments: Map,
    destination: &[String],
    answer_to: &str,
) -> RawMessage {
    arguments.insert(ANSWER_TO.to_owned(), answer_to.into());
    said(method, arguments, addressed(destination), std::iter::empty())
}

/// A request that nobody answers. No destination is everybody.
pub fn order(method: &str, arguments: Map, destination: &[String]) -> RawMessage {
    said(method, arguments, addressed(destination), std::iter::empty())
}

fn addressed(destination: &[String]) -> Value {
    match destination {
        [] => Value::Null,
        names => names.iter().map(Value::from).collect(),
    }
}

/// A request as Celery's clients say it: who answers sends the reply to the exchange, under `oid`.
/// No destination is everybody.
pub fn ask(
    method: &str,
    arguments: Map,
    destination: &[String],
    (exchange, oid): (&str, &str),
    clock: u64,
    expires: f64,
) -> RawMessage {
    let reply_to = Value::from([("exchange", Value::from(exchange)), ("routing_key", oid.into())]);
    let further =
        [("ticket", Value::from(uuid::Uuid::new_v4().to_string())), ("reply_to", reply_to)];
    let mut raw = said(method, arguments, addressed(destination), further.into_iter());
    raw.headers.insert("clock".to_owned(), clock.into());
    raw.headers.insert("expires".to_owned(), expires.into());
    raw
}

/// Opens a reply: what each node said, usually one.
pub fn open_reply(raw: &RawMessage) -> Option<Map> {
    match body::open(raw) {
        Ok(Body::Value(Value::Map(answers))) => Some(answers),
        _ => None,
    }
}

/// What the node said that [`question`] asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub node: String,
    pub value: Value,
}

impl Answer {
    /// Reads an answer to `asker`; `None` if this is none.
    pub fn decode(raw: &RawMessage, asker: &str) -> Option<Answer> {
        let mut request = Request::decode(raw)?;
        if request.method != ANSWER || request.destination != [asker] {
            return None;
        }
        let node = request.arguments.get("node")?.as_str()?.to_owned();
        Some(Answer { node, value: request.arguments.shift_remove("value")? })
    }

    /// As it is said to every node, for the asker alone.
    pub fn encode(self, asker: &str) -> RawMessage {
        let Answer { node, value } = self;
        let arguments = [("node".to_owned(), node.into()), ("value".to_owned(), value)];
        let destination = [Value::from(asker)].into_iter().collect();
        said(ANSWER, arguments.into_iter().collect(), destination, std::iter::empty())
    }
}

impl Request {
    /// The node that wants to hear the answer, if it asked with [`question`].
    pub fn answer_to(&self) -> Option<&str> {
        self.arguments.get(ANSWER_TO).and_then(Value::as_str)
    }
}

const ANSWER_TO: &str = "umbel_answer_to";
const ANSWER: &str = "umbel_answer";

fn said(
    method: &str,
    arguments: Map,
    destination: Value,
    further: impl Iterator<Item = (&'static str, Value)>,
) -> RawMessage {
    let body = [
        ("method", Value::from(method)),
        ("arguments", arguments.into()),
        ("destination", destination),
        ("pattern", Value::Null),
        ("matcher", Value::Null),
    ];
    let body: Value = body.into_iter().chain(further).collect();
    RawMessage {
        properties: Properties {
            content_type: Some(body::JSON.to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            delivery_mode: Some(2),
            priority: Some(0),
            ..Properties::default()
        },
        headers: Map::new(),
        body: body.to_json().into_bytes().into(),
    }
}

/// One node's reply to a request.
pub fn reply(node: &str, ticket: Option<&str>, clock: u64, value: Value) -> RawMessage {
    let headers = [("ticket", Value::from(ticket)), ("clock", clock.into())];
    RawMessage {
        properties: Properties {
            content_type: Some(body::JSON.to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            delivery_mode: Some(1),
            priority: Some(0),
            ..Properties::default()
        },
        headers: headers.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        body: Value::from([(node, value)]).to_json().into_bytes().into(),
    }
}

/// A shell pattern over a whole name: `*`, `?` and `[...]`, as Python's `fnmatch`.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    glob_from(&pattern, &name)
}

fn glob_from(pattern: &[char], name: &[char]) -> bool {
    // Where to go on after the last star, should the rest not fit.
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, read));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[at..], name[read]),
            Some(letter) => (*letter == name[read]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(step), _) => (at, read) = (at + step, read + 1),
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                (at, read) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The length of a class like `[a-c]` or `[!x]` if it takes the letter. An unclosed one is a letter.
fn class(pattern: &[char], letter: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let Some(length) = pattern.iter().skip(start + 1).position(|c| *c == ']') else {
        return (letter == '[').then_some(1);
    };
    let end = start + 1 + length;
    let members = &pattern[start..end];
    let mut found = false;
    let mut index = 0;
    while index < members.len() {
        if members.get(index + 1) == Some(&'-') && index + 2 < members.len() {
            found |= (members[index]..=members[index + 2]).contains(&letter);
            index += 3;
        } else {
            found |= members[index] == letter;
            index += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_pattern_is_for_the_whole_name() {
        for (pattern, name, expected) in [
            ("w*@lab", "w1@lab", true),
            ("w?@lab", "w12@lab", false),
            ("*", "", true),
            ("w[12]@*", "w2@lab", true),
            ("w[!12]@*", "w2@lab", false),
            ("w[a-c]x", "wbx", true),
            ("w", "w1", false),
            ("*lab", "w1@lab@lab", true),
            ("[", "[", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_answer_is_for_whoever_asked() {
        let raw = question("plugins", Map::new(), &["w1@lab".to_owned()], "asker@lab");
        let request = Request::decode(&raw).expect("a request");
        assert!(request.addresses("w1@lab") && !request.addresses("asker@lab"));
        assert_eq!(request.answer_to(), Some("asker@lab"));
        let answer = Answer { node: "w1@lab".to_owned(), value: Value::from([("ok", 1.into())]) };
        let raw = answer.clone().encode("asker@lab");
        assert_eq!(Answer::decode(&raw, "asker@lab"), Some(answer));
        assert_eq!(Answer::decode(&raw, "other@lab"), None);
    }

    #[test]
    fn a_destination_beats_a_pattern_and_nobody_named_is_everybody() {
        let mut request = Request { method: "ping".to_owned(), ..Request::default() };
        assert!(request.addresses("w1@lab"));
        for pattern in [Pattern::Glob("x*".to_owned()), Pattern::Pcre("1@".to_owned())] {
            request.pattern = Some(pattern);
            assert!(!request.addresses("w1@lab"));
        }
        request.pattern = Some(Pattern::Pcre("w[0-9]".to_owned()));
        assert!(request.addresses("w1@lab"));
        request.destination = vec!["w1@lab".to_owned()];
        assert!(request.addresses("w1@lab"));
        assert!(!request.addresses("x1@lab"));
    }
}
