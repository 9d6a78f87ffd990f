# state: the values as they were before the first apply.
#
# DIR/saved, one line each, TAB between:
#   boot ID          sysctls do not survive a boot, so neither do saved values
#   netns ID         net.* belong to a namespace; they go back where they came from
#   set KEY ORIGINAL APPLIED
# The file is complete before the first value changes, and replaced by rename: whatever moment an
# apply is cut off at, revert knows every original. A key that is in it is never saved again.
# shellcheck shell=bash

STATE_KEY=() STATE_ORIGINAL=() STATE_APPLIED=()
STATE_BOOT='' STATE_NETNS=''

state_file() { printf '%s/saved' "$STATE_DIR"; }

state_exists() { [ -f "$(state_file)" ]; }

state_load() {
    local what first second third
    STATE_KEY=() STATE_ORIGINAL=() STATE_APPLIED=() STATE_BOOT='' STATE_NETNS=''
    state_exists || return 1
    while IFS=$'\t' read -r what first second third; do
        case $what in
        boot) STATE_BOOT=$first ;;
        netns) STATE_NETNS=$first ;;
        set) STATE_KEY+=("$first") STATE_ORIGINAL+=("$second") STATE_APPLIED+=("$third") ;;
        esac
    done <"$(state_file)"
}

state_index() {
    local i
    for i in "${!STATE_KEY[@]}"; do
        [ "${STATE_KEY[$i]}" = "$1" ] && printf '%d' "$i" && return
    done
    return 1
}

# state_add KEY NOW WANT: the first value seen stays the original.
state_add() {
    local i
    if i=$(state_index "$1"); then
        STATE_APPLIED[i]=$3
    else
        STATE_KEY+=("$1") STATE_ORIGINAL+=("$2") STATE_APPLIED+=("$3")
    fi
}

state_store() {
    local file new i
    file=$(state_file)
    new=$file.new
    {
        printf 'boot\t%s\nnetns\t%s\n' "$(machine_boot)" "$(machine_netns)"
        for i in "${!STATE_KEY[@]}"; do
            printf 'set\t%s\t%s\t%s\n' \
                "${STATE_KEY[$i]}" "${STATE_ORIGINAL[$i]}" "${STATE_APPLIED[$i]}"
        done
    } >"$new" && sync "$new" && mv "$new" "$file" && sync "$STATE_DIR"
}

state_remove() { rm -f "$(state_file)" && sync "$STATE_DIR"; }

# One tune at a time on one state. The lock is freed when the process ends, however it ends.
state_lock() {
    mkdir -p "$STATE_DIR" 2>/dev/null
    [ -w "$STATE_DIR" ] || die "cannot keep old values in $STATE_DIR; be root, or --state DIR"
    exec {STATE_LOCK}>"$STATE_DIR/lock" || die "cannot open $STATE_DIR/lock"
    flock -w 10 "$STATE_LOCK" || die "another tune works on $STATE_DIR"
}

state_unlock() { exec {STATE_LOCK}>&-; }

# The saved values are worth something only on the boot and in the namespace that they came from.
state_is_of_this_boot() { [ "$STATE_BOOT" = "$(machine_boot)" ]; }

state_require_namespace() {
    [ "$STATE_NETNS" = "$(machine_netns)" ] && return
    die "$STATE_DIR holds values of namespace $STATE_NETNS, this is $(machine_netns):" \
        "go there with nsenter, or use another --state. If it is gone its values are gone too:" \
        "remove $(state_file)"
}
