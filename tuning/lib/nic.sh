# nic: one network card. A report by itself; changes only with --apply, undone by tune revert.
#
# Recommended and applied: a queue per core, room in the receive ring, RFS, so that a packet reaches
# the core whose shard has the socket, and a transmit queue per core (XPS).
#
# A listening socket per shard (SO_REUSEPORT) gives a connection to a shard by a hash of its
# addresses, and the card gives its packets to a queue by another hash. So with as many queues as
# cores all but one in so many packets arrive on another core than their shard's. RFS mends that in
# software; where the card can be told (ntuple), the kernel tells it (aRFS).
#
# Only shown, because they trade latency for CPU and must be measured: coalescing, NAPI deferral,
# busy polling, and what the processors do when they idle.
# shellcheck shell=bash

RING_WANTED=4096 # packets; about 20 ms of 200,000 a second
RPS_FLOWS=32768  # the kernel's own suggestion for a server (Documentation/networking/scaling.rst)

NIC=
NIC_DIR=
NIC_APPLY=no

cmd_nic() {
    nic_options "$@"
    NIC_DIR=/sys/class/net/$NIC
    [ -d "$TUNE_ROOT$NIC_DIR" ] || die "no interface $NIC here; ip -br link lists them"
    nic_recommend
    if [ "$NIC_APPLY" = yes ]; then
        changes_apply
        apply_summary
    fi
    nic_report
    nic_recommended_print
}

nic_options() {
    while [ $# -gt 0 ]; do
        option_take "$@"
        if ((OPTION_USED)); then
            shift "$OPTION_USED"
            continue
        fi
        case $1 in
        --apply) NIC_APPLY=yes ;;
        -*) die_usage "nic takes an interface, --apply, --state, --dry-run; not $1" ;;
        *) [[ $1 =~ ^[A-Za-z0-9_.@-]{1,15}$ ]] || die_usage "not an interface name: $1" && NIC=$1 ;;
        esac
        shift
    done
    [ -n "$NIC" ] || die_usage "which interface? ip -br link lists them"
}

# --- processors ----------------------------------------------------------------------------------

# cpu_mask CPU|all: as the kernel prints it, 32 processors a group, highest first.
cpu_mask() {
    local cpus group bits value text=''
    cpus=$(machine_cpus)
    for ((group = (cpus - 1) / 32; group >= 0; group--)); do
        bits=$(at_most $((cpus - group * 32)) 32)
        value=0
        [ "$1" = all ] && value=$(((1 << bits) - 1))
        [ "$1" != all ] && (($1 / 32 == group)) && value=$((1 << ($1 % 32)))
        text+=$(printf ',%0*x' $(((bits + 3) / 4)) "$value")
    done
    printf '%s' "${text#,}"
}

