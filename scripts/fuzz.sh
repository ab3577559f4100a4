#!/usr/bin/env bash
# fuzz.sh [--where-possible] SECONDS [TARGET...]
#     Runs the fuzzers of fuzz/, or those that are named, for so long each, as many at a time as there
#     are processors. Says what each did; when one finds something, with which input and how to go on.
# fuzz.sh --again TARGET FILE
#     Runs one of them on one input, such as one that it found.
#
# The stable compiler is enough: libFuzzer wants counters in the code, and the flags for those are
# stable. Those for sanitizers are not; this code has no `unsafe` for them to watch.
#
# Exit codes: 1 when something was found, or does not compile; 3 when the fuzzer cannot be had (no C++
# compiler, nothing to fetch it from), which --where-possible says as loudly and lets pass.
set -euo pipefail

cd "$(dirname "$0")/.."
place=$(scripts/target.sh)/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=$place/build/$host/release
jobs=$(nproc)
where_possible=

# Where the code has gone, and what it compared: the fuzzer learns from both.
flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)

say() { printf '%s\n' "fuzz: $*" >&2; }

main() {
    mkdir -p "$place"
    if [ "${1:-}" = --again ]; then
        [ $# = 3 ] || usage
        build_all
        exec "$binaries/$2" -timeout=5 -rss_limit_mb=2048 "$3"
    fi
    if [ "${1:-}" = --where-possible ]; then
        where_possible=yes
        shift
    fi
    local seconds=${1:-}
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || usage
    shift
    local wanted=("$@") target
    [ $# -gt 0 ] || mapfile -t wanted < <(targets)
    for target in "${wanted[@]}"; do
        [ -f "fuzz/fuzz_targets/$target.rs" ] || usage
    done
    build_all
    # Folders of fuzzers that were killed.
    rm -rf "$place/tmp"
    mkdir "$place/tmp"
    say "${wanted[*]}: $seconds s each, $jobs at a time"
    run_all "$seconds" "${wanted[@]}"
}

usage() {
    sed -n '2,6p' "$0" >&2
    exit 2
}

targets() {
    local file
    for file in fuzz/fuzz_targets/*.rs; do
        basename "$file" .rs
    done
}

build_all() {
    lock
    type -P "${CXX:-c++}" >/dev/null || unavailable "there is no C++ compiler"
    cargo fetch --quiet --manifest-path fuzz/Cargo.toml --target "$host" ||
        unavailable "its crates cannot be fetched"
    build --package libfuzzer-sys || unavailable "libFuzzer cannot be built"
    build || exit 1
}

# The service's own versions, and what the fuzzers add to them. Made anew when those change.
lock() {
    if ! cmp -s Cargo.lock "$place/Cargo.lock" || [ ! -w fuzz/Cargo.lock ]; then
        cp -f Cargo.lock fuzz/Cargo.lock
        cp -f Cargo.lock "$place/Cargo.lock"
    fi
}

unavailable() {
    say "NO FUZZING: $*"
    [ -n "$where_possible" ] || exit 3
    exit 0
}

# With the host named, as the flags would otherwise be those of build scripts and macros as well, which
# no fuzzer is linked to.
build() {
    RUSTFLAGS="${flags[*]}" cargo build --manifest-path fuzz/Cargo.toml --release \
        --target "$host" --target-dir "$place/build" "$@"
}

run_all() {
    local seconds=$1 target failed=0 running=0
    shift
    for target in "$@"; do
        if [ "$running" -ge "$jobs" ]; then
            wait -n || failed=1
            running=$((running - 1))
        fi
        run "$target" "$seconds" &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do
        wait -n || failed=1
        running=$((running - 1))
    done
    return "$failed"
}

run() {
    local target=$1 seconds=$2 log=$place/$1.log corpus=$place/corpus/$1 found=$place/found/$1 code=0
    mkdir -p "$corpus" "$found"
    # What it learns is kept for the next time in the first of these folders; the others are only read.
    local inputs=("$corpus" "fuzz/seeds/$target")
    [ ! -d "fuzz/found/$target" ] || inputs+=("fuzz/found/$target")
    TMPDIR=$place/tmp "$binaries/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 \
        -print_final_stats=1 -dict="fuzz/dictionaries/$target.dict" -artifact_prefix="$found/" \
        "${inputs[@]}" >"$log" 2>&1 || code=$?
    if [ "$code" = 0 ]; then
        say "$target: $(told "$log"); nothing found"
    else
        report "$target" "$log" "$code"
        return 1
    fi
}

# How much it tried, and how much of the code that reached.
told() {
    local runs edges features
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1" | tail -n 1)
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$1" | tail -n 1)
    features=$(sed -n 's/.* ft: \([0-9]*\) .*/\1/p' "$1" | tail -n 1)
    printf '%s runs, %s edges, %s features' "${runs:-no}" "${edges:-no}" "${features:-no}"
}

report() {
    local target=$1 log=$2 code=$3 input
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    say "$target: FOUND ${input:-something it could not write down} (exit code $code)"
    { grep -m 1 -A 5 'panicked at' "$log" || tail -n 20 "$log"; } | sed 's/^/    /' >&2
    say "$target: all that it said is in $log; $(told "$log")"
    [ -n "$input" ] || return 0
    say "$target: once more: scripts/fuzz.sh --again $target $input"
    say "$target: smaller: $binaries/$target -minimize_crash=1 -max_total_time=60 $input"
    say "$target: what to do with it is in CONTRIBUTING.md"
}

main "$@"
