//! What becomes a plugin, what is refused and how, and what the cache does.

use std::os::unix::fs::PermissionsExt;

use crate::support::{ADD, ALLOCATOR, Bench, body, echo, refusal, run};
use umbel_engine::{Catalog, Engine, EngineConfig, PluginSource};
use umbel_task::outcome::Outcome;
use umbel_task::policy::TaskPolicy;
use umbel_task::runner::{Runner, Task};
use umbel_value::Value;

#[test]
fn an_exported_function_is_a_task_named_after_file_and_function() {
    let bench = Bench::new();
    let plugin = bench.load(ADD);
    let task = &plugin.tasks[0];
    assert_eq!(task.signature().to_string(), "test.add(x: int, y: int) -> int");
    assert_eq!(task.signature().params[0].wit, "s64");
    assert_eq!(plugin.version.plugin.as_ref(), "test");
    assert_eq!(plugin.version.digest.len(), 64);
    assert!(!plugin.from_cache && plugin.skipped.is_empty() && plugin.imports.is_empty());
}

#[test]
fn names_are_the_operators_to_choose() {
    let bench = Bench::new();
    let names = |change: &dyn Fn(&mut PluginSource)| {
        let mut source = bench.source(ADD);
        change(&mut source);
        bench.engine.load(&source).map(|p| p.tasks[0].signature().name.to_string())
    };
    assert_eq!(names(&|s| s.name = Some("math".into())).unwrap(), "math.add");
    assert_eq!(names(&|s| s.prefix = Some("proj.tasks".into())).unwrap(), "proj.tasks.add");
    let legacy = |function: &'static str| {
        move |s: &mut PluginSource| s.names = vec![("legacy.sum".into(), function.into())]
    };
    for function in ["add", "tasks.add", "test:math/tasks.add", "test:math/tasks@0.1.0.add"] {
        assert_eq!(names(&legacy(function)).unwrap(), "legacy.sum");
    }
    let error = names(&legacy("sub")).unwrap_err().to_string();
    assert!(error.contains("has no function `sub`\nhelp: it has `add`"), "{error}");
}

#[test]
fn a_task_may_have_a_policy_of_its_own() {
    let bench = Bench::new();
    let mut source = bench.source(ADD);
    let mut own = TaskPolicy::default();
    own.sandbox.output = 7;
    source.tasks = vec![("add".to_owned(), own.clone())];
    let plugin = bench.engine.load(&source).unwrap();
    assert_eq!(plugin.tasks[0].policy(), &own);
}

#[test]
fn what_is_no_component_is_refused_with_a_way_out() {
    let bench = Bench::new();
    let module = wat::parse_str("(module)").unwrap();
    let truncated = &wat::parse_str(ADD).unwrap()[..60];
    let cases: [(&[u8], &str); 6] = [
        (&module, "is a core WebAssembly module, not a component: it does not say what types"),
        (b"\x7fELF\x02", "is compiled code, not a component\nhelp: "),
        (b"(component)", "is the text of a component, not its binary\nhelp: "),
        (b"import celery", "is not a WebAssembly component\nhelp: "),
        (b"", "is empty\nhelp: "),
        (truncated, "cannot be compiled: "),
    ];
    for (content, expected) in cases {
        let source = PluginSource::file(bench.file("bad.wasm", content));
        let error = refusal(bench.engine.load(&source));
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert!(error.contains("bad.wasm"), "{error}");
    }
    let missing = PluginSource::file(bench.folder.path().join("nope.wasm"));
    assert!(refusal(bench.engine.load(&missing)).contains("cannot be read"));
}

#[test]
fn every_import_that_is_not_offered_is_named_at_once() {
    let error = Bench::new().refusal(
        r#"(component
            (import "wasi:http/outgoing-handler@0.2.0" (instance))
            (import "wasi:clocks/wall-clock@0.2.3" (instance))
            (import "acme:bank/accounts" (instance))
            (import "launch" (func)))"#,
    );
    for name in ["`wasi:http/outgoing-handler@0.2.0`", "`acme:bank/accounts`", "`launch`"] {
        assert!(error.contains(name), "{name} is not in {error}");
    }
    assert!(!error.contains("wall-clock") && error.contains("\nhelp: "), "{error}");
}

#[test]
fn an_offered_interface_of_another_type_is_refused() {
    let error = Bench::new().refusal(
        r#"(component
            (import "umbel:task/context@0.1.0" (instance
                (export "remaining-ms" (func (result string))))))"#,
    );
    assert!(error.contains("does not fit") && error.contains("context"), "{error}");
}

