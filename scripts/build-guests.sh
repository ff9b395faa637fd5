#!/bin/bash
# Builds the components of the tests, when their sources have changed: the hostile guests of the sandbox
# tests to target/guests/*.wasm, the plugin of the compatibility suite to target/test-plugins/lab.wasm.
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

build_lab() {
    # In the folder, for its own .cargo/config.toml; where the example plugins have built the SDK.
    cd "$root/tests/plugins/lab"
    CARGO_TARGET_DIR=$target/plugins-build "$root/scripts/cargo.sh" build --release --locked
    mkdir -p "$target/test-plugins"
    cp "$target/plugins-build/wasm32-wasip2/release/lab.wasm" "$target/test-plugins/"
}

[ -d "$target/guests" ] || rm -f "$stamps/guests"
[ -e "$target/test-plugins/lab.wasm" ] || rm -f "$stamps/lab"
job guests "$(fingerprint tests/guests wit scripts/build-guests.sh)" "hostile guests" build_guests
job lab "$(fingerprint tests/plugins wit sdk scripts/build-guests.sh)" "plugin of the compatibility suite" build_lab
jobs_end || die "the guests could not be built"
