#!/bin/bash
# `cargo deny`: licences, bans and sources of everything that is locked. It is built first where it is missing: without
# optimization, which takes two minutes instead of twenty. CI asks for advisories too, where their database can be reached.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$root"

tools=$target/tools
export PATH=$PATH:$tools/bin
if ! command -v cargo-deny >/dev/null; then
    step cargo-deny "$(date)" "build cargo-deny" \
        "$root/scripts/cargo.sh" install --debug --locked --root "$tools" --target-dir "$tools/build" cargo-deny
    rm -rf "$tools/build"
fi
exec cargo-deny check --hide-inclusion-graph --allow duplicate licenses bans sources