#[test]
fn two_functions_of_one_name_are_an_error_naming_both() {
    let bench = Bench::new();
    let text = ADD.replace(
        r#"(export "test:math/tasks@0.1.0" (instance $tasks))"#,
        r#"(export "test:math/tasks@0.1.0" (instance $tasks))
           (export "test:more/tasks@0.1.0" (instance $tasks))"#,
    );
    let error = bench.refusal(&text);
    assert!(error.contains("`test:math/tasks@0.1.0.add`"), "{error}");
    assert!(error.contains("`test:more/tasks@0.1.0.add`"), "{error}");
    let mut source = bench.source(&text);
    source.names = vec![("more.add".to_owned(), "test:more/tasks.add".to_owned())];
    let plugin = bench.engine.load(&source).unwrap();
    let names: Vec<String> = plugin.tasks.iter().map(|t| t.signature().name.to_string()).collect();
    assert_eq!(names, ["more.add", "test.add"]);
}

#[test]
fn functions_that_cannot_be_tasks_are_skipped_with_a_reason() {
    let plugin = Bench::new().load(
        r#"(component
            (core module $m
                (func (export "init")) (func (export "open") (result i32) unreachable)
                (func (export "fine")))
            (core instance $i (instantiate $m))
            (func (export "init") (canon lift (core func $i "init")))
            (func (export "fine") (canon lift (core func $i "fine")))
            (type $handle (resource (rep i32)))
            (func $open (result (own $handle)) (canon lift (core func $i "open")))
            (component $named
                (import "handle" (type $given (sub resource)))
                (import "open" (func $open (result (own $given))))
                (export $own "handle" (type $given))
                (export "open" (func $open) (func (result (own $own)))))
            (instance $files (instantiate $named
                (with "handle" (type $handle)) (with "open" (func $open))))
            (export "test:disk/files" (instance $files)))"#,
    );
    assert_eq!(plugin.tasks.len(), 1);
    assert_eq!(
        plugin.skipped,
        [
            (
                "test:disk/files.open".to_owned(),
                "a resource cannot be sent; give what is in it, as a record, bytes or a text"
                    .to_owned(),
            ),
            ("init".to_owned(), "it starts the language's runtime".to_owned()),
        ]
    );
}

