//! The host's side of `wit/task.wit`, generated.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::all,
    reason = "generated code, whose style is not ours"
)]

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "all",
    imports: { default: trappable },
});
