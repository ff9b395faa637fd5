#!/bin/bash
# Feeds mutated messages, envelopes and signatures to their readers. SECONDS_EACH (default 600) for each target.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$root"

manifest=host/crates/protocol/fuzz/Cargo.toml
exec "$root/scripts/cargo.sh" run --release --locked --target-dir "$target/fuzz" --manifest-path "$manifest" -- \
    all --seconds "${SECONDS_EACH:-600}" --seed "${UMBEL_SEED:-$RANDOM}"
