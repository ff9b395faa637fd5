//! Message to wire, and messages made here.

use umbel_value::json::write_text;
use umbel_value::{Map, Value};

use super::{Embed, Message, Properties, RawMessage, Version};
use crate::body::{Content, Serializer};
use crate::repr;
use crate::time::Timestamp;

impl Message {
    /// What a Python client's `send_task` sends: a fresh id, its own root, nothing else set. The
    /// caller knows its host, so it sets `origin` (see `names::client_origin`) and `reply_to`.
    pub fn new(task: impl Into<String>, args: Vec<Value>, kwargs: Map) -> Message {
        let id = uuid::Uuid::new_v4().to_string();
        let mut message = Message::empty(Version::V2, id.clone(), task.into());
        message.argsrepr = Some(repr::args(&args));
        message.kwargsrepr = Some(repr::kwargs(&kwargs));
        message.args = args;
        message.kwargs = kwargs;
        message.correlation_id = Some(id.clone());
        message.root_id = Some(id);
        message.priority = Some(0);
        message
    }

    /// The message of the next attempt (PROTOCOL 5.6). It goes where this one came from: the same
    /// exchange and routing key.
    pub fn retry(&self, eta: Option<jiff::Timestamp>) -> Message {
        let mut again = self.clone();
        again.version = Version::V2;
        again.retries = self.retries.saturating_add(1);
        again.eta = eta.map(Timestamp::new);
        again.root_id.get_or_insert_with(|| self.id.clone());
        again.parent_id.get_or_insert_with(|| self.id.clone());
        again.correlation_id.get_or_insert_with(|| self.id.clone());
        again.argsrepr.get_or_insert_with(|| repr::args(&self.args));
        again.kwargsrepr.get_or_insert_with(|| repr::kwargs(&self.kwargs));
        again.headers.retain(|key, _| !is_broker_header(key));
        again
    }

