//! Properties of the wire: what is written is read back equal, and nothing makes it panic.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use proptest::prelude::*;
use umbel_protocol::body::{Compression, Content, Serializer};
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{Embed, Message, Properties, RawMessage, Route, Version};
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_protocol::repr;
use umbel_protocol::time::Timestamp;
use umbel_value::{Map, Tag, Value};

/// What JSON can express: all there is.
fn values() -> impl Strategy<Value = Value> {
    expressible(Serializer::Json)
}

/// What a serializer can express.
fn expressible(serializer: Serializer) -> impl Strategy<Value = Value> {
    let own = match serializer {
        Serializer::Json => prop_oneof![
            any::<i128>().prop_map(Value::from),
            any::<String>().prop_map(|text| Value::Tagged(Tag::Datetime, text)),
        ]
        .boxed(),
        Serializer::Msgpack => any::<u64>().prop_map(Value::from).boxed(),
        Serializer::Yaml => prop_oneof![
            any::<i128>().prop_map(Value::from),
            an_instant().prop_map(|instant| Value::Tagged(Tag::Datetime, instant.text)),
        ]
        .boxed(),
    };
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (-1e300..1e300).prop_map(Value::Float),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<Vec<u8>>().prop_map(Value::Bytes),
        2 => own,
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            map_of(inner).prop_map(Value::Map),
        ]
    })
}

fn contents() -> impl Strategy<Value = Content> {
    let compression = prop::option::of(prop::sample::select(&Compression::ALL[..]));
    (prop::sample::select(&Serializer::ALL[..]), compression)
        .prop_map(|(serializer, compression)| Content { serializer, compression })
}

fn map_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map> {
    prop::collection::vec((".{0,6}", values), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

fn some_value(serializer: Serializer) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(expressible(serializer).prop_filter("null is none", |value| !value.is_null()))
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(".{0,12}")
}

fn an_instant() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000i64)
        .prop_map(|micros| Timestamp::new(jiff::Timestamp::from_microsecond(micros).unwrap()))
}

fn instant() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of(an_instant())
}

fn limit() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop_oneof![(1u32..100_000).prop_map(f64::from), 0.001..1e9])
}

/// Headers that are neither ours nor ever a type tag.
fn headers() -> impl Strategy<Value = Map> {
    others(Serializer::Json)
}

