#!/bin/bash
# Makes a book of docs/ in target/book, and checks that each of its links leads somewhere. mdbook is built first where it
# is missing: without optimization and without the server it brings, which takes a minute.
set -euo pipefail
source "$(dirname "$0")/common.sh"

tools=$target/tools
export PATH=$PATH:$tools/bin
if ! command -v mdbook >/dev/null; then
    step mdbook "$(date)" "build mdbook" \
        "$root/scripts/cargo.sh" install --debug --locked --root "$tools" --target-dir "$tools/build" \
        --no-default-features --features search --version "^0.5" mdbook
    rm -rf "$tools/build"
fi
mdbook build "$root/docs"
exec python3 "$root/scripts/check-links.py" "$target/book"
