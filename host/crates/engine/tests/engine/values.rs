//! JSON to component values and back through a real component, and every refusal on the way.

use std::sync::Arc;

use crate::support::{ADD, ALLOCATOR, Bench, Recorder, call, echo, json, run, run_with};
use umbel_task::call::Call;
use umbel_task::outcome::{Kind, Outcome};
use umbel_value::{Tag, Value};

/// Named types that the tables below use.
const TYPES: &str = r#"
    (type $point' (record (field "to-the-right" s32) (field "up" (option f64))))
    (import "point" (type $point (eq $point')))
    (type $shape' (variant (case "dot") (case "round-one" u32) (case "poly" (list $point))))
    (import "shape" (type $shape (eq $shape')))
    (type $color' (enum "red" "dark-blue"))
    (import "color" (type $color (eq $color')))
    (type $perms' (flags "read" "write" "run-it"))
    (import "perms" (type $perms (eq $perms')))
"#;

/// Sends a list of one value through a component and back.
async fn goes_through(ty: &str, given: &str, expected: &str) {
    let bench = Bench::new();
    let task = bench.task(&echo(TYPES, &format!("(list {ty})")));
    let outcome = run(&task, &format!("[[{given}]]")).await.outcome;
    let Outcome::Done(given_back) = outcome else { panic!("{ty}: {given}: {outcome:?}") };
    // As text, because NaN is not equal to itself.
    assert_eq!(given_back.to_json(), json(&format!("[{expected}]")).to_json(), "{ty}: {given}");
}

async fn is_refused(ty: &str, given: &str, kind: &'static str, expected: &str) {
    let bench = Bench::new();
    let task = bench.task(&echo(TYPES, &format!("(list {ty})")));
    let outcome = run(&task, &format!("[[{given}]]")).await.outcome;
    let Outcome::Failed(failure) = outcome else { panic!("{ty}: {given}: {outcome:?}") };
    let message = format!("echo() argument 'x[0]{expected}");
    assert_eq!(failure.args, [Value::Text(message)], "{ty}: {given}");
    assert_eq!(failure.kind, Kind::Builtin(kind), "{ty}: {given}");
}

#[tokio::test]
async fn every_type_goes_through_unchanged() {
    for (ty, given) in [
        ("bool", "true"),
        ("s8", "-128"),
        ("u16", "65535"),
        ("s16", "-32768"),
        ("u32", "4294967295"),
        ("s32", "-2147483648"),
        ("s64", "-9223372036854775808"),
        ("u64", "18446744073709551615"),
        ("f32", "0.5"),
        ("f64", "1.7976931348623157e308"),
        ("char", "\"🌿\""),
        ("string", "\"ünïcode\\u0000\""),
        ("(list string)", "[\"a\", \"\"]"),
        ("(tuple u8 string)", "[1, \"one\"]"),
        ("(option u8)", "null"),
        ("(option u8)", "7"),
        ("(result u8 (error string))", "{\"ok\": 1}"),
        ("(result u8 (error string))", "{\"err\": \"no\"}"),
        ("(result)", "{\"ok\": null}"),
        ("$point", "{\"to_the_right\": -1, \"up\": 2.5}"),
        ("$shape", "\"dot\""),
        ("$shape", "{\"round-one\": 3}"),
        ("$shape", "{\"poly\": [{\"to_the_right\": 1, \"up\": null}]}"),
        ("$color", "\"dark-blue\""),
        ("$perms", "[\"read\", \"run-it\"]"),
        ("$perms", "[]"),
    ] {
        goes_through(ty, given, given).await;
    }
}

#[tokio::test]
async fn some_values_are_taken_in_more_than_one_spelling() {
    for (ty, given, expected) in [
        ("f64", "3", "3.0"),
        ("f64", "NaN", "NaN"),
        ("f32", "-Infinity", "-Infinity"),
        ("$point", "{\"to_the_right\": 1}", "{\"to_the_right\": 1, \"up\": null}"),
        ("$color", "\"dark_blue\"", "\"dark-blue\""),
        ("$shape", "{\"dot\": null}", "\"dot\""),
        ("(list u8)", "\"hé\"", r#"{"__type__": "base64", "__value__": "aMOp"}"#),
        ("(list u8)", "[0, 255]", r#"{"__type__": "base64", "__value__": "AP8="}"#),
        (
            "string",
            r#"{"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000001"}}"#,
            "\"00000000-0000-0000-0000-000000000001\"",
        ),
    ] {
        goes_through(ty, given, expected).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_says_where() {
    let (t, v, o) = ("TypeError", "ValueError", "OverflowError");
    for (ty, given, kind, expected) in [
        ("s64", "\"2\"", t, "': expected int, got str"),
        ("s8", "1.0", t, "': expected int, got float"),
        ("s8", "true", t, "': expected int, got bool"),
        ("s8", "null", t, "': expected int, got None"),
        ("s8", "128", o, "': Python int too large to convert to s8"),
        ("u32", "-1", o, "': Python int too small to convert to u32"),
        ("s64", "1180591620717411303424", o, "': Python int too large to convert to s64"),
        ("f64", "true", t, "': expected float, got bool"),
        ("f64", "\"1\"", t, "': expected float, got str"),
        ("f32", "1e39", o, "': float too large to convert to f32"),
        ("bool", "1", t, "': expected bool, got int"),
        ("char", "\"ab\"", v, "': expected one character, got a str of length 2"),
        ("char", "\"\"", v, "': expected one character, got a str of length 0"),
        ("string", "1", t, "': expected str, got int"),
        ("(list string)", "[\"a\", 1]", t, "[1]': expected str, got int"),
        ("(list u8)", "[1, 256]", v, "[1]': bytes must be in range(0, 256)"),
        ("(list u8)", "{}", t, "': expected bytes, got dict"),
        ("(tuple u8 string)", "[1]", v, "': expected 2 items, got 1"),
        ("$point", "{\"up\": 1}", v, "': missing key 'to_the_right'"),
        ("$point", "{\"to_the_right\": 1, \"in\": 2}", v, "': unexpected key 'in'"),
        ("$point", "{\"to_the_right\": \"1\"}", t, ".to_the_right': expected int, got str"),
        ("$shape", "\"square\"", v, "': 'square' is not one of 'dot', 'round-one', 'poly'"),
        ("$shape", "\"round-one\"", v, "': case 'round-one' needs a value"),
        ("$shape", "{\"dot\": 1}", v, "': case 'dot' takes no value"),
        (
            "$shape",
            "{\"poly\": [{\"to_the_right\": 0.5}]}",
            t,
            ".poly[0].to_the_right': expected int, got float",
        ),
        ("$color", "\"green\"", v, "': 'green' is not one of 'red', 'dark-blue'"),
        ("$perms", "[\"read\", \"fly\"]", v, "[1]': 'fly' is not one of 'read', 'write', 'run-it'"),
        ("$perms", "\"read\"", t, "': expected list, got str"),
        (
            "(result u8 (error string))",
            "{\"ok\": 1, \"err\": \"\"}",
            v,
            "': expected one key, 'ok' or 'err'",
        ),
        ("(result u8 (error string))", "{\"err\": 1}", t, ".err': expected str, got int"),
    ] {
        is_refused(ty, given, kind, expected).await;
    }
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_refused_in_pythons_words() {
    let bench = Bench::new();
    let add = bench.task(ADD);
    let none = bench.task(&crate::support::body("", ""));
    for (task, args, kwargs, expected) in [
        (&add, "[1]", "{}", "add() missing 1 required positional argument: 'y'"),
        (&add, "[]", "{}", "add() missing 2 required positional arguments: 'x' and 'y'"),
        (&add, "[1, 2, 3]", "{}", "add() takes 2 positional arguments but 3 were given"),
        (&add, "[1]", r#"{"z": 2}"#, "add() got an unexpected keyword argument 'z'"),
        (&add, "[1, 2]", r#"{"x": 2}"#, "add() got multiple values for argument 'x'"),
        (&add, "[1, 2, 3]", r#"{"z": 2}"#, "add() got an unexpected keyword argument 'z'"),
        (&none, "[1]", "{}", "task() takes 0 positional arguments but 1 was given"),
    ] {
        let Value::Map(kwargs) = json(kwargs) else { panic!() };
        let call = Call { kwargs, ..call(args) };
        let ended = run_with(task, call, Arc::new(Recorder::default())).await;
        let Outcome::Failed(failure) = ended.outcome else { panic!("{args}") };
        assert_eq!(failure.kind, Kind::Builtin("TypeError"));
        assert_eq!(failure.args, [Value::Text(expected.to_owned())]);
        assert!(ended.cost.wall.is_zero(), "the guest started");
    }
    let Value::Map(kwargs) = json(r#"{"y": 2, "x": 1}"#) else { panic!() };
    let ended = run_with(&add, Call { kwargs, ..call("[]") }, Arc::new(Recorder::default())).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(3)));
}

/// `umbel:task/types.json` imported as `$json`.
const JSON: &str = r#"
    (import "umbel:task/types@0.1.0" (instance $types
        (type $text string) (export "json" (type (eq $text)))))
    (alias export $types "json" (type $json))
"#;

#[tokio::test]
async fn a_json_parameter_takes_and_gives_anything() {
    let bench = Bench::new();
    let plugin = bench.load(&echo(JSON, "$json"));
    let task = &plugin.tasks[0];
    assert_eq!(task.signature().to_string(), "test.echo(x: Any) -> Any");
    assert_eq!(task.signature().params[0].wit, "json");
    assert_eq!(plugin.imports, ["umbel:task/types@0.1.0"]);
    for value in [
        "null",
        "\"text\"",
        "1180591620717411303424",
        "[NaN, {\"a\": [1, 2.5, \"ü\"]}]",
        r#"{"__type__": "datetime", "__value__": "2026-01-02T03:04:05"}"#,
    ] {
        let Outcome::Done(given) = run(task, &format!("[{value}]")).await.outcome else {
            panic!("{value}")
        };
        assert_eq!(given.to_json(), json(value).to_json());
    }
    let dated = run(task, r#"[{"__type__": "date", "__value__": "2026-01-02"}]"#).await.outcome;
    assert_eq!(dated, Outcome::Done(Value::Tagged(Tag::Date, "2026-01-02".to_owned())));
}

#[tokio::test]
async fn text_that_is_no_json_is_a_failure_of_the_task() {
    let bench = Bench::new();
    let text = format!(
        r#"(component {JSON} {ALLOCATOR}
            (func (export "lie") (param "x" string) (result $json)
                (canon lift (core func $i "echo") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc")))))"#
    );
    let task = bench.task(&text);
    let deep = format!("[\"{}\"]", "[".repeat(100_000));
    for lie in ["[\"{nonsense\"]", "[\"\"]", "[\"1 2\"]", &deep] {
        let Outcome::Failed(failure) = run(&task, lie).await.outcome else { panic!() };
        assert_eq!(failure.kind, Kind::Own("TaskError"));
        let [Value::Text(message)] = &failure.args[..] else { panic!() };
        assert!(message.starts_with("the task's result is not JSON: "), "{message}");
    }
}

#[tokio::test]
async fn args_and_kwargs_take_what_is_left() {
    let bench = Bench::new();
    // Gives back the list `args`; the other parameters are only bound.
    let text = format!(
        r#"(component {JSON}
            (core module $m
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 1024))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $next (i32.add (global.get $next) (i32.const 512)))
                    (global.get $next))
                (func (export "f") (param i64 i32 i32 i32 i32) (result i32)
                    (i32.store (i32.const 16) (local.get 1))
                    (i32.store (i32.const 20) (local.get 2))
                    (i32.store (i32.const 24) (local.get 3))
                    (i32.store (i32.const 28) (local.get 4))
                    (i32.const 16)))
            (core instance $i (instantiate $m))
            (func (export "f")
                (param "first" s64) (param "args" (list $json)) (param "kwargs" $json)
                (result (tuple (list $json) $json))
                (canon lift (core func $i "f") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc")))))"#
    );
    let task = bench.task(&text);
    assert_eq!(
        task.signature().to_string(),
        "test.f(first: int, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]"
    );
    let Value::Map(kwargs) = json(r#"{"a": 1, "b": [null]}"#) else { panic!() };
    let call = Call { kwargs, ..call(r#"[1, "two", {"three": 3}]"#) };
    let outcome = run_with(&task, call, Arc::new(Recorder::default())).await.outcome;
    assert_eq!(outcome, Outcome::Done(json(r#"[["two", {"three": 3}], {"a": 1, "b": [null]}]"#)));
    let outcome = run(&task, "[1]").await.outcome;
    assert_eq!(outcome, Outcome::Done(json("[[], {}]")));
    let Outcome::Failed(failure) = run(&task, "[]").await.outcome else { panic!() };
    let expected = "f() missing 1 required positional argument: 'first'";
    assert_eq!(failure.args, [Value::Text(expected.to_owned())]);
}

#[tokio::test]
async fn five_megabytes_go_in_and_out() {
    let bench = Bench::new();
    let task = bench.limited(&echo("", "(list u8)"), |s| {
        s.memory = 64 << 20;
        s.output = 8 << 20;
    });
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let call = Call { args: vec![Value::Bytes(bytes.clone())], ..call("[]") };
    let ended = run_with(&task, call, Arc::new(Recorder::default())).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Bytes(bytes)));
    assert!(ended.cost.output > 5_000_000);
}

#[tokio::test]
async fn an_async_function_is_a_task_as_well() {
    let bench = Bench::new();
    let task = bench.task(
        r#"(component
            (core module $m
                (import "" "task.return" (func $return (param i64)))
                (func (export "add") (param i64 i64) (result i32)
                    (call $return (i64.add (local.get 0) (local.get 1)))
                    (i32.const 0))
                (func (export "resume") (param i32 i32 i32) (result i32) unreachable))
            (core func $return (canon task.return (result s64)))
            (core instance $i (instantiate $m (with "" (instance
                (export "task.return" (func $return))))))
            (func (export "add") async (param "x" s64) (param "y" s64) (result s64)
                (canon lift (core func $i "add") async (callback (core func $i "resume")))))"#,
    );
    assert_eq!(run(&task, "[2, 3]").await.outcome, Outcome::Done(Value::Int(5)));
}
