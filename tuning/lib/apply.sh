# apply and revert: raise what is too low, never lower, and put it all back.
# shellcheck shell=bash

CHANGE_KEY=() CHANGE_HAVE=() CHANGE_WANT=()
LEFT_OUT=0

# raised KIND HAVE NEED: the value that satisfies both. It never falls below HAVE.
raised() {
    local old least
    read -r -a old <<<"$2"
    read -r -a least <<<"$3"
    case $1 in
    floor) at_least "${old[0]}" "${least[0]}" ;;
    triple)
        printf '%s %s %s' "$(at_least "${old[0]}" "${least[0]}")" \
            "$(at_least "${old[1]}" "${least[1]}")" "$(at_least "${old[2]}" "${least[2]}")"
        ;;
    range)
        printf '%s %s' "$(at_most "${old[0]}" "${least[0]}")" \
            "$(at_least "${old[1]}" "${least[1]}")"
        ;;
    esac
}

left_out() {
    LEFT_OUT=$((LEFT_OUT + 1))
    printf 'left out  %-34s %s\n' "$1" "$2"
}

# Told, and no failure: it has another place than a running machine.
not_ours() { printf 'elsewhere %-34s %s\n' "$1" "$2"; }

change_add() { CHANGE_KEY+=("$1") CHANGE_HAVE+=("$2") CHANGE_WANT+=("$3"); }

cmd_apply() {
    options_read "$@"
    lab_settle
    model_build
    changes_from_rows all
    changes_apply
    apply_summary
}

# changes_from_rows all|host|here: which rows count. host: what only the host has; here: the others.
changes_from_rows() {
    local i key
    CHANGE_KEY=() CHANGE_HAVE=() CHANGE_WANT=()
    for i in "${!ROW_KEY[@]}"; do
        key=${ROW_KEY[$i]}
        case $1 in
        host) machine_is_host_wide "$key" || continue ;;
        here) machine_is_host_wide "$key" && continue ;;
        esac
        change_from_row "$i"
    done
}

change_from_row() {
    local i=$1 key=${ROW_KEY[$1]} kind=${ROW_KIND[$1]} need=${ROW_NEED[$1]}
    row_state "$i"
    case $kind:$STATE in
    floor:low | triple:low | range:low)
        change_if_writable "$key" "$HAVE" "$(raised "$kind" "$HAVE" "$(fitted "$key" "$need")")"
        ;;
    flows:low) change_if_writable "$key" "$HAVE" "$need" ;;
    *:host) left_out "$key" "one value for the whole host; apply it there: $need" ;;
    zero:low) left_out "$key" "is $HAVE, a security choice; io_uring needs 0" ;;
    memory:low) left_out "$key" "has $(bytes_text "$HAVE"), needs $(bytes_text "$need")" ;;
    nofile:*) not_ours "$key" "a service's limit: tune plan $N --systemd" ;;
    hash:low) not_ours "$key" "fixed at boot: thash_entries=$need; for one box: tune lab" ;;
    esac
}

change_if_writable() {
    if machine_writable "$1"; then
        change_add "$@"
    else
        left_out "$1" "$2 -> $3 needs root on the host"
    fi
}

