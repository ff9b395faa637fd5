//! Small components that say which of them they are.

use std::fs;
use std::path::Path;

/// A component whose `version` returns `marker`; its `spin` does so after that many million rounds.
pub(crate) fn component(marker: &str) -> Vec<u8> {
    let length = marker.len();
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (data (i32.const 16) "{marker}")
                (func $version (export "version") (result i32)
                    (i32.store (i32.const 0) (i32.const 16))
                    (i32.store (i32.const 4) (i32.const {length}))
                    (i32.const 0))
                (func (export "spin") (param $millions i32) (result i32)
                    (local $left i64)
                    (local.set $left
                        (i64.mul (i64.extend_i32_u (local.get $millions)) (i64.const 1000000)))
                    (loop $round
                        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                        (br_if $round (i64.gt_s (local.get $left) (i64.const 0))))
                    (call $version)))
            (core instance $i (instantiate $m))
            (alias core export $i "memory" (core memory $memory))
            (func (export "version") (result string)
                (canon lift (core func $i "version") (memory $memory)))
            (func (export "spin") (param "millions" u32) (result string)
                (canon lift (core func $i "spin") (memory $memory))))"#
    );
    wat::parse_str(text).expect("the text is a component")
}

/// Puts a file in its place whole, as a deployment should.
pub(crate) fn put(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).expect("the folder is writable");
    fs::rename(&beside, file).expect("a file can be renamed within its folder");
}
