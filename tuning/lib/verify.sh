# verify: opens what apply promises. A setting that reads well and does not work is found here.
# shellcheck shell=bash

VERIFY_SPARE_PERCENT=5 # of memory that stays free: the machine must not be driven to the OOM killer

cmd_verify() {
    local result before status=0
    ROLE=both
    options_read "$@"
    bench_require
    verify_memory
    if [ "$DRY_RUN" = yes ]; then
        note "would hold $N $TRANSPORT connections for $SECONDS_HELD s with $(bench_path)"
        exit 0
    fi
    result=$(verify_result_file) || die "cannot make a result file"
    before=$(counters_read)
    trap ':' INT
    bench_hold "$result" || status=$?
    trap - INT
    verify_report "$status" "$result" "$before"
}

verify_result_file() {
    if [ -n "$JSON_FILE" ]; then
        printf '%s' "$JSON_FILE"
    else
        mktemp -t ringside-verify.XXXXXX
    fi
}

# Before the run, never half-way through it.
verify_memory() {
    local free need
    free=$(awk '/^MemAvailable:/ { printf "%.0f", $2 * 1024 }' "$TUNE_ROOT/proc/meminfo")
    need=$(($(model_idle_bytes) * (100 + VERIFY_SPARE_PERCENT) / 100))
    ((need <= ${free:-0})) && return
    die "$N connections with both ends here take $(bytes_text "$need")," \
        "$(bytes_text "${free:-0}") is free: verify fewer, or use a second machine"
}

# verify_report STATUS FILE BEFORE
verify_report() {
    local held lost verdict=kept moved
    held=$(bench_number "$2" "$BENCH_HELD_KEY")
    lost=$(bench_number "$2" "$BENCH_LOST_KEY")
    if (($1 > 128)); then
        verdict=interrupted
    elif (($1 != 0 || ${held:-0} < N || ${lost:-0} > 0)); then
        verdict=broken
    fi
    printf '%-12s %s connections asked, %s held, %s lost, bench status %d\n' \
        "$verdict" "$N" "${held:-?}" "${lost:-?}" "$1"
    printf 'meanwhile the kernel counted\n'
    moved=$(counters_moved "$3" "$(counters_read)") || moved='nothing that points to a setting'
    printf '%s\n' "$moved"
    note "result: $2"
    [ "$verdict" = kept ] || exit 1
    exit 0
}
