#!/bin/bash
# Builds target/release/umbel. cargo's own progress on a terminal; nothing at all when there is nothing to do.
set -euo pipefail
source "$(dirname "$0")/common.sh"
unset CARGO_TARGET_DIR
cd "$root"
quiet=--quiet
if [ -t 2 ] || [ ! -x "$target/release/umbel" ]; then quiet=; fi
exec "$root/scripts/cargo.sh" build --release --locked $quiet -p umbel
