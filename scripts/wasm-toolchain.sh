#!/bin/bash
# Finds or makes a Rust compiler for wasm32-wasip2 and writes how to use it to target/wasm-toolchain/env:
# first what is installed, then rustup, then Debian's packages unpacked into target/, without root.
# Where no cargo fits the project, the Debian compiler builds the project itself too (scripts/cargo.sh).
set -euo pipefail
source "$(dirname "$0")/common.sh"
only_once wasm-toolchain

triple=wasm32-wasip2
home=$target/wasm-toolchain
mkdir -p "$home"

# The machine's own compiler has the target's standard library.
has_target() {
    local folder
    folder=$(cd "$root" && rustc --print target-libdir --target $triple 2>/dev/null) &&
        ls "$folder"/libstd-*.rlib >/dev/null 2>&1
}

by_rustup() { (cd "$root" && timeout 180 rustup target add $triple); }

# Debian's rustc-web comes without a standard library for this target: fetch its source, build it once.
from_debian() {
    cd "$home"
    rm -rf debs usr bin build
    mkdir -p debs bin build/src
    local version short machine wasm_ld
    version=$(apt-cache policy rustc-web | sed -n 's/ *Candidate: //p')
    short=$(cut -d. -f1,2 <<<"$version")
    machine=$(uname -m)-linux-gnu
    if [ "$version" = "(none)" ] || [ -z "$version" ]; then
        echo "apt knows no package rustc-web: apt-get update, with Debian's security archive, may help"
        return 1
    fi
    # Named: what may be on the machine already, but must lie in the folder. Asked for: libraries it lacks.
    local named=(cargo-web rustc-web rust-web-src rust-web-llvm libstd-rust-web-dev "libstd-rust-web-$short" libllvm22 lld-22 wasi-libc)
    local libraries
    libraries=$(apt-get install --simulate --no-install-recommends "${named[@]}" | sed -n 's/^Inst \(lib[^ ]*\).*/\1/p')
    (cd debs && apt-get download -q $(printf '%s\n' "${named[@]}" $libraries | sort -u))
    for deb in debs/*.deb; do dpkg -x "$deb" .; done

    # The compiler finds its libraries beside itself …
    (cd usr/lib && ln -sf "$machine"/*.so* .)
    # … and the component linker finds wasm-ld only in the folder that rustc adds to its PATH.
    wasm_ld=$(ls -d usr/lib/llvm-*/bin/wasm-ld | head -n 1)
    ln -sf "../../../../../$wasm_ld" "$(ls -d usr/lib/rustlib/*-linux-gnu)/bin/wasm-ld"
    for tool in rustc cargo; do
        cat >bin/$tool <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$home/usr/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec $home/usr/bin/$tool "\$@"
WRAPPER
        chmod +x bin/$tool
    done

    echo '#![no_std]' >build/src/lib.rs
    cat >build/Cargo.toml <<'MANIFEST'
[package]
name = "sysroot"
version = "0.1.0"
edition = "2024"

[profile.release]
opt-level = "s"
debug = false

[workspace]
MANIFEST
    (cd build && unset CARGO_TARGET_DIR && RUSTC=$home/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cembed-bitcode=yes -Cpanic=abort" \
        "$home/bin/cargo" build --release --target $triple -Z build-std=std,panic_abort)
    local libs=usr/lib/rustlib/$triple/lib
    mkdir -p $libs/self-contained
    cp build/target/$triple/release/deps/*.rlib $libs/
    rm -f $libs/libsysroot*
    cp usr/lib/wasm32-wasi/{libc.a,crt1-command.o,crt1-reactor.o} $libs/self-contained/
    # What is needed once only; the rest is about 560 MB.
    rm -rf debs build usr/src usr/lib/rustlib/src usr/share usr/bin/rustdoc
}

key=$(fingerprint scripts/wasm-toolchain.sh)
made_before() { [ -x "$home/bin/rustc" ] && [ "$(cat "$stamps/wasm-toolchain" 2>/dev/null)" = "$key" ]; }

# UMBEL_TOOLCHAIN=debian skips what is installed, to try the third way where the others work.
if [ "${UMBEL_TOOLCHAIN:-}" != debian ]; then
    if "$root/scripts/cargo.sh" --own-only >/dev/null 2>&1; then
        if has_target; then : >"$home/env"; exit 0; fi
        if command -v rustup >/dev/null && ! made_before; then
            # No job: that it does not work here is no failure.
            progress "rustup target add $triple"
            by_rustup >"$logs/rustup.log" 2>&1 || true
            clear_line
            if has_target; then : >"$home/env"; exit 0; fi
        fi
    fi
fi
command -v apt-get >/dev/null ||
    die "no Rust compiler here knows $triple, and there is no apt-get to fetch one with" \
        "install Rust 1.95 or newer with rustup, then: rustup target add $triple"
if [ -z "$(ls /var/lib/apt/lists/*_Packages /var/lib/apt/lists/*_Packages.* 2>/dev/null)" ]; then
    [ "$(id -u)" = 0 ] || die "apt has no package lists" "ask an administrator for: apt-get update"
    step apt-lists "$(date +%F)" "apt-get update" apt-get update -q
fi
made_before || rm -f "$stamps/wasm-toolchain"
job wasm-toolchain "$key" "Rust for $triple from Debian" from_debian
jobs_end ||
    die "the Debian compiler could not be made" "with rustup: rustup target add $triple"
echo "export RUSTC=$home/bin/rustc" >"$home/env"
