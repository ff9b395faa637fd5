//! Messages made here, and the corners of those that come in.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use umbel_protocol::body::{Content, Serializer};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{DecodeError, Message, Properties, RawMessage, Version};
use umbel_protocol::names;
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_value::{Map, Tag, Value};

fn raw(headers: Value, body: &[u8]) -> RawMessage {
    RawMessage {
        properties: Properties {
            content_type: Some("application/json".to_owned()),
            ..Properties::default()
        },
        headers: headers.as_map().cloned().unwrap(),
        body: body.to_vec().into(),
    }
}

fn task(headers: &[(&str, Value)]) -> RawMessage {
    let mut all = vec![("task", "t".into()), ("id", "i".into())];
    all.extend_from_slice(headers);
    raw(all.into_iter().collect(), b"[[], {}, null]")
}

fn refused(raw: &RawMessage) -> String {
    Message::decode(raw).unwrap_err().to_string()
}

#[test]
fn a_new_message_is_what_send_task_sends() {
    let kwargs = [("a".to_owned(), 2.into())].into_iter().collect();
    let mut message = Message::new("other.name", vec![1.into()], kwargs);
    message.origin = Some(names::client_origin(16814, "vm"));
    message.reply_to = Some("queue".to_owned());
    let wire = message.encode();
    let id = &message.id;
    assert_eq!(
        Value::Map(wire.headers).to_json(),
        format!(
            r#"{{"lang":"py","task":"other.name","id":"{id}","shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":0,"timelimit":[null,null],"root_id":"{id}","parent_id":null,"argsrepr":"(1,)","kwargsrepr":"{{'a': 2}}","origin":"gen16814@vm","ignore_result":null,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{{}}}}"#
        )
    );
    assert_eq!(
        &wire.body[..],
        br#"[[1],{"a":2},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#
    );
    assert_eq!(
        wire.properties,
        Properties {
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            correlation_id: Some(id.clone()),
            reply_to: Some("queue".to_owned()),
            delivery_mode: Some(2),
            priority: Some(0),
            ..Properties::default()
        }
    );
}

#[test]
fn two_new_messages_have_two_ids() {
    let [one, other] = [(); 2].map(|()| Message::new("t", vec![], Map::new()));
    assert_ne!(one.id, other.id);
}

#[test]
fn a_retry_keeps_the_task_id() {
    let mut first = Message::new("t", vec![7.into()], Map::new());
    first.headers.insert("x-mine".to_owned(), "kept".into());
    first.headers.insert("x-death".to_owned(), Value::List(vec![]));
    let eta = "2026-11-21T00:53:58.005626Z".parse().unwrap();
    let again = first.retry(Some(eta));
    assert_eq!(again.eta.as_ref().unwrap().text, "2026-11-21T00:53:58.005626+00:00");
    assert_eq!(again.parent_id, Some(first.id.clone()));
    assert_eq!(again.headers.keys().collect::<Vec<_>>(), ["x-mine"]);
    let expected = Message {
        retries: 1,
        eta: again.eta.clone(),
        parent_id: again.parent_id.clone(),
        headers: again.headers.clone(),
        ..first
    };
    assert_eq!(again, expected);
    assert_eq!(again.retry(None).parent_id, again.parent_id);
}