nic_queues() {
    local list=("$TUNE_ROOT$NIC_DIR/queues/$1"-*)
    [ -e "${list[0]}" ] && printf '%d' ${#list[@]} || printf 0
}

# --- recommendations, as the changes that apply knows --------------------------------------------

NIC_WHY=()

nic_want() {
    local have
    have=$(machine_get "$1") || return 0
    [ "$have" = "$2" ] && return
    if machine_writable "$1" || [ "$NIC_APPLY" = no ]; then
        change_add "$1" "$have" "$2"
        NIC_WHY+=("$3")
    else
        left_out "$1" "$have -> $2 needs root"
    fi
}

nic_recommend() {
    nic_recommend_hardware
    if (($(machine_cpus) > 1)); then
        nic_recommend_rps
    fi
    if (($(nic_queues tx) >= $(machine_cpus) && $(machine_cpus) > 1)); then
        nic_recommend_xps
    fi
}

nic_recommend_hardware() {
    local now most
    if read -r now most <<<"$(machine_ethtool_pair "ethtool:$NIC:combined")" && [ -n "$now" ]; then
        most=$(at_most "$most" "$(machine_cpus)")
        ((now < most)) && nic_want "ethtool:$NIC:combined" "$most" \
            "a queue per core: all receive at once. The link may pause for a moment."
    fi
    if read -r now most <<<"$(machine_ethtool_pair "ethtool:$NIC:rx-ring")" && [ -n "$now" ]; then
        most=$(at_most "$most" "$RING_WANTED")
        ((now < most)) && nic_want "ethtool:$NIC:rx-ring" "$most" \
            "room for the ACKs of a broadcast while the core is busy; else rx_missed_errors grows."
    fi
    return 0
}

nic_recommend_rps() {
    local queues queue
    queues=$(nic_queues rx)
    for ((queue = 0; queue < queues; queue++)); do
        nic_want "file:$NIC_DIR/queues/rx-$queue/rps_cpus" "$(cpu_mask all)" \
            "RPS: without it there is no RFS; and with fewer queues than cores one core takes all."
        nic_want "file:$NIC_DIR/queues/rx-$queue/rps_flow_cnt" $((RPS_FLOWS / queues)) \
            "RFS: hand a packet to the core whose shard reads the socket."
    done
    nic_want net.core.rps_sock_flow_entries "$RPS_FLOWS" "the table that RFS looks the core up in."
}

nic_recommend_xps() {
    local cpu cpus
    cpus=$(machine_cpus)
    for ((cpu = 0; cpu < cpus; cpu++)); do
        nic_want "file:$NIC_DIR/queues/tx-$cpu/xps_cpus" "$(cpu_mask "$cpu")" \
            "a transmit queue per core: no lock between shards."
    done
}

nic_recommended_print() {
    local i
    printf '\nrecommended; tune nic %s --apply does it, tune revert undoes it\n' "$NIC"
    ((${#CHANGE_KEY[@]})) || printf '  nothing to change\n'
    for i in "${!CHANGE_KEY[@]}"; do
        printf '  %s: %s -> %s\n' \
            "${CHANGE_KEY[$i]#file:}" "${CHANGE_HAVE[$i]}" "${CHANGE_WANT[$i]}"
        say_under why "${NIC_WHY[$i]}"
    done
}

# --- report --------------------------------------------------------------------------------------

nic_line() { printf '  %-24s %s\n' "$1" "${2:--}"; }

nic_file() { machine_get "file:$NIC_DIR/$1"; }

nic_report() {
    printf '%s\n' "$NIC"
    nic_line driver "$(basename "$(readlink "$TUNE_ROOT$NIC_DIR/device/driver")" 2>/dev/null)"
    nic_line 'speed, Mbit/s' "$(nic_file speed)"
    nic_line mtu "$(nic_file mtu)"
    nic_line 'queues rx, tx; cores' "$(nic_queues rx), $(nic_queues tx); $(machine_cpus)"
    nic_report_ethtool
    nic_report_spreading
    nic_report_latency
    nic_report_drops
}

nic_report_ethtool() {
    if ! command -v ethtool >/dev/null; then
        nic_line ethtool 'not installed: rings, channels, coalescing and offloads are left out'
        return
    fi
    nic_line 'combined now, most' "$(machine_ethtool_pair "ethtool:$NIC:combined")"
    nic_line 'rx ring now, most' "$(machine_ethtool_pair "ethtool:$NIC:rx-ring")"
    nic_line coalescing "$(nic_ethtool_lines -c '^(Adaptive|[rt]x-(usecs|frames):)')"
    nic_line offloads "$(nic_ethtool_lines -k '^(tcp|generic)-(segmentation|receive)-offload')"
    nic_line 'ntuple (aRFS)' "$(nic_ethtool_lines -k '^ntuple-filters' | sed 's/.*: //')"
    nic_line 'RSS table, rows' "$(ethtool -x "$NIC" 2>/dev/null | grep -cE '^ *[0-9]+:')"
}

# nic_ethtool_lines FLAG PATTERN: those lines of ethtool's answer, on one line.
nic_ethtool_lines() {
    ethtool "$1" "$NIC" 2>/dev/null | grep -E "$2" | tr -s ' \t' ' ' | paste -s -d ';'
}

nic_report_spreading() {
    local queue name path
    for queue in "$TUNE_ROOT$NIC_DIR"/queues/*; do
        name=${queue##*/}
        path=queues/$name
        case $name in
        rx-*)
            nic_line "$name RPS" "$(nic_file "$path/rps_cpus")"
            nic_line "$name RFS flows" "$(nic_file "$path/rps_flow_cnt")"
            ;;
        tx-*) nic_line "$name XPS" "$(nic_file "$path/xps_cpus")" ;;
        esac
    done
    nic_line 'RFS table' "$(machine_get net.core.rps_sock_flow_entries)"
    nic_report_interrupts
}

# Which processors each of the card's interrupts goes to, and whether somebody moves them.
nic_report_interrupts() {
    local number
    while read -r number; do
        nic_line "IRQ $number on" "$(machine_get "file:/proc/irq/$number/smp_affinity_list")"
    done < <(awk -v nic="$NIC" -F: 'index($0, nic) { gsub(/ /, "", $1); print $1 }' \
        "$TUNE_ROOT/proc/interrupts" 2>/dev/null)
    if grep -qx irqbalance "$TUNE_ROOT"/proc/[0-9]*/comm 2>/dev/null; then
        nic_line irqbalance 'runs: it moves interrupts that you have placed by hand'
    fi
}

nic_report_latency() {
    printf 'to be measured: CPU against latency\n'
    nic_line napi_defer_hard_irqs "$(nic_file napi_defer_hard_irqs)"
    nic_line 'gro_flush_timeout, ns' "$(nic_file gro_flush_timeout)"
    nic_line 'threaded NAPI' "$(nic_file threaded)"
    nic_line 'busy_poll (epoll only)' "$(machine_get net.core.busy_poll)"
    nic_line 'transparent huge pages' \
        "$(machine_get file:/sys/kernel/mm/transparent_hugepage/enabled)"
    nic_line governor "$(machine_get file:/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
    nic_line 'deepest idle state, us' "$(nic_deepest_idle)"
}

# How long a processor that sleeps most deeply takes to wake.
nic_deepest_idle() {
    cat "$TUNE_ROOT"/sys/devices/system/cpu/cpu0/cpuidle/state*/latency 2>/dev/null |
        sort -n | tail -1
}

nic_report_drops() {
    local name
    printf 'dropped since boot\n'
    for name in rx_missed_errors rx_fifo_errors rx_dropped tx_dropped; do
        nic_line "$name" "$(nic_file "statistics/$name")"
    done
    nic_line 'softnet, all cards' "$(counters_softnet | awk '{ print $2 }')"
    nic_line 'softnet out of budget' "$(counters_squeezed)"
    nic_line netdev_budget "$(machine_get net.core.netdev_budget)"
}
