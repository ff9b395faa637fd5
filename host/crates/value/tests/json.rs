//! kombu's JSON dialect: what is read, what is refused, what is written.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use proptest::prelude::*;
use umbel_value::{MAX_DEPTH, MAX_WEIGHT, Map, Tag, Value};

fn check(text: &str, expected: Value) {
    assert_eq!(Value::from_json(text.as_bytes()), Ok(expected), "{text}");
}

fn refuse(text: &[u8], what: &str) {
    let error = Value::from_json(text).expect_err(&String::from_utf8_lossy(text));
    assert!(error.what.contains(what), "{error} does not say `{what}`");
}

fn same(value: &Value) -> Value {
    Value::from_json(value.to_json().as_bytes()).unwrap()
}

#[test]
fn plain_values_are_read() {
    check("null", Value::Null);
    check(" true ", true.into());
    check("-0", 0.into());
    check("9223372036854775807", i64::MAX.into());
    check("-9223372036854775808", i64::MIN.into());
    check("1.0", 1.0.into());
    check("1e2", 100.0.into());
    check("-1.5E-3", (-0.0015).into());
    check("1e400", f64::INFINITY.into());
    check("[]", Value::List(vec![]));
    check("{}", Value::Map(Map::new()));
    check("[1, [2, \"\"]]", vec![1.into(), vec![2.into(), "".into()].into()].into());
    check(r#"{"b": 1, "a": 2}"#, [("b", 1.into()), ("a", 2.into())].into());
}

#[test]
fn what_python_adds_is_read() {
    check("1180591620717411303424", Value::Big("1180591620717411303424".into()));
    check("-9223372036854775809", Value::Big("-9223372036854775809".into()));
    check("Infinity", f64::INFINITY.into());
    check("-Infinity", f64::NEG_INFINITY.into());
    assert!(matches!(Value::from_json(b"NaN"), Ok(Value::Float(number)) if number.is_nan()));
}

#[test]
fn the_last_of_equal_keys_wins() {
    check(r#"{"a": 1, "a": 2}"#, [("a", 2.into())].into());
}

#[test]
fn escapes_are_read() {
    check(r#""\u017e\n\t\"\\\/\b\f\r""#, "ž\n\t\"\\/\u{8}\u{c}\r".into());
    check(
        r#""a long start before \ud83d\ude00 and after""#,
        "a long start before 😀 and after".into(),
    );
    check("\"žluť\"", "žluť".into());
}

#[test]
fn tags_become_values() {
    let tagged =
        |kind: &str, value: &str| format!(r#"{{"__type__": "{kind}", "__value__": {value}}}"#);
    check(
        &tagged("datetime", "\"2030-01-02T03:04:05\""),
        Value::Tagged(Tag::Datetime, "2030-01-02T03:04:05".into()),
    );
    check(&tagged("date", "\"2030-01-02\""), Value::Tagged(Tag::Date, "2030-01-02".into()));
    check(&tagged("time", "\"03:04:05\""), Value::Tagged(Tag::Time, "03:04:05".into()));
    check(&tagged("decimal", "\"1.10\""), Value::Tagged(Tag::Decimal, "1.10".into()));
    check(
        &tagged("uuid", r#"{"hex": "0000000000000000000000000000000A"}"#),
        Value::Tagged(Tag::Uuid, "00000000-0000-0000-0000-00000000000a".into()),
    );
    check(&tagged("bytes", "\"abc\""), Value::Bytes(b"abc".to_vec()));
    check(&tagged("base64", "\"//4A\""), Value::Bytes(vec![255, 254, 0]));
}

#[test]
fn an_object_with_more_than_the_two_keys_is_no_tag() {
    check(
        r#"{"__type__": "x", "__value__": 1, "a": 2}"#,
        [("__type__", "x".into()), ("__value__", 1.into()), ("a", 2.into())].into(),
    );
    check(r#"{"__type__": "x"}"#, [("__type__", "x".into())].into());
}

#[test]
fn bad_tags_are_refused() {
    refuse(br#"{"__type__": "set", "__value__": [1]}"#, "unsupported type `set`");
    refuse(br#"{"__type__": 1, "__value__": [1]}"#, "`__type__` is not text");
    refuse(br#"{"__type__": "bytes", "__value__": 1}"#, "without its text");
    refuse(br#"{"__type__": "base64", "__value__": "?"}"#, "not base64");
    refuse(br#"{"__type__": "uuid", "__value__": {"hex": "12"}}"#, "32 hex digits");
}

#[test]
fn what_is_not_json_is_refused() {
    refuse(b"", "unexpected end");
    refuse(b"[1,]", "expected a value");
    refuse(b"[1 2]", "expected `,` or `]`");
    refuse(b"{\"a\" 1}", "expected `:`");
    refuse(b"{a: 1}", "double quotes");
    refuse(b"{\"a\": 1,}", "double quotes");
    refuse(b"1 2", "extra data");
    refuse(b"01", "extra data");
    refuse(b"1.", "expected a digit");
    refuse(b"-", "expected a digit");
    refuse(b"1e", "expected a digit");
    refuse(b"nul", "expected a value");
    refuse(b"\"a", "unterminated");
    refuse(b"\"a\\", "unterminated");
    refuse(b"\"a\nb\"", "control character");
    refuse(b"\"\\x\"", "unknown escape");
    refuse(b"\"\\u12g4\"", "bad `\\u` escape");
    refuse(b"\"\xff\"", "not UTF-8");
    refuse(b"\xef\xbb\xbf1", "expected a value");
    refuse("9".repeat(4301).as_bytes(), "4300 digits");
}

#[test]
fn lone_surrogates_are_refused() {
    for text in
        [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#""\ud800x""#, r#""\ud800\ud800""#]
    {
        refuse(text.as_bytes(), "lone surrogate");
    }
}

#[test]
fn depth_is_capped() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Value::from_json(nested(MAX_DEPTH).as_bytes()).is_ok());
    refuse(nested(MAX_DEPTH + 1).as_bytes(), "nested deeper");
    refuse("[".repeat(1_000_000).as_bytes(), "nested deeper");
}

#[test]
fn small_text_does_not_become_a_large_value() {
    let list = |length: usize| format!("[{}0]", "0,".repeat(length - 1));
    assert!(Value::from_json(list(MAX_WEIGHT - 4).as_bytes()).is_ok());
    refuse(list(MAX_WEIGHT - 3).as_bytes(), "more than");
    refuse(format!("[{}0]", "{\"\":0},".repeat(MAX_WEIGHT / 7)).as_bytes(), "more than");
}

#[test]
fn floats_are_written_as_python_does() {
    for (number, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.25e-7, "1.25e-07"),
        (5e-324, "5e-324"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(Value::Float(number).to_json(), text);
    }
}

#[test]
fn text_is_written_compact_and_in_utf_8() {
    let value: Value = [("ž", vec!["\"\\\n\u{1}\u{1f}/".into(), Value::Null].into())].into();
    assert_eq!(value.to_json(), "{\"ž\":[\"\\\"\\\\\\n\\u0001\\u001f/\",null]}");
}

#[test]
fn tags_are_written_as_kombu_does() {
    assert_eq!(
        Value::Bytes(b"abc".to_vec()).to_json(),
        r#"{"__type__":"bytes","__value__":"abc"}"#
    );
    assert_eq!(
        Value::Bytes(vec![255, 254, 0]).to_json(),
        r#"{"__type__":"base64","__value__":"//4A"}"#
    );
    let uuid = Value::Tagged(Tag::Uuid, "00000000-0000-0000-0000-00000000000a".into());
    assert_eq!(
        uuid.to_json(),
        r#"{"__type__":"uuid","__value__":{"hex":"0000000000000000000000000000000a"}}"#
    );
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i128>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |f| !f.is_nan())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        any::<String>().prop_map(|text| Value::Tagged(Tag::Decimal, text)),
        any::<String>().prop_map(|text| Value::Tagged(Tag::Datetime, text)),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

/// What serde_json made of the same text. Numbers as floats where it cannot keep them.
fn plain(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(small), _) => Value::Int(small),
            (None, Some(large)) => Value::from(large),
            _ => Value::Float(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => items.iter().map(plain).collect(),
        serde_json::Value::Object(map) => {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
    }
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same(value in values()) {
        prop_assert_eq!(same(&value), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = Value::from_json(&bytes);
    }

    #[test]
    fn nearly_json_is_read_or_refused(
        text in r#"([\[\]{},: \n"\\]|-?[1-9][0-9]{0,2}|0|true|null|NaN|\\u[0-9a-d]{4}|"[a-zž\\]*"|"__type__":|"__value__":|"bytes"|[0-9]e[+-]?[0-9]){0,24}"#
    ) {
        let ours = Value::from_json(text.as_bytes());
        // serde_json makes a float of `-0` and of long numbers, and rounds the latter its own way.
        prop_assume!(!text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 15));
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            if !text.contains("__type__") {
                prop_assert_eq!(ours, Ok(plain(&theirs)));
            }
        } else if let Ok(value) = ours {
            // What only we accept are Python's words and its endless numbers.
            prop_assert!(text.contains("NaN") || text.contains('e'), "{} gave {:?}", text, value);
        }
    }

    #[test]
    fn serde_json_reads_what_we_write(value in values()) {
        let text = value.to_json();
        prop_assume!(!text.contains("Infinity"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
