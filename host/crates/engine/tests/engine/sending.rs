//! What a run sends, what it is told when that is refused, and that it cannot send without end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{ALLOCATOR, Bench, call, json, refusal, run_with};
use umbel_engine::{Plugin, PluginSource};
use umbel_task::outcome::{Failure, Outcome};
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{LogLine, Outbox, OutboxError, Submission};
use umbel_value::Value;

#[tokio::test]
async fn a_task_is_submitted_with_all_that_was_said_of_it() {
    let (outcome, post) = send("submit", r#"["other.task", "[1, [2]]", ""]"#, None).await;
    assert_eq!(outcome, Outcome::Done(Value::Text("id-1".to_owned())));
    let Value::List(args) = json("[1, [2]]") else { panic!() };
    let plain = Submission { name: "other.task".to_owned(), args, ..Submission::default() };
    assert_eq!(post.submissions(), [plain]);

    let (_, post) = send("submit-slowly", r#"["other.task", "", "{\"k\": null}"]"#, None).await;
    let map = |text| if let Value::Map(map) = json(text) { map } else { panic!("{text}") };
    let slow = Submission {
        name: "other.task".to_owned(),
        args: vec![],
        kwargs: map(r#"{"k": null}"#),
        queue: Some("slow".to_owned()),
        countdown: Some(Duration::from_millis(1500)),
        expires: Some(Duration::from_secs(60)),
        priority: Some(7),
        time_limit: Some(Duration::from_secs(9)),
        soft_time_limit: Some(Duration::from_secs(8)),
        ignore_result: Some(true),
        headers: map(r#"{"tenant": "blue"}"#),
    };
    assert_eq!(post.submissions(), [slow]);
}

#[tokio::test]
async fn a_canvas_goes_out_as_it_was_given() {
    let signature = r#"{"task": "a.b", "args": [1]}"#;
    let quoted = Value::Text(signature.to_owned()).to_json();
    let tuple = json(r#""[[\"id\",null],null]""#);
    for (function, args, expected, given) in [
        ("apply", format!("[{quoted}, \"[7]\"]"), "apply [7]", tuple.clone()),
        ("apply", format!("[{quoted}, \"\"]"), "apply []", tuple.clone()),
        ("replace", format!("[{quoted}]"), "replace", Value::Null),
        ("add-to-chord", format!("[{quoted}]"), "add", tuple),
    ] {
        let (outcome, post) = send(function, &args, None).await;
        assert_eq!(outcome, Outcome::Done(given), "{function}");
        assert_eq!(post.canvases(), [(expected.to_owned(), json(signature))]);
    }
}

#[tokio::test]
async fn what_the_outbox_refuses_the_guest_is_told() {
    let signature = r#""{\"task\": \"evil\"}""#;
    let calls = [
        ("submit", r#"["evil", "[]", "{}"]"#.to_owned()),
        ("apply", format!("[{signature}, \"\"]")),
        ("replace", format!("[{signature}]")),
        ("add-to-chord", format!("[{signature}]")),
    ];
    for (function, args) in calls {
        for (case, error) in [
            ("denied", OutboxError::Denied("evil".to_owned())),
            ("too-many", OutboxError::TooMany(3)),
            ("too-deep", OutboxError::TooDeep(2)),
            ("invalid", OutboxError::Invalid("no such thing".to_owned())),
        ] {
            let what = error.to_string();
            let (outcome, _) = send(function, &args, Some(error)).await;
            assert_eq!(told(&outcome), (case.to_owned(), what), "{function}");
        }
    }
}

#[tokio::test]
async fn what_makes_no_sense_never_reaches_the_outbox() {
    for (function, args, expected) in [
        ("submit", r#"["", "[]", "{}"]"#, "a task needs a name"),
        ("submit", r#"["x", "[1", "{}"]"#, "the arguments: no JSON"),
        ("submit", r#"["x", "{}", "{}"]"#, "the arguments: expected a JSON array"),
        ("submit", r#"["x", "[]", "[]"]"#, "the keyword arguments: expected a JSON object"),
        ("apply", r#"["{}", "7"]"#, "the arguments: expected a JSON array"),
        ("apply", r#"["", ""]"#, "the signature: no JSON"),
        ("apply", r#"["[{}]", ""]"#, "the signature: expected a JSON object"),
        ("replace", r#"["\"a.b\""]"#, "the signature: expected a JSON object"),
        ("add-to-chord", r#"["null"]"#, "the signature: expected a JSON object"),
    ] {
        let (outcome, post) = send(function, args, None).await;
        let (case, what) = told(&outcome);
        assert_eq!(case, "invalid", "{function} {args}");
        assert!(what.contains(expected), "{function} {args}: {what}");
        assert!(post.submissions().is_empty() && post.canvases().is_empty());
    }
}

#[tokio::test]
async fn all_that_one_run_sends_is_bounded() {
    let long = Value::Text(Value::List(vec![Value::Text("x".repeat(990))]).to_json()).to_json();
    let (outcome, post) = send("flood", &format!("[\"x\", {long}, \"\"]"), None).await;
    let (case, what) = told(&outcome);
    assert_eq!(case, "too-many");
    assert_eq!(what, "all that one run sends has at most 100000 bytes; this is more");
    assert_eq!(post.submissions().len(), 100, "of 995 bytes each");

    let huge = Value::Text("[".repeat(200_000)).to_json();
    let (outcome, _) = send("apply", &format!("[{huge}, \"\"]"), None).await;
    assert_eq!(told(&outcome).0, "too-many", "before anybody looks at it");
}

#[test]
fn sending_must_be_granted() {
    let bench = Bench::new();
    let mut source = bench.source(&sender());
    let error = refusal(bench.engine.load(&source));
    let help = r#"help: to allow it, write [plugins.test] allow = { submit = ["NAME"] }"#;
    assert!(error.contains("not granted: `umbel:task/tasks@0.1.0`"), "{error}");
    assert!(error.ends_with(help), "{error}");
    source.name = Some("a.b".to_owned());
    let error = refusal(bench.engine.load(&source));
    assert!(error.contains(r#"[plugins."a.b"]"#), "{error}");
    // A grant for one task is enough: each run is held to its own.
    source.tasks = vec![("submit".to_owned(), granting())];
    assert_eq!(names(&bench.engine.load(&source).unwrap()).len(), 6);
}

fn names(plugin: &Plugin) -> Vec<String> {
    plugin.tasks.iter().map(|task| task.signature().function.clone()).collect()
}

fn granting() -> TaskPolicy {
    let mut policy = TaskPolicy::default();
    policy.handling.submit.names = vec!["*".to_owned()];
    policy.sandbox.output = 100_000;
    policy
}

/// Runs one function of a plugin that may send; the outbox takes everything, or nothing.
async fn send(function: &str, args: &str, refusal: Option<OutboxError>) -> (Outcome, Arc<Post>) {
    let bench = Bench::new();
    let source = PluginSource { policy: granting(), ..bench.source(&sender()) };
    let plugin = bench.engine.load(&source).unwrap_or_else(|e| panic!("it loads: {e}"));
    let task = plugin.tasks.iter().find(|task| task.signature().function == function);
    let post = Arc::new(Post { refusal: Mutex::new(refusal), ..Post::default() });
    let task = task.expect("there is such a function");
    (run_with(task, call(args), post.clone()).await.outcome, post)
}

/// The case of `submit-error` that a guest got and passed on, and its text.
fn told(outcome: &Outcome) -> (String, String) {
    let Outcome::Failed(Failure { args, .. }) = outcome else { panic!("{outcome:?}") };
    let [Value::Map(error)] = &args[..] else { panic!("{args:?}") };
    let (case, what) = error.first().expect("one case");
    (case.clone(), what.as_str().expect("a text").to_owned())
}

/// Remembers what is sent, or refuses once.
#[derive(Default)]
struct Post {
    submitted: Mutex<Vec<Submission>>,
    applied: Mutex<Vec<(String, Value)>>,
    refusal: Mutex<Option<OutboxError>>,
}

impl Post {
    fn submissions(&self) -> Vec<Submission> {
        self.submitted.lock().unwrap().clone()
    }

    fn canvases(&self) -> Vec<(String, Value)> {
        self.applied.lock().unwrap().clone()
    }

    fn take(&self, how: String, signature: Value) -> Result<Value, OutboxError> {
        self.refusal.lock().unwrap().take().map_or(Ok(()), Err)?;
        self.applied.lock().unwrap().push((how, signature));
        Ok(json(r#"[["id", null], null]"#))
    }
}

impl Outbox for Post {
    fn progress(&self, _: String, _: Value) -> Result<(), OutboxError> {
        Ok(())
    }

    fn log(&self, _: LogLine) {}

    fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        self.refusal.lock().unwrap().take().map_or(Ok(()), Err)?;
        let mut submitted = self.submitted.lock().unwrap();
        submitted.push(task);
        Ok(format!("id-{}", submitted.len()))
    }

    fn apply(&self, signature: Value, args: Vec<Value>) -> Result<Value, OutboxError> {
        self.take(format!("apply {}", Value::List(args).to_json()), signature)
    }

    fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        self.take("replace".to_owned(), signature).map(drop)
    }

    fn add_to_chord(&self, signature: Value) -> Result<Value, OutboxError> {
        self.take("add".to_owned(), signature)
    }
}

/// A component with a function for each one of `umbel:task/tasks` that passes on what it is given
/// and what it gets, one that submits with every option, and one that submits until it is refused.
fn sender() -> String {
    let texts = |names: &[&str]| -> String {
        names.iter().map(|name| format!("(param \"{name}\" string)")).collect()
    };
    let task = texts(&["name", "args", "kwargs"]);
    let canvas = texts(&["signature", "args"]);
    let one = texts(&["signature"]);
    let lower = |name: &str| {
        format!(
            r#"(core func ${name} (canon lower (func $tasks "{name}")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))"#
        )
    };
    let lowered: String =
        ["submit", "apply", "replace", "add-to-chord"].into_iter().map(lower).collect();
    let lift = |name: &str, params: &str, ok: &str| {
        format!(
            r#"(func (export "{name}") {params} (result (result {ok} (error $error)))
                (canon lift (core func $n "{name}") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc"))))"#
        )
    };
    let lifted = [
        lift("submit", &task, "string"),
        lift("submit-slowly", &task, "string"),
        lift("flood", &task, "string"),
        lift("apply", &canvas, "string"),
        lift("replace", &one, ""),
        lift("add-to-chord", &one, "string"),
    ]
    .concat();
    format!(
        r#"(component {ALLOCATOR}
            (import "umbel:task/tasks@0.1.0" (instance $tasks
                (type $options' (record
                    (field "queue" (option string))
                    (field "countdown-ms" (option u64))
                    (field "expires-ms" (option u64))
                    (field "priority" (option u8))
                    (field "time-limit-ms" (option u64))
                    (field "soft-time-limit-ms" (option u64))
                    (field "ignore-result" (option bool))
                    (field "headers" (option string))))
                (export "options" (type $options (eq $options')))
                (type $error' (variant (case "denied" string) (case "too-many" string)
                    (case "too-deep" string) (case "invalid" string)))
                (export "submit-error" (type $error (eq $error')))
                (export "submit" (func {task} (param "options" $options)
                    (result (result string (error $error)))))
                (export "apply" (func {canvas} (result (result string (error $error)))))
                (export "replace" (func {one} (result (result (error $error)))))
                (export "add-to-chord" (func {one} (result (result string (error $error)))))))
            (alias export $tasks "submit-error" (type $error))
            {lowered}
            {PASS_ON}
            (core instance $n (instantiate $n (with "h" (instance
                (export "memory" (memory $i "memory"))
                (export "submit" (func $submit)) (export "apply" (func $apply))
                (export "replace" (func $replace)) (export "add" (func $add-to-chord))))))
            {lifted})"#
    )
}

/// Three texts and the options are too many for registers: they lie at 256, the options at 280. The
/// answers are given at 512 in the very form in which they go out again.
const PASS_ON: &str = r#"
    (core module $n
        (import "h" "memory" (memory 1))
        (import "h" "submit" (func $submit (param i32 i32)))
        (import "h" "apply" (func $apply (param i32 i32 i32 i32 i32)))
        (import "h" "replace" (func $replace (param i32 i32 i32)))
        (import "h" "add" (func $add (param i32 i32 i32)))
        (data (i32.const 600) "slow")
        (data (i32.const 620) "{\"tenant\": \"blue\"}")
        (func $texts (param i32 i32 i32 i32 i32 i32)
            (i32.store (i32.const 256) (local.get 0)) (i32.store (i32.const 260) (local.get 1))
            (i32.store (i32.const 264) (local.get 2)) (i32.store (i32.const 268) (local.get 3))
            (i32.store (i32.const 272) (local.get 4)) (i32.store (i32.const 276) (local.get 5)))
        (func $send (result i32)
            (call $submit (i32.const 256) (i32.const 512))
            (i32.const 512))
        (func (export "submit") (param i32 i32 i32 i32 i32 i32) (result i32)
            (call $texts (local.get 0) (local.get 1) (local.get 2)
                (local.get 3) (local.get 4) (local.get 5))
            (call $send))
        (func (export "flood") (param i32 i32 i32 i32 i32 i32) (result i32)
            (call $texts (local.get 0) (local.get 1) (local.get 2)
                (local.get 3) (local.get 4) (local.get 5))
            (loop $more (br_if $more (i32.eqz (i32.load8_u (call $send)))))
            (i32.const 512))
        (func (export "submit-slowly") (param i32 i32 i32 i32 i32 i32) (result i32)
            (call $texts (local.get 0) (local.get 1) (local.get 2)
                (local.get 3) (local.get 4) (local.get 5))
            (i32.store8 (i32.const 280) (i32.const 1))
            (i32.store (i32.const 284) (i32.const 600)) (i32.store (i32.const 288) (i32.const 4))
            (i32.store8 (i32.const 296) (i32.const 1))
            (i64.store (i32.const 304) (i64.const 1500))
            (i32.store8 (i32.const 312) (i32.const 1))
            (i64.store (i32.const 320) (i64.const 60000))
            (i32.store8 (i32.const 328) (i32.const 1)) (i32.store8 (i32.const 329) (i32.const 7))
            (i32.store8 (i32.const 336) (i32.const 1))
            (i64.store (i32.const 344) (i64.const 9000))
            (i32.store8 (i32.const 352) (i32.const 1))
            (i64.store (i32.const 360) (i64.const 8000))
            (i32.store8 (i32.const 368) (i32.const 1)) (i32.store8 (i32.const 369) (i32.const 1))
            (i32.store8 (i32.const 372) (i32.const 1))
            (i32.store (i32.const 376) (i32.const 620)) (i32.store (i32.const 380) (i32.const 18))
            (call $send))
        (func (export "apply") (param i32 i32 i32 i32) (result i32)
            (call $apply (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 512))
            (i32.const 512))
        (func (export "replace") (param i32 i32) (result i32)
            (call $replace (local.get 0) (local.get 1) (i32.const 512))
            (i32.const 512))
        (func (export "add-to-chord") (param i32 i32) (result i32)
            (call $add (local.get 0) (local.get 1) (i32.const 512))
            (i32.const 512)))"#;
