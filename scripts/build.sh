#!/bin/bash
# build.sh [tests]: builds target/release/umbel, alone or in one with all tests. cargo's own progress on a
# terminal; nothing at all when there is nothing to do.
set -euo pipefail
source "$(dirname "$0")/common.sh"
unset CARGO_TARGET_DIR
cd "$root"
quiet=--quiet
if [ -t 2 ] || [ ! -x "$target/release/umbel" ]; then quiet=; fi
# Tests use features that the binary alone does not: built apart, most of our crates would be built twice.
what=(-p umbel)
if [ "${1:-}" = tests ]; then what=(--workspace --bins --tests --examples); fi
exec "$root/scripts/cargo.sh" build --release --locked $quiet "${what[@]}"
