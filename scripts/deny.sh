#!/bin/bash
# `cargo deny`: licences, bans and sources of everything that is locked. With --install it is built first where it is
# missing; without, its absence is told: tests/tidy checks the same rules, and CI asks for advisories too.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$root"

tools=$target/tools
export PATH=$PATH:$tools/bin
if ! command -v cargo-deny >/dev/null; then
    if [ "${1:-}" != --install ]; then
        say "cargo-deny is not installed (\`make deny\` builds it): licences, sources and bans were checked by tests/tidy alone"
        exit 0
    fi
    step cargo-deny "$(date)" "build cargo-deny" \
        "$root/scripts/cargo.sh" install --locked --root "$tools" --target-dir "$tools/build" cargo-deny
fi
exec cargo-deny check --hide-inclusion-graph licenses bans sources
