#!/bin/bash
# From `umbel new` to a result in Celery, in each language, with a table of seconds and sizes; the example plugins in C
# and Go; all pages of the guides. LANGUAGES names some of them. Compilers are fetched to target/; what is built lies in
# temporary folders.
set -euo pipefail
source "$(dirname "$0")/common.sh"
"$root/scripts/languages.sh"
# shellcheck source=/dev/null
source "$target/wasm-toolchain/env"
export UMBEL_LANGUAGES=${LANGUAGES:-rust python javascript typescript c go}
# Where the machine's own cargo will not do, the one that came with the compiler.
export UMBEL_COMPILERS=$target/venv-languages/bin
if [ -n "${RUSTC:-}" ]; then
    export PATH=$PATH:$(dirname "$RUSTC")
fi
exec "$root/scripts/test.sh" --test languages --test ports --test guides -- --nocapture