#[test]
fn a_retry_of_protocol_1_is_protocol_2() {
    let old = raw(Map::new().into(), br#"{"task": "t", "id": "i", "args": [1]}"#);
    let again = Message::decode(&old).unwrap().retry(None);
    assert_eq!((again.version, again.retries), (Version::V2, 1));
    assert_eq!((again.root_id.as_deref(), again.argsrepr.as_deref()), (Some("i"), Some("(1,)")));
}

#[test]
fn the_expiration_is_what_is_left() {
    let mut message = Message::new("t", vec![], Map::new());
    let at = |seconds| jiff::Timestamp::new(seconds, 0).unwrap();
    assert_eq!(message.expiration(at(0)), None);
    message.expires = Some(umbel_protocol::time::Timestamp::new(at(60)));
    assert_eq!(message.expiration(at(0)).as_deref(), Some("60000"));
    assert_eq!(message.expiration(at(61)).as_deref(), Some("0"));
}

#[test]
fn a_header_of_an_odd_type_is_kept_as_it_came() {
    for (key, value) in [
        ("shadow", 5.into()),
        ("group_index", (-1).into()),
        ("ignore_result", "no".into()),
        ("stamps", Value::List(vec![])),
        ("stamped_headers", "a".into()),
        ("lang", "go".into()),
        ("x-mine", vec![Value::Null].into()),
    ] {
        let message = Message::decode(&task(&[(key, value.clone())])).unwrap();
        assert_eq!(message.headers.get(key), Some(&value));
        assert_eq!(message.encode().headers.get(key), Some(&value));
    }
}

#[test]
fn headers_that_decide_about_the_run_must_be_right() {
    for (key, value, what) in [
        ("eta", 5.into(), "invalid task message: invalid ETA value 5"),
        ("expires", "".into(), "invalid task message: invalid expires value ''"),
        ("retries", (-1).into(), "invalid task message: invalid retries value -1"),
        ("timelimit", 5.into(), "invalid task message: invalid timelimit value 5"),
        (
            "timelimit",
            vec![f64::NAN.into(), Value::Null].into(),
            "invalid task message: invalid timelimit value [nan, None]",
        ),
    ] {
        assert_eq!(refused(&task(&[(key, value)])), what);
    }
}

#[test]
fn a_limit_of_zero_is_none() {
    let limits: Value = vec![0.into(), 2.5.into()].into();
    let message = Message::decode(&task(&[("timelimit", limits)])).unwrap();
    assert_eq!((message.time_limit, message.soft_time_limit), (None, Some(2.5)));
}

#[test]
fn an_empty_embed_list_is_not_null() {
    let wire = raw(
        [("task", "t".into()), ("id", "i".into())].into(),
        br#"[[], {}, {"chain": [], "callbacks": null, "more": 1}]"#,
    );
    let embed = Message::decode(&wire).unwrap().embed;
    assert_eq!((embed.chain, embed.callbacks), (Some(Value::List(vec![]).into()), None));
    assert_eq!(embed.other.get("more"), Some(&1.into()));
}

#[test]
fn taskset_overrides_the_group() {
    let body = br#"{"task": "t", "id": "i", "group": "a", "taskset": "b", "utc": true, "own": 1}"#;
    let message = Message::decode(&raw(Map::new().into(), body)).unwrap();
    assert_eq!(message.group.as_deref(), Some("b"));
    assert_eq!(Value::Map(message.headers).to_json(), r#"{"own":1}"#);
}

#[test]
fn in_the_hybrid_form_real_headers_win() {
    let wire = raw(
        [("task", "t".into()), ("id", "i".into()), ("retries", 2.into())].into(),
        br#"{"args": [1], "id": "other", "retries": 7, "root_id": "r", "callbacks": []}"#,
    );
    let message = Message::decode(&wire).unwrap();
    assert_eq!((message.id.as_str(), message.retries), ("i", 2));
    assert_eq!(message.root_id.as_deref(), Some("r"));
    assert_eq!(message.embed.callbacks, Some(Value::List(vec![])));
}

#[test]
fn pickle_is_refused_before_it_is_unpacked() {
    let mut wire = task(&[("compression", "nonsense".into())]);
    wire.properties.content_type = Some("application/x-python-serialize".to_owned());
    assert!(matches!(Message::decode(&wire), Err(DecodeError::Disallowed { .. })));
}

#[test]
fn a_body_without_content_type_or_id_tells_who_it_was() {
    let mut wire = task(&[]);
    wire.properties.content_type = None;
    let error = Message::decode(&wire).unwrap_err();
    assert!(
        matches!(error, DecodeError::Invalid { id: Some(id), task: Some(task), .. } if id == "i" && task == "t")
    );
}

#[test]
fn what_msgpack_cannot_write_is_sent_as_json() {
    let content = Content { serializer: Serializer::Msgpack, compression: None };
    let arguments = vec![Value::Big("1".repeat(30))];
    let message = Message { content, ..Message::new("t", arguments.clone(), Map::new()) };
    let wire = message.encode();
    assert_eq!(wire.properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(wire.properties.content_encoding.as_deref(), Some("utf-8"));
    assert_eq!(Message::decode(&wire).unwrap().args, arguments);
}

#[test]
fn a_result_that_cannot_be_written_is_stored_as_celerys_failure() {
    let content = Content { serializer: Serializer::Msgpack, compression: None };
    let decimal = Value::Tagged(Tag::Decimal, "1.10".to_owned());
    for (state, stored_as) in [(State::Success, State::Failure), (State::Started, State::Started)] {
        let stored = ResultRecord::new("i", state, decimal.clone()).encode(content);
        let record = ResultRecord::decode(&stored, Serializer::Msgpack).unwrap();
        assert_eq!(record.state, stored_as);
        let exception = Exception::from_value(&record.result).unwrap();
        assert_eq!(exception.to_string(), "EncodeError(\"can not serialize 'Decimal' object\")");
    }
}

#[test]
fn delivery_info_that_is_no_object_is_left_out() {
    let text = br#"{"body": "", "properties": {"delivery_info": 1, "delivery_tag": "t"}}"#;
    let envelope = Envelope::from_json(text).unwrap();
    assert!(envelope.message.properties.other.is_empty());
    assert_eq!(Envelope::from_json(&envelope.to_json()), Ok(envelope));
}
