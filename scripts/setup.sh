#!/bin/bash
# setup.sh build|test: installs what building, or building and testing, needs and this machine lacks.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once setup

missing=()
# want COMMAND PACKAGE…: the packages are installed when the command is not there.
want() {
    if ! command -v "$1" >/dev/null && [ ! -x "/usr/sbin/$1" ]; then missing+=("${@:2}"); fi
}

want cc build-essential
want python3 python3 python3-venv
want node nodejs
want npm npm
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then missing+=(python3-venv); fi
if [ "$1" = test ]; then
    want redis-server redis-server
    want rabbitmq-server rabbitmq-server
    want openssl openssl
    want promtool prometheus
    want man man-db
    want chromium-headless-shell chromium-headless-shell # looks at Flower
    if [ ! -e /usr/share/doc/libfaketime ]; then missing+=(libfaketime); fi # a clock that jumps
fi
if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[@]}"; fi

"$root/scripts/wasm-toolchain.sh"

if [ "$1" = test ]; then "$root/scripts/venv.sh" >/dev/null; fi