fn others(serializer: Serializer) -> impl Strategy<Value = Map> {
    prop::collection::vec(("x-[a-z]{0,6}", expressible(serializer)), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

fn embeds(serializer: Serializer) -> impl Strategy<Value = Embed> {
    let some = || some_value(serializer);
    (some(), some(), some(), some(), others(serializer)).prop_map(
        |(callbacks, errbacks, chain, chord, other)| Embed {
            callbacks,
            errbacks,
            chain: chain.map(Into::into),
            chord,
            other,
        },
    )
}

prop_compose! {
    fn messages()(content in contents())(
        content in Just(content),
        (id, task) in (".{1,12}", ".{0,12}"),
        args in prop::collection::vec(expressible(content.serializer), 0..4),
        kwargs in map_of(expressible(content.serializer)),
        embed in embeds(content.serializer),
        (eta, expires, time_limit, soft_time_limit) in (instant(), instant(), limit(), limit()),
        (shadow, group, root_id, parent_id, origin) in (text(), text(), text(), text(), text()),
        (argsrepr, kwargsrepr, reply_to, correlation_id) in (text(), text(), text(), text()),
        (group_index, priority, ignore_result) in any::<(Option<u32>, Option<u8>, Option<bool>)>(),
        (retries, replaced_task_nesting) in any::<(u32, u32)>(),
        stamped_headers in prop::option::of(prop::collection::vec(".{0,4}", 0..3)),
        (stamps, headers) in (map_of(values()), headers()),
    ) -> Message {
        Message {
            version: Version::V2, id, task, args, kwargs, embed, shadow, eta, expires, group,
            group_index, retries, time_limit, soft_time_limit, root_id, parent_id, argsrepr,
            kwargsrepr, origin, ignore_result, replaced_task_nesting, stamped_headers, stamps,
            reply_to, correlation_id, priority, content, headers,
        }
    }
}

/// Something a sender that means no good could send.
fn hostile() -> impl Strategy<Value = RawMessage> {
    let key = prop::sample::select(vec![
        "task",
        "id",
        "eta",
        "expires",
        "retries",
        "timelimit",
        "group",
        "group_index",
        "stamps",
        "stamped_headers",
        "compression",
        "lang",
        "x",
    ]);
    let compression = prop::sample::select(&["gzip", "bzip2", "xz", "brotli", "zstd", "t"][..]);
    let value = prop_oneof![values(), compression.prop_map(Value::from)];
    let entries = prop::collection::vec((key, value), 0..8);
    let body = prop_oneof![
        any::<Vec<u8>>(),
        values().prop_map(|value| value.to_json().into_bytes()),
        (values(), values(), values())
            .prop_map(|(a, b, c)| Value::List(vec![a, b, c]).to_json().into_bytes()),
        (contents(), values()).prop_map(|(content, value)| {
            let body = content.serializer.write(&value).unwrap_or_default();
            content.compression.map_or(body.clone(), |compression| compression.pack(&body))
        }),
    ];
    let serializer = prop::sample::select(&Serializer::ALL[..]);
    let content_type = prop::option::of(prop_oneof![
        6 => serializer.prop_map(|serializer| serializer.content_type().to_owned()),
        1 => Just("application/data".to_owned()),
        1 => any::<String>(),
    ]);
    (entries, body, content_type).prop_map(|(entries, body, content_type)| RawMessage {
        properties: Properties { content_type, ..Properties::default() },
        headers: entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        body: body.into(),
    })
}

prop_compose! {
    fn envelopes()(
        message in messages(),
        (exchange, routing_key, tag) in (".{0,6}", ".{0,6}", ".{1,12}"),
        redelivered in any::<bool>(),
        other in headers(),
        timestamp in prop::option::of(0..u64::MAX / 2),
        (expiration, kind, content_type) in (text(), text(), text()),
        body in any::<Vec<u8>>(),
    ) -> Envelope {
        let mut message = message.encode();
        message.body = body.into();
        message.properties.other = other;
        message.properties.timestamp = timestamp;
        message.properties.expiration = expiration;
        message.properties.kind = kind;
        message.properties.content_type = content_type;
        Envelope { message, route: Route { exchange, routing_key }, tag, redelivered }
    }
}

prop_compose! {
    fn records()(content in contents())(
        content in Just(content),
        id in any::<String>(),
        state in "[A-Z]{0,8}|SUCCESS|FAILURE|RETRY",
        result in expressible(content.serializer),
        children in prop::option::of(prop::collection::vec(expressible(content.serializer), 0..3)),
        (traceback, date_done, group_id, parent_id) in (text(), text(), text(), text()),
        other in others(content.serializer),
    ) -> (ResultRecord, Content) {
        let state = State::from(state.as_str());
        let record =
            ResultRecord { id, state, result, traceback, children, date_done, group_id, parent_id, other };
        (record, content)
    }
}

proptest! {
    #[test]
    fn a_message_survives_the_wire(message in messages()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn an_envelope_survives_the_wire(envelope in envelopes()) {
        prop_assert_eq!(Envelope::from_json(&envelope.to_json()), Ok(envelope));
    }

    #[test]
    fn a_record_survives_the_store((record, content) in records()) {
        let stored = record.encode(content);
        prop_assert_eq!(ResultRecord::decode(&stored, content.serializer), Ok(record));
    }

    #[test]
    fn a_message_of_any_value_survives_as_what_can_write_it(
        args in prop::collection::vec(values(), 0..4),
        content in contents(),
    ) {
        let message = Message { content, ..Message::new("t", args, Map::new()) };
        let mut read = Message::decode(&message.encode()).unwrap();
        prop_assert_eq!(read.content.compression, content.compression);
        read.content = content;
        prop_assert_eq!(read, message);
    }

    #[test]
    fn a_record_of_any_value_can_be_stored(result in values(), content in contents()) {
        let record = ResultRecord::new("i", State::Success, result);
        let read = ResultRecord::decode(&record.encode(content), content.serializer).unwrap();
        let complaint = Exception::from_value(&read.result).filter(|_| read.state == State::Failure);
        match complaint {
            Some(exception) => prop_assert_eq!(exception.kind, "EncodeError"),
            None => prop_assert_eq!(read, record),
        }
    }

    #[test]
    fn an_exception_survives_the_store(
        kind in any::<String>(),
        args in prop::collection::vec(values(), 0..3),
        module in prop::option::of(any::<String>()),
    ) {
        let exception = Exception { kind, args, module };
        prop_assert_eq!(Exception::from_value(&exception.to_value()), Some(exception));
    }

    #[test]
    fn any_message_is_decoded_or_refused(raw in hostile()) {
        let _ = Message::decode(&raw);
    }

    #[test]
    fn any_bytes_are_an_envelope_and_a_record_or_refused(
        bytes in any::<Vec<u8>>(),
        value in values(),
        content in contents(),
    ) {
        let record = ResultRecord::new("i", State::Success, value.clone()).encode(content);
        for bytes in [bytes, value.to_json().into_bytes(), record] {
            let _ = (Envelope::from_json(&bytes), ResultRecord::decode(&bytes, content.serializer));
        }
    }

    #[test]
    fn any_text_is_an_instant_or_refused(any_text in any::<String>(), near in "[0-9TZ:+. -]{0,32}") {
        let _ = (Timestamp::parse(&any_text), Timestamp::parse(&near));
    }

    #[test]
    fn a_shown_value_is_never_much_longer_than_the_limit(
        items in prop::collection::vec(values(), 0..40),
        long in 0..1500usize,
    ) {
        let mut items = items;
        items.push("' ".repeat(long).into());
        // The text that crosses the limit may have each of its characters escaped.
        prop_assert!(repr::args(&items).chars().count() <= 2 * repr::MAX_LENGTH + 32);
    }
}
