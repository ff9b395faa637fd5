//! Events to values. Aliases are copies, and are paid for as such.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use umbel_value::{Budget, Exceeded, Map, Value};

use super::{MAX_WEIGHT, scalar};

/// A longer text is refused: PyYAML takes more than ten seconds for each of its megabytes.
const MAX_TEXT: usize = 8 << 20;

/// Reads one document; an empty text is null.
pub(in crate::body) fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_TEXT {
        return Err(format!("more than {MAX_TEXT} bytes of YAML"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { parser, budget: Budget::of(MAX_WEIGHT), anchors: HashMap::new() };
    reader.document()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    budget: Budget,
    /// What aliases stand for, once it is whole.
    anchors: HashMap<usize, Value>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value, String> {
        let mut value = Value::Null;
        let mut documents = 0;
        loop {
            match self.event()? {
                Event::StreamEnd => return Ok(value),
                Event::DocumentStart(_) if documents == 1 => {
                    return Err("expected a single document in the stream".to_owned());
                }
                Event::DocumentStart(_) => {
                    documents += 1;
                    let event = self.event()?;
                    value = self.node(event)?;
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Value, String> {
        self.within(|budget| budget.spend(1))?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (anchor, scalar::resolve(text, plain, tag.as_deref())?)
            }
            Event::SequenceStart(anchor, tag) => (anchor, self.sequence(tag)?),
            Event::MappingStart(anchor, tag) => (anchor, self.mapping(tag)?),
            _ => return Err("expected a node".to_owned()),
        };
        if anchor != 0 {
            self.within(|budget| budget.spend_copy(&value))?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize) -> Result<Value, String> {
        let value = self.anchors.get(&anchor).ok_or("found unconstructable recursive node")?;
        self.budget.spend_copy(value).map_err(|exceeded| exceeded.to_string())?;
        Ok(value.clone())
    }

    fn sequence(&mut self, tag: Option<Cow<'a, Tag>>) -> Result<Value, String> {
        scalar::collection(tag.as_deref(), "seq")?;
        self.within(Budget::enter)?;
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => break,
                event => items.push(self.node(event)?),
            }
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn mapping(&mut self, tag: Option<Cow<'a, Tag>>) -> Result<Value, String> {
        scalar::collection(tag.as_deref(), "map")?;
        self.within(Budget::enter)?;
        let mut map = Map::new();
        loop {
            let key = match self.event()? {
                Event::MappingEnd => break,
                Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" => {
                    return Err("merge keys are not supported".to_owned());
                }
                event => key(self.node(event)?)?,
            };
            let event = self.event()?;
            map.insert(key, self.node(event)?);
        }
        self.budget.leave();
        Ok(Value::Map(map))
    }

    fn event(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("unexpected end".to_owned()),
        }
    }

    fn within(
        &mut self,
        step: impl FnOnce(&mut Budget) -> Result<(), Exceeded>,
    ) -> Result<(), String> {
        step(&mut self.budget).map_err(|exceeded| exceeded.to_string())
    }
}

/// A key as Python's JSON would write it.
fn key(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => {
            Ok(value.to_json())
        }
        other => Err(format!("a key that is {}", other.type_name())),
    }
}
