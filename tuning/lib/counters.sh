# counters: what the kernel itself counted when a setting was too low.
# shellcheck shell=bash

# counter : the setting that moves it : what happened
COUNTERS=(
    "ListenOverflows:net.core.somaxconn:a finished handshake found the accept queue full"
    "ListenDrops:net.core.somaxconn:a connection attempt was dropped at a listener"
    "TCPReqQFullDrop:net.ipv4.tcp_max_syn_backlog:a SYN was dropped, too many were half open"
    "TCPReqQFullDoCookies:net.core.somaxconn:cookies were sent, too many were half open"
    "TCPMemoryPressures:net.ipv4.tcp_mem:TCP entered memory pressure"
    "TCPAbortOnMemory:net.ipv4.tcp_mem:a connection was reset: no TCP memory, or too many orphans"
    "TCPTimeWaitOverflow:net.ipv4.tcp_max_tw_buckets:TIME_WAIT was skipped"
    "PruneCalled:net.ipv4.tcp_rmem:a receive buffer was squeezed"
    "TCPRcvQDrop:net.ipv4.tcp_rmem:received data was dropped, the receive buffer was full"
    "TCPBacklogDrop:net.ipv4.tcp_rmem:a packet was dropped while its socket was busy"
    "SoftnetDropped:net.core.netdev_max_backlog:a packet was dropped, a core's queue was full"
)

# Lines "name value": this namespace's TcpExt counters, and the per-core drops summed (host-wide).
counters_read() {
    awk '/^TcpExt:/ {
            if (!named) { for (i = 2; i <= NF; i++) name[i] = $i; named = 1 }
            else for (i = 2; i <= NF; i++) print name[i], $i
         }' "$TUNE_ROOT/proc/net/netstat" 2>/dev/null
    counters_softnet
}

counters_softnet() {
    local dropped total=0
    while read -r _ dropped _; do
        total=$((total + 16#$dropped))
    done 2>/dev/null <"$TUNE_ROOT/proc/net/softnet_stat"
    printf 'SoftnetDropped %d\n' "$total"
}

# How often a core stopped in the middle of its packets, since netdev_budget was used up.
counters_squeezed() {
    local squeezed total=0
    while read -r _ _ squeezed _; do
        total=$((total + 16#$squeezed))
    done 2>/dev/null <"$TUNE_ROOT/proc/net/softnet_stat"
    printf '%d' "$total"
}

# counter_value NAME LINES
counter_value() {
    local rest=$'\n'"$2"$'\n'
    [[ "$rest" == *$'\n'"$1 "* ]] || return 0
    rest="${rest#*$'\n'"$1 "}"
    printf '%s' "${rest%%$'\n'*}"
}

# counters_moved BEFORE AFTER: one line for each that grew; status 1 when none did.
counters_moved() {
    local entry name setting text old new moved=1
    for entry in "${COUNTERS[@]}"; do
        IFS=: read -r name setting text <<<"$entry"
        old=$(counter_value "$name" "$1")
        new=$(counter_value "$name" "$2")
        ((${new:-0} > ${old:-0})) || continue
        printf '%-22s +%-10s %s -> %s\n' "$name" $((new - ${old:-0})) "$text" "$setting"
        moved=0
    done
    return $moved
}
