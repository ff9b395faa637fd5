//! MessagePack: what is read, what is refused, what is written.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use proptest::prelude::*;
use umbel_value::{MAX_DEPTH, MAX_WEIGHT, Map, Tag, Value};

/// Both ways: these bytes are this value, and the value is written so.
fn check(bytes: &[u8], value: Value) {
    assert_eq!(Value::from_msgpack(bytes), Ok(value.clone()), "{bytes:x?}");
    assert_eq!(written(&value), bytes, "{value:?}");
}

fn refuse(bytes: &[u8], what: &str) {
    let error = Value::from_msgpack(bytes).unwrap_err();
    assert!(error.what.contains(what), "{error} does not say `{what}`");
}

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write_msgpack(&mut out).unwrap();
    out
}

#[test]
fn every_size_of_integer_has_its_form() {
    for (number, bytes) in [
        (0, &[0x00][..]),
        (0x7f, &[0x7f]),
        (0x80, &[0xcc, 0x80]),
        (0x100, &[0xcd, 1, 0]),
        (0x1_0000, &[0xce, 0, 1, 0, 0]),
        (0x1_0000_0000, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        (-1, &[0xff]),
        (-0x20, &[0xe0]),
        (-0x21, &[0xd0, 0xdf]),
        (-0x81, &[0xd1, 0xff, 0x7f]),
        (-0x8001, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
        (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        check(bytes, number.into());
    }
    check(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], u64::MAX.into());
}

#[test]
fn the_rest_is_what_python_writes() {
    check(&[0xc0], Value::Null);
    check(&[0xc3], true.into());
    check(&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 1.5.into());
    check(b"\xa2\xc5\xbe", "ž".into());
    check(b"\xc4\x02\xff\x00", Value::Bytes(vec![255, 0]));
    check(b"\x92\x01\x90", vec![1.into(), Value::List(vec![])].into());
    check(b"\x81\xa1k\x80", [("k", Map::new().into())].into());
    for length in [31, 32, 255, 256, 65_535, 65_536] {
        let text = Value::from("x".repeat(length));
        assert_eq!(Value::from_msgpack(&written(&text)), Ok(text));
        let list = Value::List(vec![Value::Null; length]);
        assert_eq!(Value::from_msgpack(&written(&list)), Ok(list));
    }
}

#[test]
fn a_short_float_is_read() {
    assert_eq!(Value::from_msgpack(&[0xca, 0x3f, 0xc0, 0, 0]), Ok(1.5.into()));
}

#[test]
fn what_python_refuses_is_refused() {
    refuse(&[], "unexpected end");
    refuse(&[0x92, 0x01], "unexpected end");
    refuse(&[0x01, 0x01], "extra data");
    refuse(&[0xc1], "never used");
    refuse(&[0x81, 0x01, 0x01], "a key that is not text");
    refuse(&[0xa1, 0xff], "not UTF-8");
    refuse(&[0xd4, 0x01, 0x00], "an extension type");
}

#[test]
fn a_length_beyond_the_bytes_allocates_nothing() {
    for marker in [0xc6, 0xdb, 0xdd, 0xdf] {
        refuse(&[marker, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0], "unexpected end");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    assert!(Value::from_msgpack(&nested(MAX_DEPTH)).is_ok());
    refuse(&nested(MAX_DEPTH + 1), "nested deeper");
}

#[test]
fn small_bytes_do_not_become_a_large_value() {
    let mut bytes = vec![0xdd];
    bytes.extend_from_slice(&u32::try_from(MAX_WEIGHT).unwrap().to_be_bytes());
    bytes.resize(bytes.len() + MAX_WEIGHT, 0xc0);
    refuse(&bytes, "more than");
}

#[test]
fn what_python_cannot_write_is_an_error() {
    for (value, what) in [
        (Value::Big("18446744073709551616".into()), "Integer value out of range"),
        (Value::Big("-9223372036854775809".into()), "Integer value out of range"),
        (Value::Tagged(Tag::Uuid, "x".into()), "can not serialize 'UUID' object"),
    ] {
        let nested = Value::List(vec![value]);
        assert_eq!(nested.write_msgpack(&mut Vec::new()).unwrap_err().to_string(), what);
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(Value::Float),
        any::<String>().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            prop::collection::vec((".{0,6}", inner), 0..20)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_survives(value in values()) {
        prop_assert_eq!(Value::from_msgpack(&written(&value)), Ok(value));
    }

    #[test]
    fn any_bytes_are_a_value_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = Value::from_msgpack(&bytes);
    }
}
