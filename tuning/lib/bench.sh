# bench: the seam to the load generator. Only this file knows its command line and its result.
# shellcheck shell=bash

BENCH_HELD_KEY=opened # numbers in the result file of `ringside-bench hold`: connect.opened
BENCH_LOST_KEY=lost   # and ledger.lost; docs/RESULTS.md names them all

bench_path() {
    local built
    built="$(dirname "$TUNE_HOME")/build/release/bench/ringside-bench"
    printf '%s' "${RINGSIDE_BENCH:-$(command -v "$built" || command -v ringside-bench ||
        printf '%s' "$built")}"
}

bench_require() {
    [ -x "$(bench_path)" ] && return
    die "no load generator at $(bench_path); build it with ./build.sh, or set RINGSIDE_BENCH"
}

# The bench's name of a transport; the rest are called alike.
bench_transport() {
    case $TRANSPORT in
        ws) printf websocket ;;
        *) printf '%s' "$TRANSPORT" ;;
    esac
}

# bench_hold FILE: opens N connections, server and clients on this machine, and holds them.
bench_hold() {
    local results code=0
    results=$(mktemp -d -t ringside-verify.XXXXXX) # kept: the bench names the report in it
    "$(bench_path)" hold --connections "$N" --transport "$(bench_transport)" --against none \
        --seconds "$SECONDS_HELD" --results "$results" --json "$1" || code=$?
    rmdir --ignore-fail-on-non-empty "$results"
    return "$code"
}

# bench_number FILE KEY: the first "KEY": 123 in the result, at any depth.
bench_number() {
    grep -o "\"$2\"[[:space:]]*:[[:space:]]*[0-9][0-9]*" "$1" 2>/dev/null | sed -n '1s/.*[^0-9]//p'
}
