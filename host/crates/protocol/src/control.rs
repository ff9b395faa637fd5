//! Remote control: what is asked of workers, and their replies (PROTOCOL 7.1 and 7.2).

use regex_lite::Regex;
use umbel_value::{Map, Value};

use crate::body::{self, Body};
use crate::message::{Properties, RawMessage, Route};

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
