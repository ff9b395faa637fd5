//! YAML: what is read as PyYAML reads it, what is refused, what is written.

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use proptest::prelude::*;
use umbel_protocol::body::Serializer;
use umbel_value::{MAX_COPIES, MAX_DEPTH, Tag, Value};

fn read(text: &str) -> Result<Value, String> {
    Serializer::Yaml.read(text.as_bytes())
}

fn check(text: &str, expected: impl Into<Value>) {
    assert_eq!(read(text), Ok(expected.into()), "{text}");
}

fn refuse(text: &str, what: &str) {
    let error = read(text).expect_err(text);
    assert!(error.contains(what), "{error} does not say `{what}`");
}

fn datetime(text: &str) -> Value {
    Value::Tagged(Tag::Datetime, text.to_owned())
}

#[test]
fn words_are_what_yaml_1_1_says() {
    for text in ["", "~", "null", "NULL", "--- ", "# only a comment"] {
        check(text, Value::Null);
    }
    for text in ["yes", "True", "ON"] {
        check(text, true);
    }
    for text in ["no", "FALSE", "Off"] {
        check(text, false);
    }
    for text in ["y", "n", "tRUE", "nil", "="] {
        check(text, text);
    }
    check("'yes'", "yes");
    check("\"null\"", "null");
}

#[test]
fn numbers_are_what_yaml_1_1_says() {
    for (text, number) in [
        ("0", 0),
        ("-17", -17),
        ("+1_000", 1000),
        ("0b101", 5),
        ("017", 15),
        ("-0x1F", -31),
        ("190:20:30", 685_230),
    ] {
        check(text, i64::from(number));
    }
    check("18446744073709551616", Value::Big("18446744073709551616".into()));
    for (text, number) in [
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1_0.5e+2", -1050.0),
        ("1:30.5", 90.5),
        (".inf", f64::INFINITY),
        ("-.Inf", f64::NEG_INFINITY),
    ] {
        check(text, number);
    }
    for text in ["1e3", "1.5e3", "08", "0o17", "+.5", "1:60", "1,5", "1.2.3", "0x"] {
        check(text, text);
    }
    assert!(matches!(read(".nan"), Ok(Value::Float(number)) if number.is_nan()));
    refuse(&"9".repeat(5000), "too long");
}

#[test]
fn timestamps_are_dates_and_instants() {
    check("2030-01-02", Value::Tagged(Tag::Date, "2030-01-02".into()));
    for (text, expected) in [
        ("2030-01-02 03:04:05", "2030-01-02T03:04:05"),
        ("2030-1-2t3:04:05.5", "2030-01-02T03:04:05.500000"),
        ("2030-01-02 03:04:05.1234567 Z", "2030-01-02T03:04:05.123456+00:00"),
        ("2030-01-02T03:04:05-5", "2030-01-02T03:04:05-05:00"),
        ("2030-01-02   03:04:05 +01:30", "2030-01-02T03:04:05+01:30"),
    ] {
        check(text, datetime(expected));
    }
    for text in ["2030-1-2", "2030-01-02 03:04", "2030-01-02 3", "02:03:04x"] {
        check(text, text);
    }
    refuse("2030-02-30", "no such time");
    refuse("2030-01-02 25:00:00", "no such time");
}

#[test]
fn tags_of_plain_data_are_read() {
    check("!!str 5", "5");
    check("!!int '5'", 5);
    check("!!float 5", 5.0);
    check("!!bool 'on'", true);
    check("!!null x", Value::Null);
    check("!!binary |\n  //4A\n  AQ==\n", Value::Bytes(vec![255, 254, 0, 1]));
    check("!!timestamp '2030-01-02 03:04:05'", datetime("2030-01-02T03:04:05"));
    check("!!seq [!!map {a: 1}]", vec![[("a", 1.into())].into()]);
    refuse("!!int x", "a scalar that is no int");
    refuse("!!binary '*'", "base64");
}

#[test]
fn tags_that_build_objects_are_refused() {
    for tag in ["python/tuple", "python/object/apply:os.system", "python/name:os.system", "set"] {
        let what = format!("constructor for the tag 'tag:yaml.org,2002:{tag}'");
        for node in ["[a]", "{a: b}", "a"] {
            refuse(&format!("!!{tag} {node}"), &what);
        }
    }
    refuse("!mine x", "constructor for the tag '!mine'");
}

#[test]
fn keys_become_what_json_makes_of_them() {
    let expected: Value =
        [("1", 1.into()), ("true", 2.into()), ("null", 3.into()), ("1.5", 4.into())].into();
    check("{1: 1, yes: 2, ~: 3, 1.5: 4}", expected);
    refuse("? [a]\n: b", "a key that is list");
    refuse("<<: {a: 1}", "merge keys");
}

#[test]
fn broken_documents_are_refused() {
    for (text, what) in
        [("[1, 2", ""), ("a: b: c", ""), ("--- 1\n--- 2", "single document"), ("\"\\q\"", "")]
    {
        refuse(text, what);
    }
    assert!(Serializer::Yaml.read(b"\xff").unwrap_err().contains("UTF-8"));
}

