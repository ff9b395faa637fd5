# Shared by the scripts here: sourced, never run. Folders, messages, jobs with progress, stamps.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/target
stamps=$target/stamps
logs=$target/logs
mkdir -p "$stamps" "$logs"

# Ctrl-C ends the jobs in the background too.
trap 'trap - INT TERM; printf "\n" >&2; kill -- 0' INT TERM

say() { printf '%s\n' "$*" >&2; }

# die SENTENCE [HELP]: the only way a script here gives up.
die() {
    say "error: $1"
    if [ -n "${2:-}" ]; then say "help: $2"; fi
    exit 1
}

# fingerprint PATH...: one word that changes when any file below these paths does.
fingerprint() {
    (cd "$root" && find "$@" \( -name target -o -name node_modules -o -name .venv -o -name __pycache__ \) -prune \
        -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}

# Jobs: `job NAME KEY LABEL COMMAND…` starts one unless its stamp holds KEY; `jobs_end` waits for all.
# Never `job … || …`: bash would then run all of the command without `set -e`.
job_names=() job_labels=() job_keys=() job_pids=() job_starts=()

job() {
    local name=$1 key=$2 label=$3
    shift 3
    if [ "$(cat "$stamps/$name" 2>/dev/null)" = "$key" ]; then return; fi
    rm -f "$stamps/$name"
    (set -e; "$@") >"$logs/$name.log" 2>&1 </dev/null &
    job_pids+=($!) job_names+=("$name") job_keys+=("$key") job_labels+=("$label") job_starts+=($SECONDS)
}

jobs_end() {
    local failed=0 waiting i
    while [ ${#job_pids[@]} -gt 0 ]; do
        waiting=""
        for i in "${!job_pids[@]}"; do
            if kill -0 "${job_pids[i]}" 2>/dev/null; then
                waiting+="${waiting:+, }${job_labels[i]}"
            else
                job_end "$i" || failed=1
            fi
        done
        if [ -n "$waiting" ]; then progress "$waiting"; sleep 0.2; fi
    done
    job_names=() job_labels=() job_keys=() job_pids=() job_starts=()
    return $failed
}

job_end() {
    local i=$1 seconds=$((SECONDS - job_starts[i]))
    clear_line
    if wait "${job_pids[i]}"; then
        printf '%s' "${job_keys[i]}" >"$stamps/${job_names[i]}"
        say "  ${job_labels[i]}: done in $seconds s"
        unset "job_pids[i]"
    else
        say "  ${job_labels[i]}: FAILED after $seconds s; the end of target/logs/${job_names[i]}.log:"
        tail -n 30 "$logs/${job_names[i]}.log" | sed 's/^/    /' >&2
        unset "job_pids[i]"
        return 1
    fi
}

# One line that rewrites itself, on a terminal only.
progress() {
    if [ -t 2 ]; then
        local turn='|/-\'
        printf '\r\033[K  %s %s … %s s' "${turn:((SECONDS % 4)):1}" "$1" "$SECONDS" | cut -c "1-${COLUMNS:-100}" | tr -d '\n' >&2
    fi
}

clear_line() { if [ -t 2 ]; then printf '\r\033[K' >&2; fi; }

# step NAME KEY LABEL COMMAND…: one job, waited for.
step() {
    job "$@"
    jobs_end
}

# only_once NAME: two makes at a time do not do the same work twice.
only_once() {
    exec 9>"$target/$1.lock"
    if ! flock -n 9; then
        say "waiting for another run of $1"
        flock 9
    fi
}

# install_packages PACKAGE…: from Debian; without root, one sentence that says what to ask for.
install_packages() {
    if [ "$(id -u)" != 0 ]; then
        die "these Debian packages are missing: $*" "ask an administrator for: apt-get install $*"
    fi
    command -v apt-get >/dev/null || die "this machine has no apt-get, and needs: $*"
    job packages "$(date)" "install $*" apt_install "$@"
    jobs_end || die "apt-get could not install: $*"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    # A server from a package shall not start by itself: the tests start their own.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap "rm -f $policy" EXIT
    fi
    apt-get install -y -q --no-install-recommends "$@" ||
        { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }
}
