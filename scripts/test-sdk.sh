#!/bin/bash
# test-sdk.sh [check]: tests the Rust SDK natively, when it has changed: its units, the examples of its
# documentation, what the compiler says of mistakes, and the project that `umbel new` writes. `check`: format, lints
# and links of its documentation.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once sdk
cargo=$root/scripts/cargo.sh
export CARGO_TARGET_DIR=$target/sdk

test_sdk() {
    cd "$root/sdk/rust"
    "$cargo" test --quiet --locked --workspace
}

check_sdk() {
    cd "$root/sdk/rust"
    "$cargo" fmt --all --check
    "$cargo" clippy --quiet --locked --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS=-Dwarnings "$cargo" doc --quiet --locked --workspace --no-deps
    # As whoever has no settings of this repository formats it.
    cd template
    "$cargo" fmt --check -- --config use_small_heuristics=Default
}

# As `umbel new` does it: the template under a name, and the SDK beside its sources.
test_template() {
    local project=$target/sdk/project
    rm -rf "$project"
    cp -r "$root/sdk/rust/template" "$project"
    find "$project" -type f -exec sed -i 's/NAME/thumbs/g' {} +
    mkdir "$project/umbel"
    (cd "$root/sdk/rust" && cp -rL Cargo.toml README.md macros src wit "$project/umbel")
    cd "$project"
    "$cargo" test --quiet
}

test_all() {
    test_sdk
    test_template
}

key=$(fingerprint sdk/rust wit scripts/test-sdk.sh)
if [ "${1:-}" = check ]; then
    job sdk-rust-check "$key" "format and lints of the Rust SDK" check_sdk
else
    job sdk-rust "$key" "tests of the Rust SDK" test_all
fi
jobs_end || die "the Rust SDK does not hold"
