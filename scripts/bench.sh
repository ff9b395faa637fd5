#!/bin/bash
# Runs the benchmarks: the engine alone, then whole workers. Arguments name sections of the second part.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$root/scripts/environment.sh"
cd "$root"

# Where this is set, wasmtime captures a backtrace for each store that it drops.
unset RUST_BACKTRACE

# The whole workspace is named so that the dependencies are those of the tests, built already.
if [ "$*" = languages ]; then
    "$root/scripts/languages.sh"
    # shellcheck source=/dev/null
    source "$target/wasm-toolchain/env"
    export UMBEL_COMPILERS=$target/venv-languages/bin
    if [ -n "${RUSTC:-}" ]; then export PATH=$PATH:$(dirname "$RUSTC"); fi
elif [ "$*" != hostile ]; then "$root/scripts/cargo.sh" bench --locked --workspace --bench engine; fi
"$root/scripts/cargo.sh" build --release --locked --quiet --workspace --bins
exec "$target/release/umbel-bench" "$@"
