#!/bin/bash
# Runs every test of the workspace with the one release profile, and adds up. Arguments go to cargo test.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$root/scripts/environment.sh"
cd "$root"

# The photograph of the thumbnail tests.
"$root/scripts/samples.sh"

# Processes are killed here, not machines: what servers write may stay in memory, where no slow disk holds them up.
memory=$(df --output=avail -BM /dev/shm 2>/dev/null | tail -n 1 | tr -dc 0-9)
if [ -w /dev/shm ] && [ "${memory:-0}" -ge 4096 ]; then export UMBEL_SERVERS=${UMBEL_SERVERS:-/dev/shm}; fi

# Tests mostly wait for servers and clocks: more of them at a time than there are cores.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}

status=0
"$root/scripts/cargo.sh" test --release --locked --workspace --no-fail-fast "$@" |& tee "$logs/test.log" || status=$?

# failed: the suite and the name of each test that failed.
failed() {
    awk '/^ *Running .*\(.*\)$/ { suite = $NF; sub(/.*\//, "", suite); sub(/-[0-9a-f]+\)$/, "", suite) }
         /^test .* FAILED$/ { print suite, $2 }' "$logs/test.log"
}

# A machine that stands still for a while fails tests that wait: a few get a second try, alone, and are named.
# Never where it is about what is lost or what gets out: there, once is a defect.
again() {
    local suite name
    [ "$(failed | wc -l)" -le 3 ] || return 1
    while read -r suite name; do
        case $suite in interop | compat | operators | cli | guides | ports | reload) ;; *) return 1 ;; esac
        printf '\n%s failed; once more, alone\n' "$name"
        "$root/scripts/cargo.sh" test --release --locked --quiet --workspace --test "$suite" -- --exact "$name" </dev/null || return 1
        unsteady+=("$suite $name")
    done < <(failed)
}

# What failed and why stands at the end, where whoever looks at a long log looks first.
unsteady=()
if [ "$status" -ne 0 ]; then
    if [ $# -eq 0 ] && [ -n "$(failed)" ] && again; then status=0; fi
    printf '\nfailed, each with the end of what it said:\n'
    awk '/^---- .* ----$/ { print "\n" $0; left = 40; next } /^failures:$/ { left = 0 } left > 0 { print substr($0, 1, 400); left-- }' "$logs/test.log"
    awk '/^test .*FAILED/' "$logs/test.log"
fi
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "\n%d passed, %d failed\n", passed, failed }' "$logs/test.log"
if [ "$status" -eq 0 ]; then for one in "${unsteady[@]}"; do printf 'unsteady, passed alone: %s\n' "$one"; done; fi
exit $status