    /// The headers that the caller chose: all without a field, but for what brokers add.
    pub fn custom_headers(&self) -> Map {
        let custom =
            self.headers.iter().filter(|(key, _)| !is_broker_header(key) && *key != "lang");
        custom.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The property `expiration` of this message when it is published at `now`: the milliseconds
    /// left until `expires`.
    pub fn expiration(&self, now: jiff::Timestamp) -> Option<String> {
        let expires = self.expires.as_ref()?;
        Some((expires.at.as_millisecond() - now.as_millisecond()).max(0).to_string())
    }

    /// Writes protocol 2 in its content. Decoding gives an equal message (`version` aside).
    /// What its serializer cannot write is sent as JSON, which can write everything and says so.
    /// `properties.expiration` is left to the publisher, who knows the time.
    pub fn encode(&self) -> RawMessage {
        let (serializer, mut body) = self.encode_body();
        let mut headers = self.encode_headers();
        if let Some(compression) = self.content.compression {
            body = compression.pack(&body);
            headers.insert("compression".to_owned(), compression.content_type().into());
        }
        let properties = Properties {
            content_type: Some(serializer.content_type().to_owned()),
            content_encoding: Some(serializer.content_encoding().to_owned()),
            correlation_id: self.correlation_id.clone(),
            reply_to: self.reply_to.clone(),
            delivery_mode: Some(2),
            priority: self.priority,
            ..Properties::default()
        };
        RawMessage { properties, headers, body: body.into() }
    }

    /// In the order in which Python's client writes them; logs and people compare.
    fn encode_headers(&self) -> Map {
        let text = |text: &Option<String>| Value::from(text.as_ref());
        let time = |time: &Option<Timestamp>| Value::from(time.as_ref().map(|time| &time.text));
        let mut headers = Map::with_capacity(19 + self.headers.len());
        let mut set = |key: &str, value: Value| {
            headers.insert(key.to_owned(), value);
        };
        set("lang", "py".into());
        set("task", (&self.task).into());
        set("id", (&self.id).into());
        set("shadow", text(&self.shadow));
        set("eta", time(&self.eta));
        set("expires", time(&self.expires));
        set("group", text(&self.group));
        set("group_index", self.group_index.into());
        set("retries", self.retries.into());
        set("timelimit", vec![seconds(self.time_limit), seconds(self.soft_time_limit)].into());
        set("root_id", text(&self.root_id));
        set("parent_id", text(&self.parent_id));
        for (key, value) in [
            ("argsrepr", &self.argsrepr),
            ("kwargsrepr", &self.kwargsrepr),
            ("origin", &self.origin),
        ] {
            // Python's worker takes these as they are, so absent is better than null.
            if value.is_some() {
                set(key, text(value));
            }
        }
        set("ignore_result", self.ignore_result.into());
        set("replaced_task_nesting", self.replaced_task_nesting.into());
        let stamped = self.stamped_headers.as_ref();
        set(
            "stamped_headers",
            stamped.map(|names| names.iter().map(Value::from).collect::<Vec<_>>()).into(),
        );
        set("stamps", self.stamps.clone().into());
        for (key, value) in &self.headers {
            headers.insert(key.clone(), value.clone());
        }
        headers
    }

    fn encode_body(&self) -> (Serializer, Vec<u8>) {
        if self.content.serializer != Serializer::Json
            && let Ok(body) = self.content.serializer.write(&self.body())
        {
            return (self.content.serializer, body);
        }
        (Serializer::Json, self.encode_json())
    }

    fn body(&self) -> Value {
        let Embed { callbacks, errbacks, chain, chord, other } = &self.embed;
        let mut embed = Map::with_capacity(4 + other.len());
        // It was checked when it came.
        let chain = chain.as_ref().and_then(|chain| chain.value().ok());
        for (key, value) in
            [("callbacks", callbacks), ("errbacks", errbacks), ("chain", &chain), ("chord", chord)]
        {
            embed.insert(key.to_owned(), value.clone().unwrap_or_default());
        }
        embed.extend(other.clone());
        vec![self.args.clone().into(), self.kwargs.clone().into(), embed.into()].into()
    }

    /// The body without a tree in between.
    fn encode_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"[[");
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            arg.write_json(&mut out);
        }
        out.extend_from_slice(b"],{");
        write_entries(&self.kwargs, &mut out);
        out.extend_from_slice(b"},{");
        let Embed { callbacks, errbacks, chain, chord, other } = &self.embed;
        write_optional("\"callbacks\":", callbacks.as_ref(), &mut out);
        write_optional(",\"errbacks\":", errbacks.as_ref(), &mut out);
        out.extend_from_slice(b",\"chain\":");
        match chain {
            Some(chain) => chain.write_json(&mut out),
            None => out.extend_from_slice(b"null"),
        }
        write_optional(",\"chord\":", chord.as_ref(), &mut out);
        if !other.is_empty() {
            out.push(b',');
            write_entries(other, &mut out);
        }
        out.extend_from_slice(b"}]");
        out
    }

    /// A message of which nothing is known but its name and id.
    pub(crate) fn empty(version: Version, id: String, task: String) -> Message {
        Message {
            version,
            id,
            task,
            args: Vec::new(),
            kwargs: Map::new(),
            embed: Embed::default(),
            shadow: None,
            eta: None,
            expires: None,
            group: None,
            group_index: None,
            retries: 0,
            time_limit: None,
            soft_time_limit: None,
            root_id: None,
            parent_id: None,
            argsrepr: None,
            kwargsrepr: None,
            origin: None,
            ignore_result: None,
            replaced_task_nesting: 0,
            stamped_headers: None,
            stamps: Map::new(),
            reply_to: None,
            correlation_id: None,
            priority: None,
            content: Content::default(),
            headers: Map::new(),
        }
    }
}

/// What a broker adds on redelivery and dead-lettering; never sent on.
fn is_broker_header(key: &str) -> bool {
    matches!(key, "redelivered" | "x-death" | "x-delivery-count" | "x-acquired-count")
        || key.starts_with("x-first-death-")
        || key.starts_with("x-last-death-")
}

fn write_entries(map: &Map, out: &mut Vec<u8>) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        value.write_json(out);
    }
}

fn write_optional(key: &str, value: Option<&Value>, out: &mut Vec<u8>) {
    out.extend_from_slice(key.as_bytes());
    value.unwrap_or(&Value::Null).write_json(out);
}

/// Whole seconds as an integer, as Python's clients mostly send them.
fn seconds(limit: Option<f64>) -> Value {
    match limit {
        Some(seconds) if seconds.fract() == 0.0 && seconds.abs() < 1e15 => {
            Value::Int(seconds as i64)
        }
        other => other.into(),
    }
}
