//! The same calls and results, recorded in every serializer and compression.

use umbel_protocol::body::{Compression, Content, Serializer};
use umbel_protocol::message::{DecodeError, Message};
use umbel_protocol::record::ResultRecord;
use umbel_value::{Map, Tag, Value};

/// The first message of an AMQP recording.
fn decoded(name: &str) -> Message {
    Message::decode(&super::raw(&first(name))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn first(name: &str) -> Value {
    super::recording(name).get("messages").and_then(Value::as_list).unwrap()[0].clone()
}

#[test]
fn every_serializer_carries_the_same_call() {
    let expected = Value::from_json(r#"[{"a": [1, 2.5, null, true, "ž"]}]"#.as_bytes()).unwrap();
    let keywords: Map = [("k".to_owned(), "v".into())].into_iter().collect();
    for serializer in [Serializer::Msgpack, Serializer::Yaml] {
        let message = decoded(&format!("amqp-task-serializer-{}", serializer.as_str()));
        assert_eq!(Value::List(message.args), expected);
        assert_eq!(message.kwargs, keywords);
        assert_eq!(message.content, Content { serializer, compression: None });
    }
}

#[test]
fn every_compression_carries_the_same_call() {
    let expected = [Value::from("payload ".repeat(40))];
    for (name, compression) in [
        ("gzip", Compression::Zlib),
        ("zlib", Compression::Zlib),
        ("bzip2", Compression::Bzip2),
        ("lzma", Compression::Lzma),
        ("brotli", Compression::Brotli),
        ("zstd", Compression::Zstd),
        ("zstd-msgpack", Compression::Zstd),
    ] {
        let message = decoded(&format!("amqp-task-compression-{name}"));
        assert_eq!(message.args, expected, "{name}");
        assert_eq!(message.content.compression, Some(compression), "{name}");
    }
}

#[test]
fn what_json_needs_tags_for_has_its_own_form() {
    let yaml = decoded("amqp-task-serializer-yaml-types");
    let datetime = Value::Tagged(Tag::Datetime, "2030-01-02T03:04:05".to_owned());
    let date = Value::Tagged(Tag::Date, "2030-01-02".to_owned());
    assert_eq!(yaml.args, [datetime, date, "yes".into(), "1".into()]);
    let msgpack = decoded("amqp-task-serializer-msgpack-bytes");
    assert_eq!(msgpack.args, [Value::Bytes(vec![255, 0])]);
}

#[test]
fn what_is_not_accepted_is_refused_in_kombus_words() {
    for (name, accept, refusal) in [
        ("serializer-msgpack", Serializer::Json, "msgpack (application/x-msgpack)"),
        ("serializer-yaml", Serializer::Msgpack, "yaml (application/x-yaml)"),
        ("plain", Serializer::Yaml, "json (application/json)"),
    ] {
        let raw = super::raw(&first(&format!("amqp-task-{name}")));
        let error = Message::decode_accepting(&raw, &[accept]).unwrap_err();
        let expected = format!("Refusing to deserialize untrusted content of type {refusal}");
        assert!(matches!(error, DecodeError::Disallowed { .. }));
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_way_to_store_keeps_the_same_results() {
    let expected = results("gzip");
    assert_eq!(expected.len(), 3);
    for name in ["zstd", "msgpack", "yaml"] {
        assert_eq!(results(name), expected, "{name}");
    }
}

/// The values that a worker stored with this setting.
fn results(name: &str) -> Vec<Value> {
    let recording = super::recording(&format!("redis-conf-result-{name}"));
    let stored = recording.get("result_backend").and_then(Value::as_map).unwrap();
    let mut results: Vec<Value> = stored
        .values()
        .map(|dump| {
            let bytes = super::bytes(dump.get("value").unwrap());
            let serializer = Serializer::named(name).unwrap_or_default();
            ResultRecord::decode(&bytes, serializer).unwrap().result
        })
        .collect();
    results.sort_by_key(Value::type_name);
    results
}
