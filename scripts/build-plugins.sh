#!/bin/bash
# Builds the example plugins to target/plugins/*.wasm, each only when its sources have changed: those in Rust with
# cargo, the others with `umbel build`. Those that need a grant go to target/plugins/granted/: a worker without a
# configuration could not load them. The ones in C and Go wait for `make test-languages`, which has their compilers.
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once plugins

out=$target/plugins
cargo=$root/scripts/cargo.sh
umbel=$target/release/umbel
[ -x "$umbel" ] || die "there is no $umbel to build plugins with" "make build"
# shellcheck source=/dev/null
source "$target/wasm-toolchain/env"
mkdir -p "$out/granted"

# folder NAME: where its component goes.
folder() {
    case $1 in
        flow | probe | visits) echo "$out/granted" ;;
        *) echo "$out" ;;
    esac
}

# put FILE NAME: under its name at once, for a worker may be watching.
put() {
    local folder
    folder=$(folder "$2")
    mv "$1" "$folder/.$2.wasm.new"
    mv "$folder/.$2.wasm.new" "$folder/$2.wasm"
}

build_rust() {
    # In the folder, for its own .cargo/config.toml; one target folder, for the bindings' compiler.
    cd "$root/plugins/$1"
    CARGO_TARGET_DIR=$target/plugins-build "$cargo" build --release --locked
    local built=$target/plugins-build/wasm32-wasip2/release/$1.wasm
    cp "$built" "$target/plugins-build/$1.wasm"
    # Without WIT of its own the SDK has written it, and put the comments in.
    if [ -e wit ]; then python3 "$root/scripts/embed-docs.py" "wit/$1.wit" "$target/plugins-build/$1.wasm"; fi
    put "$target/plugins-build/$1.wasm" "$1"
}

# build NAME: in a copy, for what is made on the way does not belong among the sources.
build() {
    local work=$target/plugins-build/$1
    mkdir -p "$work"
    rm -rf "$work/src" "$work/wit"
    tar -C "$root/plugins/$1" --exclude=./build --exclude=./.venv --exclude=./node_modules -ch . | tar -C "$work" -x
    cd "$work"
    # It is compiled for its check: where tests will look for that.
    XDG_CACHE_HOME=$target/test-cache "$umbel" build --release --output "$work/$1.wasm"
    put "$work/$1.wasm" "$1"
}

# The packages of npm that those in JavaScript and TypeScript are built with, installed once.
install_node() {
    local work=$target/plugins-build/text
    mkdir -p "$work"
    (
        flock 8
        cd "$work"
        cp "$root"/plugins/text/package*.json "$root/plugins/text/.npmrc" .
        if [ ! -d node_modules ] || ! cmp -s package-lock.json installed.json; then
            # Not `npm ci`: it refuses a lock without the optional packages that were never published.
            npm install --ignore-scripts --no-audit --no-fund --loglevel=error
            cp "$root/plugins/text/package-lock.json" installed.json
        fi
    ) 8>"$target/plugins-build/node.lock"
}

build_text() {
    install_node
    build text
}

build_visits() {
    install_node
    mkdir -p "$target/plugins-build/visits"
    ln -sfn ../text/node_modules "$target/plugins-build/visits/node_modules"
    build visits
}

build_data() {
    local venv=$target/venv-build
    if ! cmp -s "$root/plugins/data/requirements.txt" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/plugins/data/requirements.txt"
        cp "$root/plugins/data/requirements.txt" "$venv/installed.txt"
    fi
    VIRTUAL_ENV=$venv build data
}

# plugin NAME COMMAND…: a job, unless neither its sources nor what all share has changed.
plugin() {
    local name=$1
    shift
    [ -e "$(folder "$name")/$name.wasm" ] || rm -f "$stamps/plugin-$name"
    job "plugin-$name" "$(fingerprint "plugins/$name" wit sdk host/crates/author scripts/build-plugins.sh scripts/embed-docs.py)" \
        "plugin $name" "$@"
}

plugin tasks build_rust tasks
plugin text build_text
plugin data build_data
plugin visits build_visits
plugin images build_rust images
plugin rogue build_rust rogue
plugin flow build_rust flow
plugin probe build_rust probe
jobs_end || die "not all plugins could be built"