#[test]
fn aliases_are_copies() {
    let item: Value = vec![1.into()].into();
    check("[&a [1], *a, *a]", vec![item.clone(), item.clone(), item]);
    refuse("&a [*a]", "recursive");
    refuse("[*a]", "");
}

#[test]
fn a_bomb_of_aliases_is_stopped() {
    let mut laughs = "- &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut texts = format!("- &a0 [{}]\n", "x".repeat(10_000));
    for level in 1..30 {
        let nine = vec![format!("*a{}", level - 1); 9].join(", ");
        let line = format!("- &a{level} [{nine}]\n");
        laughs.push_str(&line);
        texts.push_str(&line);
    }
    refuse(&laughs, "copied values");
    refuse(&texts, "copied values");
}

#[test]
fn copies_are_paid_for_before_they_are_made() {
    // A list weighs four, each of its items one; the anchor keeps a copy too.
    let list = format!("&a [{}]", ["1"; 1020].join(","));
    let copies = |count: usize| read(&format!("[{list}, {}]", vec!["*a"; count].join(",")));
    assert!(copies(MAX_COPIES / 1024 - 1).is_ok());
    assert_eq!(
        copies(MAX_COPIES / 1024).unwrap_err(),
        format!("more than {MAX_COPIES} copied values")
    );
    // What is no copy is bounded by the length of the text alone.
    assert!(read(&format!("[{}]", vec!["1"; MAX_COPIES + 1].join(","))).is_ok());
}

#[test]
fn a_text_that_would_take_long_is_refused() {
    refuse(&" ".repeat((8 << 20) + 1), "bytes of YAML");
    refuse(&format!("[{}]", "{a: 1},".repeat(100_000)), "more than 524288 values");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "- ".repeat(depth) + "x";
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    refuse(&nested(MAX_DEPTH + 1), "nested deeper");
    refuse(&"[".repeat(1 << 20), "limit exceeded");
    refuse(&"{? ".repeat(1 << 16), "limit exceeded");
    // Each line is shallow by itself.
    let line = |name: &str, within: &str| {
        format!("- &{name} {}{within}{}\n", "[".repeat(200), "]".repeat(200))
    };
    assert!(read(&(line("a", "") + &line("b", "*a"))).is_ok());
    refuse(&(line("a", "") + &line("b", "*a") + &line("c", "*b")), "nested deeper");
}

#[test]
fn what_would_be_too_much_to_read_is_not_written() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |value, _| vec![value].into());
    let deep = Serializer::Yaml.write(&nested(255)).unwrap();
    assert_eq!(Serializer::Yaml.read(&deep), Ok(nested(255)));
    assert!(Serializer::Yaml.write(&nested(256)).unwrap_err().0.contains("nested deeper"));
    let list = |items: usize| Value::List(vec![1.into(); items]);
    assert!(Serializer::Yaml.write(&list((512 << 10) - 5)).is_ok());
    let error = Serializer::Yaml.write(&list((512 << 10) - 4)).unwrap_err();
    assert_eq!(error.0, "more than 524288 values");
}

#[test]
fn a_document_is_written_so_that_nothing_is_mistaken() {
    let value: Value = [
        ("k", vec![Value::Null, true.into(), 5.into(), 1e17.into(), "yes".into()].into()),
        ("", Value::Bytes(vec![255])),
        ("t", datetime("2030-01-02T03:04:05+00:00")),
        ("s", "\"\\\n\u{85}\u{2028}ž".into()),
    ]
    .into();
    let written = Serializer::Yaml.write(&value).unwrap();
    assert_eq!(
        String::from_utf8(written).unwrap(),
        "{\"k\": [null, true, 5, 1.0e+17, \"yes\"], \"\": !!binary \"/w==\", \
         \"t\": !!timestamp \"2030-01-02T03:04:05+00:00\", \"s\": \"\\\"\\\\\\n\\x85\\u2028ž\"}"
    );
}

#[test]
fn a_long_key_is_marked_as_one() {
    let value = Value::Map([("k".repeat(3000), Value::Null)].into_iter().collect());
    let written = Serializer::Yaml.write(&value).unwrap();
    assert!(written.starts_with(b"{? \"kk"));
    assert_eq!(Serializer::Yaml.read(&written), Ok(value));
}

#[test]
fn what_pyyaml_cannot_write_is_an_error() {
    for value in [
        Value::Tagged(Tag::Decimal, "1.10".into()),
        Value::Tagged(Tag::Time, "03:04:05".into()),
        datetime("tomorrow"),
        datetime("2030-01-02"),
    ] {
        let error = Serializer::Yaml.write(&Value::List(vec![value])).unwrap_err();
        assert!(error.to_string().starts_with("cannot represent an object"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_document_or_refused(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn anything_like_yaml_is_a_document_or_refused(
        text in r#"([-:?,\[\]{}&*!|>'"%@` #~a-c0-9.+\\<=]|\n|\n  |- |: |--- |!!|&a |\*a|<<: ){0,40}"#,
    ) {
        let _ = read(&text);
    }

    #[test]
    fn any_text_survives(text in any::<String>()) {
        let value = Value::List(vec![Value::Text(text)]);
        let written = Serializer::Yaml.write(&value).unwrap();
        prop_assert_eq!(Serializer::Yaml.read(&written), Ok(value));
    }
}