#[test]
fn a_task_knows_how_many_positional_arguments_it_takes() {
    let bench = Bench::new();
    let check = |params: &str, expected: usize| {
        let core = "i32 ".repeat(2 * params.matches("(param").count());
        let text = format!(
            r#"(component
                (import "umbel:task/types@0.1.0" (instance $types
                    (type $text string) (export "json" (type (eq $text)))))
                (alias export $types "json" (type $json))
                {ALLOCATOR}
                (core module $n (func (export "f") (param {core})))
                (core instance $n (instantiate $n))
                (func (export "f") {params} (canon lift (core func $n "f")
                    (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#
        );
        assert_eq!(bench.task(&text).arity(), expected, "{params}");
    };
    check("", 0);
    check(r#"(param "id" string)"#, 1);
    check(r#"(param "request" $json) (param "exc" $json) (param "traceback" string)"#, 3);
    check(r#"(param "id" string) (param "kwargs" $json)"#, 1);
    check(r#"(param "args" (list $json))"#, usize::MAX);
    check(r#"(param "args" (list string))"#, 1);
}

#[tokio::test]
async fn types_of_the_world_itself_cross_as_any_others() {
    let bench = Bench::new();
    let text = |definition: &str| {
        format!(
            r#"(component
                (type $given (record (field "x" s32)))
                {definition}
                (core module $m (func (export "f") (param i32) (result i32) (local.get 0)))
                (core instance $i (instantiate $m))
                (func (export "f") (param "p" $point) (result $point)
                    (canon lift (core func $i "f"))))"#
        )
    };
    let task = bench.task(&text(r#"(import "point" (type $point (eq $given)))"#));
    let ended = run(&task, r#"[{"x": 7}]"#).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::from([("x", Value::Int(7))])));
    // Ought to load as well; compilers import a world's types, as above.
    let error = bench.refusal(&text(r#"(export $point "point" (type $given))"#));
    assert!(error.contains("`point` was not a function or instance"), "{error}");
}

#[test]
fn documentation_in_the_component_reaches_the_signature() {
    let bench = Bench::new();
    let docs = br#"{"interfaces":{"tasks":{"funcs":{"add":{"docs":"The sum."}}}}}"#;
    let mut binary = wat::parse_str(ADD).unwrap();
    let mut section = vec![12];
    section.extend_from_slice(b"package-docs\x01");
    section.extend_from_slice(docs);
    binary.extend([0, u8::try_from(section.len()).unwrap()]);
    binary.extend(section);
    let plugin = bench.engine.load(&PluginSource::file(bench.file("a.wasm", &binary))).unwrap();
    assert_eq!(plugin.tasks[0].signature().docs, "The sum.");
}

#[test]
fn more_memory_than_a_task_may_have_is_refused_at_load() {
    let bench = Bench::new();
    let mut source = bench.source(&body("(memory 32)", ""));
    source.policy.sandbox.memory = 1 << 20;
    let error = refusal(bench.engine.load(&source));
    assert!(error.contains("starts with 2097152 bytes of memory"), "{error}");
    let huge = bench.refusal(&body("(memory 5000)", ""));
    assert!(huge.contains("memory"), "{huge}");
}

#[tokio::test]
async fn the_second_load_takes_the_code_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let bench = Bench::with(|c| c.cache = Some(cache.path().join("umbel/code")));
    let text = echo("", "string");
    let first = bench.load(&text);
    let second = bench.load(&text);
    assert!(!first.from_cache && second.from_cache);
    assert_eq!(first.tasks[0].signature(), second.tasks[0].signature());
    let ended = run(&second.tasks[0], r#"["hé"]"#).await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Text("hé".to_owned())));
    let mode = std::fs::metadata(cache.path().join("umbel/code")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_spoilt_cache_entry_is_compiled_again() {
    let spoil: [fn(&mut Vec<u8>); 3] = [
        |code| code.truncate(code.len() / 2),
        |code| {
            let middle = code.len() / 2;
            code[middle] ^= 0xff;
        },
        Vec::clear,
    ];
    for (kind, spoil) in ["cwasm", "json"].iter().flat_map(|k| spoil.iter().map(move |s| (k, s))) {
        let cache = tempfile::tempdir().unwrap();
        let bench = Bench::with(|c| c.cache = Some(cache.path().to_owned()));
        bench.load(ADD);
        for entry in std::fs::read_dir(cache.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == *kind) {
                let mut content = std::fs::read(&path).unwrap();
                spoil(&mut content);
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, content).unwrap();
            }
        }
        let again = bench.load(ADD);
        assert!(!again.from_cache, "a spoilt {kind} was used");
        let ended = run(&again.tasks[0], "[2, 3]").await;
        assert_eq!(ended.outcome, Outcome::Done(Value::Int(5)));
        assert!(bench.load(ADD).from_cache);
    }
}

#[test]
fn a_cache_that_others_can_write_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    std::fs::set_permissions(cache.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let config = EngineConfig { cache: Some(cache.path().to_owned()), ..EngineConfig::default() };
    let Err(error) = Engine::new(&config) else { panic!("the folder was accepted") };
    let error = error.to_string();
    assert!(error.contains("can be written by other users\nhelp: chmod 700"), "{error}");
}

#[test]
fn code_that_counts_its_fuel_is_kept_apart() {
    let cache = tempfile::tempdir().unwrap();
    let bench = Bench::with(|c| c.cache = Some(cache.path().to_owned()));
    let mut metered = bench.source(ADD);
    metered.policy.sandbox.fuel = Some(1000);
    bench.load(ADD);
    assert!(!bench.engine.load(&metered).unwrap().from_cache);
    assert!(bench.engine.load(&metered).unwrap().from_cache && bench.load(ADD).from_cache);
}

#[test]
fn the_catalogue_finds_tasks_and_refuses_doubled_names() {
    let bench = Bench::new();
    let catalog = Catalog::new(vec![bench.load(ADD)]).unwrap();
    assert!(catalog.find("test.add").is_some() && catalog.find("test.sub").is_none());
    assert_eq!(catalog.names().len(), 1);
    let mut other = bench.source(ADD);
    other.name = Some("other".to_owned());
    other.prefix = Some("test".to_owned());
    let other = bench.engine.load(&other).unwrap();
    let error = Catalog::new(vec![bench.load(ADD), other]).err().unwrap().to_string();
    assert!(error.contains("task `test.add` is in plugin `test` and in plugin `other`"), "{error}");
}

#[tokio::test]
async fn dropping_the_engine_inside_a_runtime_is_no_panic() {
    let bench = Bench::new();
    let task = bench.task(ADD);
    drop(bench);
    let ended = run(&task, "[1, 2]").await;
    assert_eq!(ended.outcome, Outcome::Done(Value::Int(3)), "tasks keep what they need");
    drop(task);
}

#[tokio::test]
async fn a_closed_engine_stops_runs() {
    let bench = Bench::new();
    let task = bench.task(&body("", "(loop (br 0))"));
    let running = tokio::spawn(async move { run(&task, "[]").await });
    let add = bench.task(ADD);
    bench.engine.close();
    assert_eq!(running.await.unwrap().outcome, Outcome::Stopped);
    assert_eq!(run(&add, "[1, 2]").await.outcome, Outcome::Stopped);
}
