#!/bin/bash
# Runs the benchmarks: the engine alone, then whole workers. Arguments name sections of the second part.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$root/scripts/environment.sh"
cd "$root"

"$root/scripts/cargo.sh" bench --locked -p umbel-engine
"$root/scripts/cargo.sh" run --release --locked --quiet -p umbel-bench -- "$@"
