#!/bin/bash
# Builds the hostile guests of the sandbox tests to target/guests/*.wasm, when their sources have changed.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once guests
# shellcheck source=/dev/null
source "$target/wasm-toolchain/env"

build_guests() {
    cd "$root/tests/guests"
    "$root/scripts/cargo.sh" build --release --locked --target wasm32-wasip2 --target-dir "$target/guest-build"
    rm -rf "$target/guests"
    mkdir -p "$target/guests"
    cp "$target"/guest-build/wasm32-wasip2/release/*.wasm "$target/guests/"
}

[ -d "$target/guests" ] || rm -f "$stamps/guests"
job guests "$(fingerprint tests/guests scripts/build-guests.sh)" "hostile guests" build_guests
jobs_end || die "the guests could not be built"
