#!/bin/bash
# Builds the example plugins to target/plugins/*.wasm, each only when its sources have changed. Those that
# need a grant go to target/plugins/granted/: a worker without a configuration could not load them.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once plugins

out=$target/plugins
cargo=$root/scripts/cargo.sh
# shellcheck source=/dev/null
source "$target/wasm-toolchain/env"
mkdir -p "$out/granted"

# folder NAME: where its component goes.
folder() {
    case $1 in
        flow | probe) echo "$out/granted" ;;
        *) echo "$out" ;;
    esac
}

# put FILE NAME: under its name at once, for a worker may be watching.
put() {
    local folder
    folder=$(folder "$2")
    # Without WIT of its own the SDK has written it, and put the comments in.
    if [ -e "$root/plugins/$2/wit" ]; then
        python3 "$root/scripts/embed-docs.py" "$root/plugins/$2/wit/$2.wit" "$1"
    fi
    mv "$1" "$folder/.$2.wasm.new"
    mv "$folder/.$2.wasm.new" "$folder/$2.wasm"
}

build_rust() {
    # In the folder, for its own .cargo/config.toml; one target folder, for the bindings' compiler.
    cd "$root/plugins/$1"
    CARGO_TARGET_DIR=$target/plugins-build "$cargo" build --release --locked
    local built=$target/plugins-build/wasm32-wasip2/release/$1.wasm
    cp "$built" "$target/plugins-build/$1.wasm"
    put "$target/plugins-build/$1.wasm" "$1"
}

build_text() {
    # A copy: node_modules does not belong among the sources.
    local work=$target/plugins-build/text
    mkdir -p "$work"
    cp -r "$root"/plugins/text/. "$work"
    cd "$work"
    if ! cmp -s "$root/plugins/text/package-lock.json" installed.json; then
        # Not `npm ci`: it refuses a lock without the optional packages that were never published.
        npm install --ignore-scripts --no-audit --no-fund --loglevel=error
        cp "$root/plugins/text/package-lock.json" installed.json
    fi
    npx --no-install esbuild src/text.js --bundle --format=esm --minify-whitespace --minify-syntax --outfile=bundle.js
    npx --no-install componentize-qjs --wit wit/text.wit --world plugin --js bundle.js --sync --stub-wasi --opt-size --output text.wasm
    put "$work/text.wasm" text
}

build_data() {
    local venv=$target/venv-build
    if ! cmp -s "$root/plugins/data/requirements-build.txt" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/plugins/data/requirements-build.txt"
        cp "$root/plugins/data/requirements-build.txt" "$venv/installed.txt"
    fi
    cd "$root/plugins/data"
    mkdir -p "$target/plugins-build"
    # Without --stub-wasi: what Python says of an unexpected exception reaches the worker's log.
    PYTHONDONTWRITEBYTECODE=1 "$venv/bin/componentize-py" --quiet --wit-path wit --world plugin \
        componentize data --python-path . --output "$target/plugins-build/data.wasm"
    put "$target/plugins-build/data.wasm" data
}

# plugin NAME COMMAND…: a job, unless neither its sources nor what all share has changed.
plugin() {
    local name=$1
    shift
    [ -e "$(folder "$name")/$name.wasm" ] || rm -f "$stamps/plugin-$name"
    job "plugin-$name" "$(fingerprint "plugins/$name" wit sdk scripts/build-plugins.sh scripts/embed-docs.py)" \
        "plugin $name" "$@"
}

plugin tasks build_rust tasks
plugin text build_text
plugin data build_data
plugin images build_rust images
plugin rogue build_rust rogue
plugin flow build_rust flow
plugin probe build_rust probe
jobs_end || die "not all plugins could be built"
