//! Values are shown as Celery shows them (recorded in `pure-saferepr`).

#![allow(clippy::unwrap_used)] // a test that panics has told what it is for

use umbel_protocol::record::Exception;
use umbel_protocol::repr;
use umbel_value::{Map, Tag, Value};

/// The recording's cases in its order. Tuples that JSON would turn into lists are left to `args`.
fn cases() -> Vec<Shown> {
    let nested = |text: &str| Shown::Value(Value::from_json(text.as_bytes()).unwrap());
    let long: Map = [("k".repeat(600), "v".repeat(600).into()), ("a".to_owned(), 1.into())]
        .into_iter()
        .collect();
    vec![
        Shown::Args(vec![]),
        Shown::Args(vec![1.into()]),
        Shown::Args(vec![1.into(), 2.into()]),
        nested(r#"[1, "a"]"#),
        nested(r#"{"k": 1}"#),
        nested("{}"),
        nested("null"),
        nested("true"),
        nested("1.5"),
        nested("1e100"),
        nested(r#""it's""#),
        nested(r#""a\"b""#),
        nested(r#""žluť""#),
        nested(r#""new\nline""#),
        Shown::Value("x".repeat(30).into()),
        Shown::Value(Value::Bytes(b"abc".to_vec())),
        Shown::Value(Value::Bytes(vec![0xff, 0])),
        nested(r#"{"a": {"b": {"c": {"d": 1}}}}"#),
        nested("[[[[[1]]]]]"),
        Shown::Args(vec!["a".repeat(2000).into()]),
        Shown::Value((0..500).map(Value::from).collect()),
        Shown::Value(long.into()),
        nested("NaN"),
        nested("1180591620717411303424"),
        nested("-3"),
        nested(r#""""#),
        nested("[null, false]"),
        Shown::Args(vec![Value::from_json(br#"{"a": [1, [2, {"b": 3}]]}"#).unwrap()]),
    ]
}

enum Shown {
    Value(Value),
    Args(Vec<Value>),
}

#[test]
fn values_are_shown_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/pure-saferepr.json");
    let recording = Value::from_json(&std::fs::read(path).unwrap()).unwrap();
    let recorded = recording.get("cases").and_then(Value::as_list).unwrap();
    assert_eq!(recorded.len(), cases().len());
    for (case, shown) in recorded.iter().zip(cases()) {
        // The one tuple inside another value.
        let expected =
            case.get("saferepr").and_then(Value::as_str).unwrap().replace("(...)", "[...]");
        let ours = match shown {
            Shown::Value(value) => repr::repr(&value),
            Shown::Args(args) => repr::args(&args),
        };
        assert_eq!(ours, expected, "{:?}", case.get("python"));
    }
}

#[test]
fn tags_are_shown_as_python_shows_them() {
    for (tag, text, shown) in [
        (Tag::Decimal, "1.10", "Decimal('1.10')"),
        (
            Tag::Uuid,
            "00000000-0000-0000-0000-000000000005",
            "UUID('00000000-0000-0000-0000-000000000005')",
        ),
        (Tag::Date, "2030-01-02", "datetime.date(2030, 1, 2)"),
        (Tag::Datetime, "2030-01-02T03:04:05", "datetime.datetime(2030, 1, 2, 3, 4, 5)"),
        (Tag::Datetime, "2030-01-02T03:04:00", "datetime.datetime(2030, 1, 2, 3, 4)"),
        (
            Tag::Datetime,
            "2030-01-02T03:04:05.678901+00:00",
            "datetime.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)",
        ),
        (
            Tag::Datetime,
            "2030-01-02T03:04:05-02:00",
            "datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=79200)))",
        ),
        (Tag::Time, "03:04:05.678901", "datetime.time(3, 4, 5, 678901)"),
        (Tag::Time, "noon", "datetime.time('noon')"),
    ] {
        assert_eq!(repr::repr(&Value::Tagged(tag, text.to_owned())), shown);
    }
}

#[test]
fn what_is_cut_is_closed() {
    let list: Value = vec!["a".repeat(1100).into(), vec![Value::from(1)].into()].into();
    let shown = repr::repr(&vec![list].into());
    assert!(shown.starts_with("[['aaa") && shown.ends_with("aaa...', ...]]"), "{shown}");
}

#[test]
fn long_text_is_cut_between_words() {
    let shown = repr::repr(&"word ".repeat(300).into());
    assert!(shown.ends_with(" word...'"), "{shown}");
    assert!(shown.len() < 1030);
}

#[test]
fn exceptions_are_shown_as_python_shows_them() {
    for (args, shown) in [
        (vec![], "ValueError()"),
        (vec!["bad thing".into(), 42.into()], "ValueError('bad thing', 42)"),
        (vec!["it's".into()], "ValueError(\"it's\")"),
        (vec!["both ' and \"\n\u{1}".into()], "ValueError('both \\' and \"\\n\\x01')"),
    ] {
        let exception = Exception { kind: "ValueError".to_owned(), args, module: None };
        assert_eq!(exception.to_string(), shown);
    }
}
