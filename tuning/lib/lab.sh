# lab: a network namespace of its own for experiments on one machine.
#
#   this process, on the host   raises what only the host has (tcp_mem, fs.*), reverts it at the end
#     outer namespace           carries one value: tcp_child_ehash_entries
#       inner namespace         is born with the large hash; lo up, wide ports, floors; runs CMD
#
# To compare: --set NET_KEY=VALUE changes one setting, --hash BUCKETS the hash, and --plain raises
# nothing at all: the namespace of a machine that nobody tuned.
#
# The kernel gives a new namespace the hash size that its parent asks for. The outer namespace is
# that parent, so the host's value is never touched. Neither namespace has a name: both are gone
# when CMD is, whatever ended it. Without root a user namespace makes them, and host values stay.
# shellcheck shell=bash

LAB_CONNECTIONS=1000000
LAB_SET=()
LAB_HASH=
LAB_PLAIN=no
LAB_COMMAND=()

cmd_lab() {
    local status=0
    ROLE=both
    lab_options "$@"
    lab_clients_have_sockets || ROLE=server
    model_build
    if [ "${LAB_INSIDE:-}" = yes ]; then
        lab_inside
    elif [ "$DRY_RUN" = yes ]; then
        lab_dry_run
    else
        lab_host_begin >&2 # standard output belongs to CMD
        lab_run || status=$?
        lab_host_end >&2
        exit "$status"
    fi
}

