#!/bin/bash
# Makes target/venv, the Python environment of the tests (Celery and what goes with it), and prints its path.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once venv

make_venv() {
    rm -rf "$target/venv"
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/scripts/requirements-test.txt"
}
step venv "$(fingerprint scripts/requirements-test.txt)" "Celery for the tests" make_venv
printf '%s\n' "$target/venv"
