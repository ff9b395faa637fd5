#!/bin/bash
# Feeds mutated messages, envelopes and signatures to their readers, and generated types and mutated components to
# the engine. SECONDS_EACH (default 600) for each target; the names of targets of the engine leave out the rest.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$root"

cargo=$root/scripts/cargo.sh
options=(--seconds "${SECONDS_EACH:-600}" --seed "${UMBEL_SEED:-$RANDOM}")

if [ $# -eq 0 ]; then
    "$cargo" run --release --locked --target-dir "$target/fuzz" --manifest-path host/crates/protocol/fuzz/Cargo.toml -- \
        all "${options[@]}"
fi
# A member of the workspace, so that wasmtime is built once.
"$cargo" build --release --locked --quiet --workspace --bin umbel-engine-fuzz
for name in "${@:-all}"; do
    "$target/release/umbel-engine-fuzz" "$name" "${options[@]}"
done