lab_options() {
    while [ $# -gt 0 ]; do
        option_take "$@"
        if ((OPTION_USED)); then
            shift "$OPTION_USED"
            continue
        fi
        case $1 in
        --for | --set | --hash) [ $# -ge 2 ] || die_usage "$1 needs a value" ;;
        esac
        case $1 in
        --for) option_count "$2" && shift 2 ;;
        --set) lab_option_set "$2" && shift 2 ;;
        --hash) lab_option_hash "$2" && shift 2 ;;
        --plain) LAB_PLAIN=yes && shift ;;
        --) shift && break ;;
        -*) die_usage "no such option of lab: $1" ;;
        *) break ;;
        esac
    done
    LAB_COMMAND=("$@")
    ((N)) || N=$LAB_CONNECTIONS
    options_complete
    ((${#LAB_COMMAND[@]})) || LAB_COMMAND=("${SHELL:-/bin/bash}")
}

# The bench says of clients that have none: then one end of each connection is the kernel's.
lab_clients_have_sockets() {
    local words=" ${LAB_COMMAND[*]} "
    [[ ${words//=/ } != *' --clients socketless '* ]]
}

# A setting for this lab alone: how congestion control and autocorking are compared.
lab_option_set() {
    [[ $1 == net.*=* ]] || die_usage "--set takes net.KEY=VALUE, not $1"
    machine_is_host_wide "${1%%=*}" && die_usage "${1%%=*} is one value for the whole host"
    LAB_SET+=("$1")
}

lab_option_hash() {
    [[ $1 =~ ^[1-9][0-9]{0,7}$ ]] || die_usage "not a number of hash buckets: $1"
    (($1 <= HASH_MAX)) || die_usage "the kernel makes no more than $HASH_MAX buckets, not $1"
    LAB_HASH=$1
}

# Buckets to ask for; 0 shares the host's table.
lab_hash() {
    if [ "$LAB_PLAIN" = yes ]; then
        printf '%d' "${LAB_HASH:-0}"
    else
        printf '%d' "${LAB_HASH:-$(model_hash)}"
    fi
}

lab_words() {
    local pair
    printf '%s\0' lab --for "$N" --role "$ROLE" --state "$STATE_DIR" --engine "$ENGINE" \
        --shards "$SHARDS" --transport "$TRANSPORT" --message "$MESSAGE_BYTES"
    [ "$LAB_PLAIN" = yes ] && printf '%s\0' --plain
    for pair in "${LAB_SET[@]}"; do printf '%s\0' --set "$pair"; done
    printf '%s\0' -- "${LAB_COMMAND[@]}"
}

lab_dry_run() {
    [ "$LAB_PLAIN" = yes ] || changes_from_rows host
    changes_apply
    note "would make a namespace with $(lab_hash) TCP hash buckets, and run: ${LAB_COMMAND[*]}"
    exit 0
}

lab_run() {
    local flags=(-n) words child='' status
    [ "$(id -u)" = 0 ] || flags=(-U -r -n)
    mapfile -d '' words < <(lab_words)
    trap ':' INT
    trap 'kill -TERM "$child" 2>/dev/null' TERM HUP
    # A background child has SIGINT off and no terminal by default; both are given back.
    # shellcheck disable=SC2016
    env --default-signal=INT,QUIT LAB_INSIDE=yes unshare "${flags[@]}" -- sh -c '
        echo "$1" >/proc/sys/net/ipv4/tcp_child_ehash_entries ||
            echo "left out  TCP hash: no tcp_child_ehash_entries here (Linux 6.1 has)" >&2
        shift
        exec unshare -n -- "$@"' sh "$(lab_hash)" "$TUNE_HOME/tune" "${words[@]}" <&0 &
    child=$!
    # wait returns early for each trapped signal; the lab ends when its command has.
    while :; do
        wait "$child"
        status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    return "$status"
}

# In the inner namespace; becomes CMD.
lab_inside() {
    local pair
    ip link set lo up || die "cannot set lo up; is iproute2 there?"
    if [ "$LAB_PLAIN" = no ]; then
        changes_from_rows here >/dev/null
        lab_write
    fi
    for pair in "${LAB_SET[@]}"; do
        machine_write "${pair%%=*}" "${pair#*=}" || die "--set $pair was refused by the kernel"
    done
    ulimit -S -n "$(ulimit -H -n)"
    note "lab: $(machine_get net.ipv4.tcp_ehash_entries) buckets; to join: nsenter -t $$ -n" >&2
    unset LAB_INSIDE
    # What is run inside can say how it was run.
    RINGSIDE_LAB="tuning/tune lab --for $N$([ "$LAB_PLAIN" = no ] || printf ' --plain')"
    for pair in "${LAB_SET[@]}"; do RINGSIDE_LAB+=" --set $pair"; done
    export RINGSIDE_LAB="$RINGSIDE_LAB${LAB_HASH:+ --hash $LAB_HASH}"
    exec "${LAB_COMMAND[@]}"
}

# Nothing is saved: the values end with the namespace.
lab_write() {
    local i
    for i in "${!CHANGE_KEY[@]}"; do
        machine_write "${CHANGE_KEY[$i]}" "${CHANGE_WANT[$i]}" ||
            note "left out  ${CHANGE_KEY[$i]}" >&2
    done
}

# --- what only the host has ----------------------------------------------------------------------
# Several labs may run at once. The first raises, the last reverts; each is a file named by its
# process id in DIR/lab/users, so that a lab that was killed is noticed and cleaned up after.

lab_host_begin() {
    local base=$STATE_DIR
    [ "$LAB_PLAIN" = no ] || return 0
    changes_from_rows host
    ((${#CHANGE_KEY[@]})) || lab_has_users || return 0
    STATE_DIR=$base/lab
    state_lock
    mkdir -p "$STATE_DIR/users"
    : >"$STATE_DIR/users/$$"
    trap lab_host_end EXIT
    state_unlock
    # Again: until our file was there, an ending lab might have put the values back.
    changes_from_rows host >/dev/null
    changes_apply
    STATE_DIR=$base
}

lab_host_end() {
    local base=$STATE_DIR
    trap - EXIT
    [ -e "$base/lab/users/$$" ] || return 0
    STATE_DIR=$base/lab
    state_lock
    rm -f "$STATE_DIR/users/$$"
    STATE_DIR=$base
    lab_has_users || lab_revert_quietly
    state_unlock
}

# True while another lab lives. A file whose process is gone is removed.
lab_has_users() {
    local file
    for file in "$STATE_DIR"/lab/users/*; do
        [ -e "$file" ] || continue
        kill -0 "${file##*/}" 2>/dev/null && return 0
        rm -f "$file"
    done
    return 1
}

lab_revert_quietly() {
    local base=$STATE_DIR
    STATE_DIR=$base/lab
    revert_saved >/dev/null || note "host values are not back; tune revert tries again"
    STATE_DIR=$base
}

# Before apply and revert. What a killed lab left raised is put back, or it would be taken for an
# original; while a lab runs nobody else saves or restores the same values.
lab_settle() {
    [ -f "$STATE_DIR/lab/saved" ] || return 0
    if lab_has_users; then
        die "a lab is running and puts host values back when it ends; do this after it"
    elif [ "$DRY_RUN" = yes ]; then
        note "would put back the host values of a lab that was cut off"
    else
        lab_revert_quietly
        note "put back the host values of a lab that was cut off"
    fi
}
