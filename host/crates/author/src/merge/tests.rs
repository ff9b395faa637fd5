//! Modules that are linked as compilers of dynamic languages link them.

use wasm_reader::{ElementKind, Operator, Parser, Payload};

use super::merge;

/// A module that has what is shared, a library, stand-ins for what needs the memory, and what fills them in.
fn component(library: &str, rest: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
    (import "say" (func $say (param "text" string)))
    (import "now" (func $now (result u32)))
    (core module $shared
        (memory (export "memory") 1)
        (table (export "table") 4 funcref)
        (global (export "functions") i32 (i32.const 2))
        (global (export "bytes") i32 (i32.const 16))
        (data (i32.const 0) "kept"))
    (core module $library
        (import "env" "memory" (memory 1))
        (import "env" "table" (table 1 funcref))
        (import "env" "functions" (global $functions i32))
        (import "env" "bytes" (global $bytes i32))
        (import "env" "say" (func $say (param i32 i32)))
        (import "env" "now" (func $now (result i32)))
        (global $second i32 (i32.add (global.get $bytes) (i32.const 1)))
        (elem (global.get $functions) $seven)
        (data (global.get $second) "hello")
        (func $seven (result i32) (i32.const 7))
        (func (export "run") (result i32)
            (call $say (global.get $second) (i32.const 5))
            (i32.add (call $now) (call_indirect (result i32) (i32.const 2))))
        {library})
    (core module $stand_ins
        (table (export "filled") 1 1 funcref)
        (func (export "say") (param i32 i32)
            (call_indirect (param i32 i32) (local.get 0) (local.get 1) (i32.const 0))))
    (core module $filling
        (import "" "filled" (table 1 1 funcref))
        (import "" "say" (func $say (param i32 i32)))
        (elem (i32.const 0) $say))
    (core instance $stand_ins (instantiate $stand_ins))
    (core instance $shared (instantiate $shared))
    (core func $now (canon lower (func $now)))
    (core instance $library (instantiate $library (with "env" (instance
        (export "memory" (memory $shared "memory"))
        (export "table" (table $shared "table"))
        (export "functions" (global $shared "functions"))
        (export "bytes" (global $shared "bytes"))
        (export "say" (func $stand_ins "say"))
        (export "now" (func $now))))))
    (alias core export $shared "memory" (core memory $memory))
    (core func $say (canon lower (func $say) (memory $memory)))
    (core instance (instantiate $filling (with "" (instance
        (export "filled" (table $stand_ins "filled"))
        (export "say" (func $say))))))
    (func (export "run") (result u32) (canon lift (core func $library "run")))
    {rest})"#
    );
    wat::parse_str(text).expect("it is WAT")
}

/// What the one module that has a memory consists of.
fn whole(component: &[u8]) -> Vec<Payload<'_>> {
    let mut modules: Vec<Vec<Payload<'_>>> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.expect("it is valid");
        if matches!(payload, Payload::ModuleSection { .. }) {
            modules.push(Vec::new());
        }
        if let Some(module) = modules.last_mut() {
            module.push(payload);
        }
    }
    assert_eq!(modules.len(), 2, "the whole, and what fills in the stand-ins");
    modules.retain(|module| module.iter().any(|p| matches!(p, Payload::MemorySection(_))));
    modules.pop().expect("one has the memory")
}

#[test]
fn linked_modules_become_one() {
    let merged = merge(&component("", "")).expect("it only links");
    let mut offsets = Vec::new();
    for payload in whole(&merged) {
        match payload {
            Payload::ImportSection(imports) => {
                // What needs no memory is imported by it, the rest filled in later.
                assert_eq!(imports.into_imports().count(), 1);
            }
            Payload::ElementSection(segments) => {
                for segment in segments {
                    if let ElementKind::Active { offset_expr, .. } = segment.expect("valid").kind {
                        offsets.push(offset_expr.get_operators_reader().read().expect("valid"));
                    }
                }
            }
            Payload::DataSection(data) => assert_eq!(data.count(), 2),
            Payload::CustomSection(custom) if custom.name() == "name" => {
                let named = |name: &[u8]| custom.data().windows(name.len()).any(|w| w == name);
                assert!(named(b"seven"), "tracebacks name functions");
            }
            _ => {}
        }
    }
    // Where tables and memories go is known when it is compiled.
    assert!(matches!(offsets.as_slice(), [Operator::I32Const { value: 2 }]), "{offsets:?}");
}

#[test]
fn what_does_more_than_link_is_left_alone() {
    let check = |component: &[u8], part: &str| {
        let why = merge(component).expect_err(part).to_string();
        assert!(why.contains(part), "{why}");
    };
    check(&component("(func $begin) (start $begin)", ""), "runs code when it is instantiated");
    check(&component("", "(core module $m) (export \"m\" (core module $m))"), "a core module");
    check(&wat::parse_str("(component (core module))").expect("it is WAT"), "it has one module");
    check(b"\0asm", "unexpected end");
}
