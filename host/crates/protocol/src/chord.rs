//! A chord's bookkeeping, and groups, as they are stored (PROTOCOL 4.5 and 4.6).

use umbel_value::Value;

use crate::body::{Content, EncodeError, Serializer};
use crate::record::{Exception, RecordError, State, packed, unpacked};

/// One finished part of a chord's header.
#[derive(Clone, Debug, PartialEq)]
pub struct ChordPart {
    /// The chord's group.
    pub group: String,
    /// The part's task id.
    pub id: String,
    /// Its position in the header; `None` sorts last.
    pub index: Option<u32>,
    /// SUCCESS, FAILURE or REVOKED.
    pub state: State,
    /// The value, or an exception as [`crate::record::Exception::to_value`] writes it.
    pub result: Value,
}

impl ChordPart {
    /// The stored bytes of `[1, id, state, result]`. What the serializer cannot write becomes the
    /// failure that Celery makes of it.
    pub fn encode(&self, content: Content) -> Vec<u8> {
        let member = |state: &str, result: Value| {
            let id = self.id.as_str().into();
            Value::List(vec![Value::Int(1), id, state.into(), result])
        };
        let written = content.serializer.write(&member(self.state.as_str(), self.result.clone()));
        let bytes = written.unwrap_or_else(|error| {
            let error = Exception::new("kombu.exceptions", "EncodeError", error.0);
            let failure = member(State::Failure.as_str(), error.to_value());
            content.serializer.write(&failure).expect("texts can be written")
        });
        packed(bytes, content)
    }

    /// Reads what Celery or we stored; group and position stand elsewhere.
    pub fn decode(
        bytes: &[u8],
        serializer: Serializer,
        group: &str,
        index: Option<u32>,
    ) -> Result<ChordPart, RecordError> {
        let value = serializer.read(&unpacked(bytes)?).map_err(RecordError)?;
        let Value::List(fields) = value else {
            return Err(RecordError(format!("{} instead of an array", value.type_name())));
        };
        let mut fields = fields.into_iter().skip(1);
        let (Some(Value::Text(id)), Some(Value::Text(state)), Some(result)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(RecordError("not the part of a chord".to_owned()));
        };
        Ok(ChordPart {
            group: group.to_owned(),
            id,
            index,
            state: State::from(state.as_str()),
            result,
        })
    }

    /// Stands for a part that cannot be read: the chord fails, as it does in Celery, instead of
    /// waiting for ever.
    pub fn unreadable(group: &str, index: Option<u32>, why: &RecordError) -> ChordPart {
        let error = Exception::new("kombu.exceptions", "DecodeError", why.to_string());
        ChordPart {
            group: group.to_owned(),
            id: String::new(),
            index,
            state: State::Failure,
            result: error.to_value(),
        }
    }
}

/// The stored bytes of a group's result tuple, `{"result": tuple}`.
pub fn encode_group(tuple: &Value, content: Content) -> Result<Vec<u8>, EncodeError> {
    let meta = Value::from([("result", tuple.clone())]);
    Ok(packed(content.serializer.write(&meta)?, content))
}

/// Reads the result tuple of a group that Celery or we stored.
pub fn decode_group(bytes: &[u8], serializer: Serializer) -> Result<Value, RecordError> {
    let value = serializer.read(&unpacked(bytes)?).map_err(RecordError)?;
    let tuple = value.get("result").cloned();
    tuple.ok_or_else(|| RecordError("no `result` in a group".to_owned()))
}

#[cfg(test)]
mod tests {
    use umbel_value::Value;

    use super::{ChordPart, decode_group, encode_group};
    use crate::body::{Compression, Content, Serializer};
    use crate::record::State;

    fn part(result: Value) -> ChordPart {
        ChordPart {
            group: "g".into(),
            id: "5977c636".into(),
            index: Some(2),
            state: State::Success,
            result,
        }
    }

    fn contents() -> impl Iterator<Item = Content> {
        Serializer::ALL.into_iter().flat_map(|serializer| {
            [None, Some(Compression::Zstd)].map(|compression| Content { serializer, compression })
        })
    }

    #[test]
    fn a_part_is_read_as_it_was_written() {
        let part = part(Value::List(vec![Value::Int(1), "größe".into(), Value::Null]));
        for content in contents() {
            let bytes = part.encode(content);
            let found = ChordPart::decode(&bytes, content.serializer, "g", Some(2));
            assert_eq!(found, Ok(part.clone()), "{content:?}");
        }
    }

    #[test]
    fn celerys_part_is_read() {
        let text = br#"[1, "5977c636", "SUCCESS", 2]"#;
        let found = ChordPart::decode(text, Serializer::Json, "g", Some(2));
        assert_eq!(found, Ok(part(Value::Int(2))));
        for wrong in ["", "[]", "[1, 2, 3, 4]", "{}", "\0celery-compressed\0x\0"] {
            let found = ChordPart::decode(wrong.as_bytes(), Serializer::Json, "g", None);
            assert!(found.is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_written_becomes_a_failure() {
        let content = Content { serializer: Serializer::Msgpack, compression: None };
        let bytes = part(Value::Big("170141183460469231731687303715884105728".into()));
        let found = ChordPart::decode(&bytes.encode(content), content.serializer, "g", None);
        assert_eq!(found.map(|part| part.state), Ok(State::Failure));
    }

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let tuple = Value::List(vec![Value::List(vec!["g".into(), Value::Null]), Value::Null]);
        for content in contents() {
            let bytes = encode_group(&tuple, content).expect("it can be written");
            assert_eq!(decode_group(&bytes, content.serializer), Ok(tuple.clone()), "{content:?}");
        }
    }
}
