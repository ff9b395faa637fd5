#!/bin/bash
# Builds the components of the tests, when their sources have changed: the hostile guests of the sandbox
# tests to target/guests/*.wasm, the tests' own plugins to target/test-plugins/*.wasm.
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

# build_plugin NAME
build_plugin() {
    # In the folder, for its own .cargo/config.toml; where the example plugins have built the SDK.
    cd "$root/tests/plugins/$1"
    CARGO_TARGET_DIR=$target/plugins-build "$root/scripts/cargo.sh" build --release --locked
    mkdir -p "$target/test-plugins"
    cp "$target/plugins-build/wasm32-wasip2/release/$1.wasm" "$target/test-plugins/"
}

[ -d "$target/guests" ] || rm -f "$stamps/guests"
for name in lab later shapes; do
    [ -e "$target/test-plugins/$name.wasm" ] || rm -f "$stamps/$name"
done
job guests "$(fingerprint tests/guests wit scripts/build-guests.sh)" "hostile guests" build_guests
key=$(fingerprint tests/plugins wit sdk/rust scripts/build-guests.sh)
job lab "$key" "plugin of the compatibility suite" build_plugin lab
job later "$key" "plugin of async tasks" build_plugin later
job shapes "$key" "plugin of every Rust type" build_plugin shapes
jobs_end || die "the guests could not be built"
