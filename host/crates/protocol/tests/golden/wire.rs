//! Finds what is on the wire in a recording, wherever it stands, and compares it with itself after
//! a round trip.

use umbel_protocol::body::{self, Body, Content, Serializer};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Message, RawMessage, Version};
use umbel_protocol::record::ResultRecord;
use umbel_value::{Map, Value};

/// What a recording held.
#[derive(Default)]
pub(crate) struct Finds {
    pub(crate) tasks: usize,
    pub(crate) results: usize,
    pub(crate) errors: Vec<String>,
}

impl Finds {
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks + self.results + self.errors.len() == 0
    }

    /// Texts and byte dumps are told apart by how they begin, AMQP's messages by their shape.
    pub(crate) fn walk(&mut self, file: &str, value: &Value) {
        match value {
            Value::Text(text) => self.payload(file, text.as_bytes()),
            Value::List(items) => items.iter().for_each(|item| self.walk(file, item)),
            Value::Map(map) if map.contains_key("routing_key") && map.contains_key("body") => {
                self.amqp(file, value);
            }
            Value::Map(map) if map.contains_key("b64") => self.payload(file, &super::bytes(value)),
            Value::Map(map) => {
                for (key, item) in map {
                    if key.contains("celery-task-meta-") {
                        self.stored(file, item);
                    } else {
                        self.walk(file, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn payload(&mut self, file: &str, bytes: &[u8]) {
        if bytes.starts_with(b"{\"body\": ") {
            self.envelope(file, bytes);
        } else if bytes.starts_with(b"[{\"body\": ") {
            // What Redis holds until it is acknowledged: envelope, exchange, routing key.
            let held = Value::from_json(bytes).unwrap();
            self.envelope(file, held.as_list().unwrap()[0].to_json().as_bytes());
        } else if bytes.starts_with(b"{\"status\": ") {
            self.result(file, bytes, Serializer::Json);
        }
    }

    fn amqp(&mut self, file: &str, recorded: &Value) {
        let message = super::raw(recorded);
        if message.body.starts_with(b"{\"status\": ") {
            return self.result(file, &message.body, Serializer::Json);
        }
        // Events and remote control travel through exchanges of their own.
        let exchange = recorded.get("exchange").and_then(Value::as_str).unwrap();
        if message.headers.contains_key("task") || exchange.is_empty() {
            self.task(file, &message);
        }
    }

    /// A value in the result store; whatever it is, it is a result.
    fn stored(&mut self, file: &str, dump: &Value) {
        let serializer = file.strip_prefix("redis-conf-result-").and_then(Serializer::named);
        let bytes = super::bytes(dump.get("value").unwrap());
        self.result(file, &bytes, serializer.unwrap_or_default());
    }

    fn envelope(&mut self, file: &str, text: &[u8]) {
        let envelope = Envelope::from_json(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let written = envelope.to_json();
        assert_eq!(Envelope::from_json(&written).as_ref(), Ok(&envelope), "{file}");
        // Envelopes carry nothing that we leave out.
        assert_eq!(Value::from_json(&written), Value::from_json(text), "{file}");
        let is_task = envelope.message.headers.contains_key("task")
            || (envelope.route.exchange.is_empty() && envelope.message.headers.is_empty());
        if is_task {
            self.task(file, &envelope.message);
        }
    }

    fn result(&mut self, file: &str, bytes: &[u8], serializer: Serializer) {
        let record = ResultRecord::decode(bytes, serializer)
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let content = super::content(self.results);
        let written = record.encode(content);
        let read = ResultRecord::decode(&written, content.serializer);
        assert_eq!(read.as_ref(), Ok(&record), "{file} in {content:?}");
        let compressed = bytes.starts_with(b"\0");
        if !compressed {
            let written = record.encode(Content { serializer, compression: None });
            let (ours, theirs) = (object(&written, serializer), object(bytes, serializer));
            assert_eq!(ours, theirs, "{file}");
            assert_eq!(ours.keys().next().unwrap(), "status");
            assert_eq!(ours.keys().last().unwrap(), "task_id");
        }
        self.results += 1;
    }

    fn task(&mut self, file: &str, raw: &RawMessage) {
        let message = match Message::decode(raw) {
            Ok(message) => message,
            Err(error) => return self.errors.push(error.to_string()),
        };
        let written = message.encode();
        let expected = Message { version: Version::V2, ..message.clone() };
        assert_eq!(Message::decode(&written), Ok(expected.clone()), "{file}");
        let content = super::content(self.tasks);
        let mut back = Message::decode(&Message { content, ..expected.clone() }.encode()).unwrap();
        assert_eq!(back.content.compression, content.compression);
        back.content = expected.content; // JSON, where the serializer cannot express it
        assert_eq!(back, expected, "{file} in {content:?}");

        let mut theirs = raw.headers.clone();
        let mut their_body = open(raw);
        if let Value::Map(object) = &mut their_body {
            their_body = unfold(object, &mut theirs);
        }
        same_headers(file, &written.headers, theirs);
        same_body(file, &open(&written), &their_body);
        let mut properties = raw.properties.clone();
        properties.expiration = None; // the publisher's, who knows the time
        properties.other.shift_remove("origin"); // a slip of Python's retry; it is a header
        properties.delivery_mode = Some(2); // ours are durable, whatever theirs were
        assert_eq!(written.properties, properties, "{file}");
        self.tasks += 1;
    }
}

/// Moves the parts of a body of protocol 1 to where protocol 2 has them.
fn unfold(object: &mut Map, headers: &mut Map) -> Value {
    let mut take = |key: &str| object.shift_remove(key).unwrap_or_default();
    let body = vec![
        take("args"),
        take("kwargs"),
        ["callbacks", "errbacks", "chord"].into_iter().map(|key| (key, take(key))).collect(),
    ];
    take("utc");
    let taskset = take("taskset");
    for (key, value) in object {
        headers.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if !taskset.is_null() {
        assert_eq!(headers["group"], taskset);
    }
    body.into()
}

/// All that they said is kept; what only we say is a default.
fn same_headers(file: &str, ours: &Map, mut theirs: Map) {
    let none: Value = vec![Value::Null, Value::Null].into();
    let defaults = [Value::Null, 0.into(), "py".into(), Value::Map(Map::new()), none];
    for (key, value) in ours {
        match theirs.shift_remove(key) {
            Some(said) if said.is_null() => assert!(defaults.contains(value), "{file}: {key}"),
            Some(said) => assert_eq!(*value, said, "{file}: {key}"),
            None => assert!(defaults.contains(value), "{file}: {key}"),
        }
    }
    assert!(theirs.is_empty(), "{file} loses {theirs:?}");
}

/// An embed that is null or lacks keys means the same as one full of nulls.
fn same_body(file: &str, ours: &Value, theirs: &Value) {
    let (ours, theirs) = (ours.as_list().unwrap(), theirs.as_list().unwrap());
    assert_eq!(ours[..2], theirs[..2], "{file}");
    let embed = |value: &Value| {
        let mut embed = value.as_map().cloned().unwrap_or_default();
        embed.retain(|_, value| !value.is_null());
        embed
    };
    assert_eq!(embed(&ours[2]), embed(&theirs[2]), "{file}");
}

fn open(raw: &RawMessage) -> Value {
    match body::open(raw) {
        Ok(Body::Value(value)) => value,
        other => panic!("{other:?}"),
    }
}

fn object(bytes: &[u8], serializer: Serializer) -> Map {
    serializer.read(bytes).unwrap().as_map().cloned().unwrap()
}
