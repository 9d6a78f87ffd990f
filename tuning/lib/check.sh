# check: needs against what is there. Reads, never writes.
# shellcheck shell=bash

cmd_check() {
    local short=0
    options_read "$@"
    model_build
    check_rows || short=1
    check_advice || short=1
    check_counters
    exit $short
}

check_rows() {
    local i low=0
    plan_title
    printf '\n%-34s %-25s %-25s %s\n' setting have need state
    for i in "${!ROW_KEY[@]}"; do
        row_state "$i"
        row_print "$i"
        case $STATE in
        low | host | rings | tight | absent)
            say_under why "${ROW_WHY[$i]}"
            say_under shows "${ROW_SHOWS[$i]}"
            row_advice "$i"
            ;;
        esac
        [ "$STATE" = low ] && low=$((low + 1))
    done
    printf '\n%d too low; tune plan explains every row, tune apply raises the sysctls\n' "$low"
    ((low == 0))
}

check_advice() {
    local kind found text harmful=0
    printf '\nadvice to undo\n'
    while IFS=$'\t' read -r kind found text; do
        printf '%-10s %s\n' "$kind" "$found"
        say_under because "$text"
        [ "$kind" = harmful ] && harmful=$((harmful + 1))
    done < <(advice_all)
    printf '%d harmful\n' "$harmful"
    ((harmful == 0))
}

check_counters() {
    printf '\nsince boot, or since this namespace was made, the kernel counted\n'
    counters_moved '' "$(counters_read)" || printf 'nothing that a setting here prevents\n'
}
