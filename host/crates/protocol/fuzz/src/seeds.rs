//! What Python recorded, in the form that each target takes.

use std::path::Path;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use umbel_protocol::body::{Body, open};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Properties, RawMessage};
use umbel_value::Value;

/// The recordings' seeds for each target.
#[derive(Default)]
pub struct Seeds {
    pub message: Vec<Vec<u8>>,
    pub envelope: Vec<Vec<u8>>,
    pub signature: Vec<Vec<u8>>,
}

impl Seeds {
    /// Reads every recording in a folder.
    pub fn read(folder: &Path) -> io::Result<Seeds> {
        let mut names: Vec<_> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        names.sort();
        let mut seeds = Seeds::default();
        for name in names.iter().filter(|name| name.extension().is_some_and(|end| end == "json")) {
            if let Ok(recording) = Value::from_json(&fs::read(name)?) {
                seeds.walk(&recording);
            }
        }
        for list in [&mut seeds.message, &mut seeds.envelope, &mut seeds.signature] {
            list.sort();
            list.dedup();
        }
        Ok(seeds)
    }

    /// The seeds of a target; of an unknown one, none.
    pub fn of(&self, target: &str) -> &[Vec<u8>] {
        match target {
            "message" => &self.message,
            "envelope" => &self.envelope,
            "signature" => &self.signature,
            _ => &[],
        }
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.payload(text.as_bytes()),
            Value::List(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Map(map) if map.contains_key("b64") => {
                if let Some(bytes) = bytes(value) {
                    self.payload(&bytes);
                }
            }
            Value::Map(map) => {
                if let (Some(body), Some(Value::Map(properties))) =
                    (map.get("body").and_then(bytes), map.get("properties"))
                {
                    let content_type = properties.get("content_type").and_then(Value::as_str);
                    let headers = map.get("headers").cloned().unwrap_or_default();
                    self.amqp(content_type.unwrap_or_default(), &headers, body);
                }
                map.values().for_each(|item| self.walk(item));
            }
            _ => {}
        }
    }

    fn payload(&mut self, bytes: &[u8]) {
        if bytes.starts_with(b"{\"body\": ") {
            if let Ok(Body::Value(value)) =
                Envelope::from_json(bytes).map_or(Ok(Body::Empty), |one| open(&one.message))
            {
                self.signatures(&value);
            }
            self.envelope.push(bytes.to_vec());
        } else if !bytes.is_empty() && (bytes[0] != b'{' || bytes.starts_with(b"{\"status\"")) {
            // A stored result, or bytes that only look for trouble.
            self.message.push([b"\n{}\n", bytes].concat());
        }
    }

    fn amqp(&mut self, content_type: &str, headers: &Value, body: Vec<u8>) {
        let line = format!("{content_type}\n{}\n", headers.to_json());
        self.message.push([line.as_bytes(), &body].concat());
        let raw = RawMessage {
            properties: Properties {
                content_type: Some(content_type.to_owned()),
                ..Properties::default()
            },
            headers: headers.as_map().cloned().unwrap_or_default(),
            body: body.into(),
        };
        if let Ok(Body::Value(value)) = open(&raw) {
            self.signatures(&value);
        }
    }

    fn signatures(&mut self, value: &Value) {
        match value {
            Value::List(items) => items.iter().for_each(|item| self.signatures(item)),
            Value::Map(map) => {
                if map.contains_key("task") && map.contains_key("options") {
                    self.signature.push(value.to_json().into_bytes());
                }
                map.values().for_each(|item| self.signatures(item));
            }
            _ => {}
        }
    }
}

fn bytes(recorded: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(recorded.get("b64")?.as_str()?).ok()
}
