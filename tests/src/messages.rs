//! What any client can publish: one table for the tests, which assert what becomes of each message,
//! and for `make hostile`, which measures what a neighbour notices.

use bytes::Bytes;
use umbel_protocol::body::{Compression, JSON};
use umbel_protocol::message::{Properties, RawMessage};
use umbel_value::{Map, Value};

/// One message that no well-meaning client sends.
#[derive(Clone, Copy, Debug)]
pub struct BadMessage {
    /// What it tries, for people.
    pub tries: &'static str,
    /// The message with this id.
    pub make: fn(&str) -> RawMessage,
    pub trace: Trace,
}

/// What is left of a message for its sender or for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A result under its id.
    Answered,
    /// A line in the log, and a dead letter where the broker keeps them.
    Refused,
    /// It waits for its time.
    Waits,
}

use Trace::{Answered, Refused, Waits};

const fn message(tries: &'static str, make: fn(&str) -> RawMessage, trace: Trace) -> BadMessage {
    BadMessage { tries, make, trace }
}

/// What a well-formed body of `tasks.add` is.
const GOOD: &str =
    r#"[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#;

/// Larger than a body may become.
const BOMB: usize = 65 << 20;

/// Every bad message.
pub const MESSAGES: &[BadMessage] = &[
    message("no id", |_| with(&[("task", "tasks.add".into())], GOOD), Refused),
    message("no task", |id| with(&[("id", id.into())], GOOD), Refused),
    message(
        "a number for an id",
        |_| with(&[("task", "tasks.add".into()), ("id", 5_u64.into())], GOOD),
        Refused,
    ),
    message("protocol 1", |id| plain(&first_protocol(id, "[1, 2]", "{}")), Answered),
    message(
        "protocol 1 without an id",
        |_| plain(r#"{"task": "tasks.add", "args": [1, 2], "kwargs": {}}"#),
        Refused,
    ),
    message(
        "protocol 1 with arguments that are none",
        |id| plain(&first_protocol(id, "7", "[1]")),
        Answered,
    ),
    message("both protocols at once", |id| task(id, &first_protocol(id, "[1, 2]", "{}")), Answered),
    message("headers of 10 MB", |id| headed(id, "ballast", "x".repeat(10 << 20).into()), Answered),
    message("ten thousand headers", many_headers, Answered),
    message("an eta in the year 9999", |id| headed(id, "eta", "9999-12-01T00:00:00".into()), Waits),
    message("an eta that is garbage", |id| headed(id, "eta", "the day after".into()), Answered),
    message("an eta that is a number", |id| headed(id, "eta", (-1_i64).into()), Answered),
    message("an expiry that is garbage", |id| headed(id, "expires", "never".into()), Answered),
    message("-1 retries", |id| headed(id, "retries", (-1_i64).into()), Answered),
    message(
        "four billion retries",
        |id| headed(id, "retries", u64::from(u32::MAX).into()),
        Answered,
    ),
    message("a time limit that is text", |id| headed(id, "timelimit", "text".into()), Answered),
    message("a negative time limit", |id| headed(id, "timelimit", json("[-1, -1]")), Answered),
    message("a chain 10,000 long", |id| task(id, &chained(10_000)), Answered),
    message("a chain 10,000 deep", |id| task(id, &nested(10_000)), Refused),
    message(
        "callbacks that are none",
        |id| {
            task(id, r#"[[1, 2], {}, {"callbacks": 7, "errbacks": "x", "chain": {}, "chord": []}]"#)
        },
        Answered,
    ),
    message(
        "a chord of an impossible size",
        |id| grouped(id, json(r#"{"task": "tasks.xsum", "chord_size": -5, "options": {}}"#)),
        Answered,
    ),
    message("an unknown content type", |id| typed(id, "application/x-unheard-of"), Refused),
    message("an unknown encoding", unknown_encoding, Answered),
    message(
        "an unknown compression",
        |id| headed(id, "compression", "application/x-nope".into()),
        Refused,
    ),
    message("pickle", pickle, Refused),
    message(
        "YAML of the wrong shape",
        |id| typed_body(id, "application/x-yaml", "- [1, 2]"),
        Answered,
    ),
    message(
        "YAML that multiplies itself",
        |id| typed_body(id, "application/x-yaml", &laughs()),
        Refused,
    ),
    message("a zlib bomb", |id| bomb(id, Compression::Zlib), Refused),
    message(
        "a zlib header and nothing more",
        |id| packed(id, Compression::Zlib, b"\x78\x9c".to_vec()),
        Refused,
    ),
    message("a zstd bomb", |id| bomb(id, Compression::Zstd), Refused),
    message("an empty body", |id| task(id, ""), Answered),
    message("a body that is no UTF-8", |id| bytes(id, b"\xff\xfe\x00".to_vec()), Refused),
    message("JSON a million levels deep", |id| task(id, &"[".repeat(1_000_000)), Refused),
    message("a number for a body", |id| task(id, "7"), Answered),
    message("an object for a body", |id| task(id, r#"{"a": 1}"#), Answered),
    message("two parts instead of three", |id| task(id, "[[1, 2], {}]"), Answered),
    message("parts in the wrong order", |id| task(id, "[{}, [], []]"), Answered),
    message("32 MB of base64", |id| task(id, &base64(32 << 20)), Answered),
    message("ten thousand keyword arguments", |id| task(id, &many_keywords(10_000)), Answered),
    message(
        "an unknown tag",
        |id| task(id, r#"[[{"__type__": "nope", "__value__": 1}, 2], {}, {}]"#),
        Refused,
    ),
    message(
        "a tag as a keyword argument",
        |id| task(id, r#"[[1], {"__type__": "x"}, {}]"#),
        Answered,
    ),
    message("a lone surrogate", |id| task(id, r#"[["\ud800", 2], {}, {}]"#), Refused),
    message("duplicate keys", |id| task(id, r#"[[1], {"y": 1, "y": 2}, {}]"#), Answered),
    message("NaN and infinities", |id| task(id, "[[NaN, -Infinity], {}, {}]"), Answered),
    message(
        "an integer of 4,000 digits",
        |id| task(id, &format!("[[{}, 2], {{}}, {{}}]", "9".repeat(4000))),
        Answered,
    ),
    message(
        "an integer of a million digits",
        |id| task(id, &format!("[[{}, 2], {{}}, {{}}]", "9".repeat(1_000_000))),
        Refused,
    ),
    message("ten thousand stamps", many_stamps, Answered),
    message("a name of 10,000 letters", |id| named(id, &"x".repeat(10_000)), Answered),
    message("an empty name", |id| named(id, ""), Answered),
    message("a reply address that forges lines", forged_reply, Answered),
    message(
        "priority 255",
        |id| edited(id, |message| message.properties.priority = Some(255)),
        Answered,
    ),
];

/// A message with these headers and this JSON body.
fn with(headers: &[(&str, Value)], body: &str) -> RawMessage {
    let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    RawMessage {
        properties: Properties {
            content_type: Some(JSON.to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            delivery_mode: Some(2),
            ..Properties::default()
        },
        headers: headers.collect::<Map>(),
        body: Bytes::from(body.to_owned()),
    }
}

fn plain(body: &str) -> RawMessage {
    with(&[], body)
}

fn named(id: &str, name: &str) -> RawMessage {
    with(&[("lang", "py".into()), ("task", name.into()), ("id", id.into())], GOOD)
}

fn task(id: &str, body: &str) -> RawMessage {
    RawMessage { body: Bytes::from(body.to_owned()), ..named(id, "tasks.add") }
}

fn bytes(id: &str, body: Vec<u8>) -> RawMessage {
    RawMessage { body: body.into(), ..named(id, "tasks.add") }
}

fn edited(id: &str, edit: impl FnOnce(&mut RawMessage)) -> RawMessage {
    let mut message = named(id, "tasks.add");
    edit(&mut message);
    message
}

fn headed(id: &str, header: &str, value: Value) -> RawMessage {
    edited(id, |message| {
        message.headers.insert(header.to_owned(), value);
    })
}

fn typed(id: &str, content_type: &str) -> RawMessage {
    typed_body(id, content_type, GOOD)
}

fn typed_body(id: &str, content_type: &str, body: &str) -> RawMessage {
    let mut message = task(id, body);
    message.properties.content_type = Some(content_type.to_owned());
    message
}

fn unknown_encoding(id: &str) -> RawMessage {
    edited(id, |message| message.properties.content_encoding = Some("utf-99".to_owned()))
}

fn pickle(id: &str) -> RawMessage {
    // An empty tuple; it is never opened.
    let mut message = bytes(id, b"\x80\x04).".to_vec());
    message.properties.content_type = Some("application/x-python-serialize".to_owned());
    message.properties.content_encoding = Some("binary".to_owned());
    message
}

fn packed(id: &str, compression: Compression, body: Vec<u8>) -> RawMessage {
    let mut message = headed(id, "compression", compression.content_type().into());
    message.body = body.into();
    message
}

fn bomb(id: &str, compression: Compression) -> RawMessage {
    let mut body = vec![b' '; BOMB];
    body.splice(..0, *b"[");
    packed(id, compression, compression.pack(&body))
}

fn first_protocol(id: &str, args: &str, kwargs: &str) -> String {
    format!(r#"{{"task": "tasks.add", "id": "{id}", "args": {args}, "kwargs": {kwargs}}}"#)
}

fn many_headers(id: &str) -> RawMessage {
    edited(id, |message| {
        message.headers.extend((0..10_000).map(|n| (format!("h{n}"), Value::from(n as u64))));
    })
}

fn many_stamps(id: &str) -> RawMessage {
    edited(id, |message| {
        let names: Vec<String> = (0..10_000).map(|n| format!("stamp-{n}")).collect();
        let stamps = names.iter().map(|name| (name.clone(), Value::from("value")));
        message.headers.insert("stamps".to_owned(), Value::Map(stamps.collect()));
        let names = names.into_iter().map(Value::Text).collect();
        message.headers.insert("stamped_headers".to_owned(), Value::List(names));
    })
}

fn forged_reply(id: &str) -> RawMessage {
    edited(id, |message| {
        message.properties.reply_to = Some("nobody\r\n[2030-01-01 00:00:00,000: forged".to_owned());
        message.properties.correlation_id = Some(String::new());
    })
}

fn grouped(id: &str, chord: Value) -> RawMessage {
    let body = format!(r#"[[1, 2], {{}}, {{"chord": {}}}]"#, chord.to_json());
    let mut message = task(id, &body);
    message.headers.insert("group".to_owned(), format!("group-of-{id}").into());
    message
}

/// A chain of steps that nobody has, so that it ends at the first one.
fn chained(steps: usize) -> String {
    let step = r#"{"task": "nobody.has.it", "args": [], "kwargs": {}, "options": {}}"#;
    let steps = vec![step; steps].join(", ");
    format!(r#"[[1, 2], {{}}, {{"chain": [{steps}]}}]"#)
}

/// Signatures that are each other's callbacks.
fn nested(levels: usize) -> String {
    let open = r#"{"task": "tasks.add", "options": {"link": ["#.repeat(levels);
    let close = "]}}".repeat(levels);
    format!(r#"[[1, 2], {{}}, {{"callbacks": [{open}{close}]}}]"#)
}

/// Each line holds the one before it ten times.
fn laughs() -> String {
    let mut text = "- &a0 ha\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("- &a{level} [{}]\n", before.trim_end_matches(", "));
    }
    text
}

fn base64(bytes: usize) -> String {
    let data = "A".repeat(bytes);
    format!(r#"[[{{"__type__": "base64", "__value__": "{data}"}}, 2], {{}}, {{}}]"#)
}

fn many_keywords(count: usize) -> String {
    let pairs: Vec<String> = (0..count).map(|n| format!(r#""k{n}": {n}"#)).collect();
    format!("[[], {{{}}}, {{}}]", pairs.join(", "))
}

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).expect("it is written above")
}