# Saves, then writes. Nothing is written unless everything is saved.
changes_apply() {
    local i
    if [ "$DRY_RUN" = yes ]; then
        for i in "${!CHANGE_KEY[@]}"; do
            printf 'would set %-34s %s -> %s\n' \
                "${CHANGE_KEY[$i]}" "${CHANGE_HAVE[$i]}" "${CHANGE_WANT[$i]}"
        done
        return
    fi
    ((${#CHANGE_KEY[@]})) || return 0
    state_lock
    changes_save
    for i in "${!CHANGE_KEY[@]}"; do
        change_write "${CHANGE_KEY[$i]}" "${CHANGE_HAVE[$i]}" "${CHANGE_WANT[$i]}"
    done
    state_unlock
}

changes_save() {
    local i
    if state_load && ! state_is_of_this_boot; then
        note "the values in $STATE_DIR are of an earlier boot and went with it; starting anew"
        STATE_KEY=() STATE_ORIGINAL=() STATE_APPLIED=()
    elif state_exists; then
        state_require_namespace
    fi
    for i in "${!CHANGE_KEY[@]}"; do
        state_add "${CHANGE_KEY[$i]}" "${CHANGE_HAVE[$i]}" "${CHANGE_WANT[$i]}"
    done
    state_store || die "could not save the old values in $STATE_DIR; nothing was changed"
}

# A write that the kernel takes and then rounds or clamps is told, not hidden.
change_write() {
    local now
    if ! machine_write "$1" "$3"; then
        left_out "$1" "$2 -> $3 was refused by the kernel"
        return
    fi
    now=$(machine_get "$1")
    if [ "$now" = "$3" ]; then
        printf 'set       %-34s %s -> %s\n' "$1" "$2" "$3"
    else
        left_out "$1" "$2 -> $3 was asked, the kernel made it $now"
    fi
}

apply_summary() {
    if [ "$DRY_RUN" = yes ]; then
        note "dry run: ${#CHANGE_KEY[@]} would be set, $LEFT_OUT left out, nothing was changed"
    elif ((${#CHANGE_KEY[@]} == 0)); then
        note "nothing to raise; $LEFT_OUT left out"
    else
        note "old values are in $STATE_DIR; tune revert puts them back. $LEFT_OUT left out"
    fi
    exit $((LEFT_OUT > 0))
}

cmd_revert() {
    local used
    while [ $# -gt 0 ]; do
        option_take "$@"
        used=$OPTION_USED
        ((used)) || die_usage "revert takes --state and --dry-run, not $1"
        shift "$used"
    done
    lab_settle
    state_exists || { note "nothing saved in $STATE_DIR, nothing to put back" && exit 0; }
    [ "$DRY_RUN" = yes ] || state_lock
    revert_saved
}

# Puts back what STATE_DIR holds. The file goes only when every value has been read back right.
revert_saved() {
    local i
    state_load || return 0
    if ! state_is_of_this_boot; then
        note "the machine has booted since; the values went back by themselves"
        [ "$DRY_RUN" = yes ] || state_remove
        return 0
    fi
    state_require_namespace
    for i in "${!STATE_KEY[@]}"; do
        revert_one "${STATE_KEY[$i]}" "${STATE_ORIGINAL[$i]}" "${STATE_APPLIED[$i]}"
    done
    [ "$DRY_RUN" = yes ] && note "dry run: nothing was changed" && return 0
    revert_prove
}

revert_one() {
    local now
    now=$(machine_get "$1") || now=-
    if [ "$now" = "$2" ]; then
        return
    elif [ "$DRY_RUN" = yes ]; then
        printf 'would set %-34s %s -> %s\n' "$1" "$now" "$2"
        return
    fi
    [ "$now" = "$3" ] || note "$1 is $now, not the $3 that was applied: somebody changed it since"
    machine_write "$1" "$2" && printf 'set       %-34s %s -> %s\n' "$1" "$now" "$2"
}

# Reads everything again after the last write, since one setting may move another.
revert_prove() {
    local i now wrong=0
    for i in "${!STATE_KEY[@]}"; do
        now=$(machine_get "${STATE_KEY[$i]}") || now=-
        [ "$now" = "${STATE_ORIGINAL[$i]}" ] && continue
        printf 'not back  %-34s is %s, was %s\n' "${STATE_KEY[$i]}" "$now" "${STATE_ORIGINAL[$i]}"
        wrong=$((wrong + 1))
    done
    if ((wrong)); then
        note "$wrong of ${#STATE_KEY[@]} values are not back; the saved values stay in $STATE_DIR"
        return 1
    fi
    state_remove
    note "read back: all ${#STATE_KEY[@]} values are as they were"
}
