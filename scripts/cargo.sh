#!/bin/bash
# Runs cargo: the machine's own if it is new enough for this project, else the one in target/wasm-toolchain.
# --own-only: ends with 0 if the machine's own will do, and runs nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
toolchain=$root/target/wasm-toolchain/bin
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")

own=$(cd "$root" && rustc --version 2>/dev/null | cut -d' ' -f2 || true)
if [ -n "$own" ] && command -v cargo >/dev/null && [ "$(printf '%s\n' "$wanted" "$own" | sort -V | head -n 1)" = "$wanted" ]; then
    [ "${1:-}" = --own-only ] || exec cargo "$@"
    exit 0
fi
[ "${1:-}" != --own-only ] || exit 1
if [ ! -x "$toolchain/cargo" ]; then
    echo "error: Rust $wanted or newer is needed${own:+, this is $own}" >&2
    echo "help: make setup" >&2
    exit 1
fi
export RUSTC=$toolchain/rustc
exec "$toolchain/cargo" "$@"
