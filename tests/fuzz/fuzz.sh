# shellcheck shell=bash
# fuzz.sh: the part of build.sh that fuzzes. It is sourced there, and uses what is defined there.

# What searches for hours has an optimizer. The second of each parser in `test` would not pay for
# it: to compile takes 36 s of CPU without, some 90 with it, for twice the executions.
FUZZ_OPTIMIZATION=2

# All parsers that have a fuzzer, or the one that is named.
fuzz_names() {
    local source name
    for source in tests/fuzz/fuzz_*.c; do
        name="$(basename "$source" .c)"
        name="${name#fuzz_}"
        if [[ -z "${1:-}" || "$1" == "$name" ]]; then
            echo "$name"
        fi
    done
}

fuzz_build() {
    CC=clang build_flavour fuzz fuzzers
}

# Fuzzes one parser from its corpus, with a seed that nobody has chosen. New inputs go to a folder
# beside the build, and so does the input that fails. Leaves there what libFuzzer said, and the
# seconds of CPU. fuzz_one <build folder> <name> <seconds>
fuzz_one() {
    local dir="$1" name="$2" seconds="$3" seed=$((RANDOM * 32768 + RANDOM + 1)) status=0
    local out="$dir/found/$name" log="$dir/found/$name.log" TIMEFORMAT='%U %S'
    mkdir -p "$out"
    rm -f "$dir/found/$name.failed"
    { time "$dir/tests/fuzz/fuzz_$name" -seed="$seed" -max_total_time="$seconds" \
        -print_final_stats=1 -artifact_prefix="$dir/found/crash-$name-" "$out" \
        "tests/fuzz/corpus/$name" >"$log" 2>&1; } 2>"$dir/found/$name.time" || status=$?
    if [[ $status -eq 0 ]]; then
        printf '  %-16s %s executions\n' "$name" "$(fuzz_executions "$dir" "$name")"
        return 0
    fi
    : >"$dir/found/$name.failed"
    tail -n 40 "$log"
    printf 'fuzz_%s failed. The input that did it is above; this finds it again, and any other:\n' \
        "$name"
    printf '  %s -seed=%s %s %s\n' "$dir/tests/fuzz/fuzz_$name" "$seed" "$out" \
        "tests/fuzz/corpus/$name"
    return "$status"
}

fuzz_executions() {
    awk '/stat::number_of_executed_units/ { print $2 }' "$1/found/$2.log"
}

# All of them, one beside the other on all cores: fuzz_all <seconds> <name ...>
fuzz_all() {
    local seconds="$1"
    shift
    export -f fuzz_one fuzz_executions
    printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -I '{}' \
        bash -c 'fuzz_one "$@"' fuzz_one "$BUILD_ROOT/fuzz" '{}' "$seconds"
}

# Keeps in the repository, of all that was found, a smallest set that reaches the same code.
fuzz_keep() {
    local name="$1" dir="$BUILD_ROOT/fuzz" kept="$BUILD_ROOT/fuzz/kept/$1"
    local before after
    rm -rf "$kept"
    mkdir -p "$kept"
    before="$(find "tests/fuzz/corpus/$name" -type f | wc -l)"
    "$dir/tests/fuzz/fuzz_$name" -use_counters=0 -set_cover_merge=1 "$kept" \
        "tests/fuzz/corpus/$name" "$dir/found/$name" >"$dir/found/$name.merge" 2>&1 ||
        { tail -n 20 "$dir/found/$name.merge"; return 1; }
    fuzz_copy_new "$kept" "tests/fuzz/corpus/$name"
    after="$(find "tests/fuzz/corpus/$name" -type f | wc -l)"
    if [[ $after -gt $before ]]; then
        printf '  %s: %s inputs more in tests/fuzz/corpus\n' "$name" "$((after - before))"
    fi
}

# Inputs keep the names that people gave them: only what no file there is equal to is copied.
fuzz_copy_new() {
    local file
    for file in "$1"/*; do
        if [[ -f "$file" && ! -e "$2/$(basename "$file")" ]] &&
            ! sha1sum "$2"/* | grep -q "^$(basename "$file") "; then
            cp "$file" "$2/"
        fi
    done
}

# What docs/THREATS.md keeps of a run.
fuzz_line() {
    local name executions=0 cpu=0
    for name in "$@"; do
        executions=$((executions + $(fuzz_executions "$BUILD_ROOT/fuzz" "$name")))
        cpu="$(awk -v sum="$cpu" '{ print sum + $1 + $2 }' "$BUILD_ROOT/fuzz/found/$name.time")"
    done
    printf '\ncommit %s: %d parsers, %.1f hours of CPU, %d executions\n' \
        "$(git rev-parse --short HEAD)" $# "$(awk -v s="$cpu" 'BEGIN { print s / 3600 }')" \
        "$executions"
}

# How many parsers stood it, and how many failed, into a file.
fuzz_report() {
    local file="$1" total="$2" failed
    failed="$(find "$BUILD_ROOT/fuzz/found" -name '*.failed' | wc -l)"
    printf '%d %d\n' $((total - failed)) "$failed" >"$file"
}

# fuzz [name] [seconds]; or fuzz [name] --hours N, which is N hours of CPU over all of them. In
# `test` with --report FILE: all from their corpus, and the file is told how many failed.
cmd_fuzz() {
    local only="" seconds=60 hours="" report="" names name status=0
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --hours)
            hours="${2:-}"
            [[ "$hours" =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "fuzz --hours needs a number"
            shift
            ;;
        --report)
            report="${2:-}"
            # shellcheck disable=SC2034  # build.sh
            FUZZ_OPTIMIZATION=0
            shift
            ;;
        [0-9]*) seconds="$1" ;;
        *) only="$1" ;;
        esac
        shift
    done
    mapfile -t names < <(fuzz_names "$only")
    [[ ${#names[@]} -gt 0 ]] || die "no fuzzer '$only' in tests/fuzz"
    if [[ -n "$hours" ]]; then
        seconds="$(awk -v h="$hours" -v n="${#names[@]}" 'BEGIN { print int(h * 3600 / n) + 1 }')"
    fi
    deps build test fuzz
    fuzz_build
    say "Fuzzing ${#names[@]} parsers for $seconds seconds each"
    if [[ -n "$report" ]]; then
        rm -rf "$BUILD_ROOT/fuzz/found"
    fi
    fuzz_all "$seconds" "${names[@]}" || status=$?
    if [[ -n "$report" ]]; then
        fuzz_report "$report" "${#names[@]}"
    fi
    [[ $status -eq 0 ]] || die "a fuzzer found something: see above"
    if [[ -n "$hours" ]]; then
        for name in "${names[@]}"; do
            fuzz_keep "$name"
        done
    fi
    fuzz_line "${names[@]}"
}
