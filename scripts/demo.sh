#!/bin/bash
# The demo of `make run`: everything is built already; this fetches real input and shows the work.
set -euo pipefail
source "$(dirname "$0")/common.sh"
"$root/scripts/samples.sh"
trap - INT TERM
exec python3 "$root/scripts/demo.py"
