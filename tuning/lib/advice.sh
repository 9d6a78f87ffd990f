# advice: settings that articles repeat and that harm, do nothing or no longer exist.
#
# One judge for values that run now and for values that wait in a configuration file.
# A finding is three fields, TAB between: kind, what was found and where, explanation.
# Kinds: harmful, no-effect (for the purpose it is recommended for), obsolete.
# shellcheck shell=bash

FILE_MAX_PER_KIB=10        # the kernel gives itself one open file per 10 KiB of memory
PRESSURE_EXEMPT_PAGES=16   # a first number of tcp_rmem above this is not a minimum any more
CONNTRACK_CHAIN=8          # entries per bucket from which a look-up hurts
CONNTRACK_IDLE_LEAST_S=300 # several heartbeats and a slow phone
HUGE_NR_OPEN=$((1 << 26))
MAP_COUNT_DEFAULT=65530
BUFFER_LEAST=4096          # the first number of tcp_rmem and tcp_wmem: a page

RUNNING_JUDGED=(
    net.ipv4.tcp_tw_recycle net.ipv4.tcp_tw_reuse net.ipv4.tcp_fin_timeout
    net.ipv4.tcp_max_tw_buckets net.ipv4.tcp_sack net.ipv4.tcp_timestamps
    net.ipv4.tcp_window_scaling net.ipv4.tcp_moderate_rcvbuf net.ipv4.tcp_syncookies
    net.ipv4.tcp_abort_on_overflow net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem
    net.ipv4.tcp_keepalive_time net.ipv4.tcp_low_latency net.ipv4.ip_local_port_range
    fs.file-max fs.nr_open vm.max_map_count vm.swappiness vm.overcommit_memory
    net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_tcp_timeout_established
)

# finding KIND FOUND TEXT...
finding() { printf '%s\t%s\t%s\n' "$1" "$2" "${*:3}"; }

# advice_judge KEY VALUE WHERE
advice_judge() {
    local found="$1 = $2 ($3)"
    [[ $2 =~ ^[0-9]+([[:space:]][0-9]+)*$ ]] || return 0
    case $1 in
    net.ipv4.tcp_mem | net.ipv4.tcp_[rw]mem) judge_buffers "$1" "$2" "$found" ;;
    net.netfilter.*) judge_conntrack "$1" "$2" "$found" ;;
    fs.* | vm.*) judge_memory_and_files "$1" "$2" "$found" ;;
    net.ipv4.tcp_*tw_* | net.ipv4.tcp_fin_timeout) judge_time_wait "$1" "$2" "$found" ;;
    net.*) judge_tcp "$1" "$2" "$found" ;;
    esac
}

judge_time_wait() {
    case $1=$2 in
    net.ipv4.tcp_tw_recycle=*)
        finding obsolete "$3" \
            "removed in Linux 4.12. Where it still exists it drops connections of clients behind" \
            "one NAT address. Remove the line." ;;
    net.ipv4.tcp_tw_reuse=1)
        finding no-effect "$3" \
            "touches only connections that this machine opens, never those it accepts, and needs" \
            "timestamps on. On a server it does nothing; a proxy that runs out of ports wants" \
            "more addresses." ;;
    net.ipv4.tcp_fin_timeout=*)
        (($2 < 60)) && finding no-effect "$3" \
            "shortens FIN_WAIT_2 of closed sockets, not TIME_WAIT: that is 60 s, fixed when the" \
            "kernel is compiled. A late FIN of the peer is then answered with a reset." ;;
    net.ipv4.tcp_max_tw_buckets=*)
        (($2 < tw_default)) && finding harmful "$3" \
            "below the kernel's own $tw_default: TIME_WAIT ends early and a late packet may enter" \
            "a new connection. A waiting socket costs about 256 bytes." ;;
    esac
    return 0
}

judge_tcp() {
    case $1=$2 in
    net.ipv4.tcp_sack=0)
        finding harmful "$3" \
            "each lost packet then resends what already arrived. The 2019 SACK flaws are fixed in" \
            "every maintained kernel." ;;
    net.ipv4.tcp_timestamps=0)
        finding harmful "$3" \
            "no protection against wrapped sequence numbers, worse round-trip times, tcp_tw_reuse" \
            "off, and SYN cookies lose window scaling. It saves 12 bytes a packet." ;;
    net.ipv4.tcp_window_scaling=0) finding harmful "$3" \
        "no window above 64 KiB for anybody." ;;
    net.ipv4.tcp_moderate_rcvbuf=0)
        finding harmful "$3" \
            "buffers stop following need: all sockets keep the second number of tcp_rmem." ;;
    net.ipv4.tcp_syncookies=0)
        finding harmful "$3" \
            "a burst above the backlog, ours or an attacker's, is dropped; with 1 cookies are" \
            "sent, and only when the queue is full." ;;
    net.ipv4.tcp_syncookies=2)
        finding harmful "$3" \
            "sends cookies always: a test setting that costs every client its TCP options." ;;
    net.ipv4.tcp_abort_on_overflow=1)
        finding harmful "$3" \
            "a full accept queue answers RST. Clients that would have got in a moment later" \
            "reconnect at once, and the storm feeds itself." ;;
    net.ipv4.tcp_keepalive_time=*)
        (($2 < 300)) && finding no-effect "$3" \
            "counts only for sockets that ask for SO_KEEPALIVE, and then adds a packet and a" \
            "timer each. The server's heartbeat keeps NATs open and finds the dead." ;;
    net.ipv4.ip_local_port_range=*) judge_port_range "$2" "$3" ;;
    net.ipv4.tcp_low_latency=1 | net.ipv4.tcp_fack=1 | net.ipv4.tcp_dma_copybreak=*)
        finding obsolete "$3" \
            "does nothing since Linux 4.14 or was removed. Remove the line." ;;
    net.ipv4.ip_conntrack_max=* | net.ipv4.netfilter.ip_conntrack_max=*)
        finding obsolete "$3" \
            "a name that is gone; today net.netfilter.nf_conntrack_max." ;;
    esac
    return 0
}

judge_port_range() {
    local low=${1%% *}
    ((low < 1024)) && finding harmful "$2" \
        "outgoing connections may take a port that a service needs at its next start. Start at" \
        "$PORT_LOW, keep listeners below."
    return 0
}

judge_buffers() {
    local first=${2%% *} last=${2##* }
    if [ "$1" = net.ipv4.tcp_mem ]; then
        ((memory_pages > 0 && last > memory_pages)) && finding harmful "$3" \
            "it counts pages, and this is more pages than the machine has ($memory_pages):" \
            "probably meant as bytes. TCP can then fill the memory with nothing to stop it."
    elif ((first < BUFFER_LEAST)); then
        finding harmful "$3" \
            "the first number is what a socket keeps under pressure: below a page it passes no" \
            "message. 4096 is the kernel's own."
    elif ((first > PRESSURE_EXEMPT_PAGES * PAGE_BYTES)); then
        finding harmful "$3" \
            "the first number is what each socket may hold in spite of memory pressure. Large," \
            "times many sockets, is no limit at all; 4096 is right."
    fi
    return 0
}

judge_memory_and_files() {
    case $1=$2 in
    fs.file-max=*)
        ((${#2} < 19 && $2 < file_max_default * 9 / 10)) && finding harmful "$3" \
            "lower than the kernel chose for this memory: the article's raise is a cut here." \
            "Remove it." ;;
    fs.nr_open=*)
        # systemd itself raises the running value as far as it goes, on some distributions.
        [[ $3 != *'(now)' ]] && ((${#2} < 19 && $2 > HUGE_NR_OPEN)) && finding harmful "$3" \
            "services with LimitNOFILE=infinity get this many, and programs that close or clear" \
            "every possible descriptor take minutes and gigabytes." ;;
    vm.max_map_count=*)
        (($2 < MAP_COUNT_DEFAULT)) && finding harmful "$3" \
            "below the kernel's own $MAP_COUNT_DEFAULT: mmap fails with memory free." ;;
    vm.swappiness=0 | vm.swappiness=1)
        finding no-effect "$3" \
            "neither sockets nor their buffers can be swapped, whatever it says, and 0 is not" \
            "'off'. Plan the memory instead (tune plan)." ;;
    vm.overcommit_memory=2)
        finding harmful "$3" \
            "tables that are reserved for N connections and not touched yet count as used: the" \
            "server fails to start with memory free." ;;
    esac
    return 0
}

judge_conntrack() {
    local buckets
    case $1 in
    net.netfilter.nf_conntrack_max)
        buckets=$(machine_get net.netfilter.nf_conntrack_buckets) || return 0
        (($2 > buckets * CONNTRACK_CHAIN)) && finding harmful "$3" \
            "raised without nf_conntrack_buckets ($buckets): every packet walks a chain of $(($2" \
            "/ buckets)). Raise both, or do not track the port." ;;
    net.netfilter.nf_conntrack_tcp_timeout_established)
        (($2 < CONNTRACK_IDLE_LEAST_S)) && finding harmful "$3" \
            "an idle connection is forgotten between heartbeats, and its next packet is dropped" \
            "or refused." ;;
    esac
    return 0
}

# What the judges compare with.
advice_prepare() {
    local hash
    memory_pages=$(($(machine_memory_bytes || printf 0) / PAGE_BYTES))
    file_max_default=$((memory_pages * (PAGE_BYTES / 1024) / FILE_MAX_PER_KIB))
    hash=$(machine_get net.ipv4.tcp_ehash_entries) || hash=0
    tw_default=$((${hash#-} / 2))
}

advice_running() {
    local key value
    for key in "${RUNNING_JUDGED[@]}"; do
        value=$(machine_get "$key") || continue
        advice_judge "$key" "$value" 'now'
    done
    advice_reuse_without_timestamps
}

advice_reuse_without_timestamps() {
    [ "$(machine_get net.ipv4.tcp_timestamps)" = 0 ] || return 0
    [ "$(machine_get net.ipv4.tcp_tw_reuse)" = 1 ] || return 0
    finding no-effect 'net.ipv4.tcp_tw_reuse = 1 with net.ipv4.tcp_timestamps = 0 (now)' \
        "without timestamps it never applies: the two pieces of advice cancel each other."
}

# Every "key = value" of the files that a boot loads, and sysctl's own spelling undone.
advice_files() {
    local file line key value
    for file in "$TUNE_ROOT"/{etc,run,usr/lib}/sysctl.d/*.conf "$TUNE_ROOT"/etc/sysctl.conf; do
        [ -r "$file" ] || continue
        while IFS= read -r line || [ -n "$line" ]; do
            line=${line%%[#;]*}
            [[ $line == *=* ]] || continue
            read -r key <<<"${line%%=*}"
            read -r -a value <<<"${line#*=}"
            key=${key#-}
            advice_judge "${key//\//.}" "${value[*]}" "${file#"$TUNE_ROOT"}"
        done <"$file"
    done
}

advice_limits_conf() {
    local file domain kind item value nr_open
    nr_open=$(machine_get fs.nr_open) || nr_open=$UNLIMITED
    for file in "$TUNE_ROOT"/etc/security/limits.conf "$TUNE_ROOT"/etc/security/limits.d/*.conf; do
        [ -r "$file" ] || continue
        while read -r domain kind item value _ || [ -n "$domain" ]; do
            [[ $domain != \#* && $item = nofile ]] || continue
            finding no-effect "$domain $kind $item $value (${file#"$TUNE_ROOT"})" \
                "PAM reads it at login; a systemd service never does. A service takes" \
                "LimitNOFILE: tune plan --systemd."
            limits_lock_out "$domain $kind $item $value (${file#"$TUNE_ROOT"})" "$value" "$nr_open"
        done <"$file"
    done
}

limits_lock_out() {
    case $2 in
    unlimited | infinity | -1) ;;
    *) [[ $2 =~ ^[0-9]{1,18}$ ]] && (($2 > $3)) || return 0 ;;
    esac
    finding harmful "$1" \
        "above fs.nr_open ($3) the limit cannot be set, and the login fails: it locks people out."
}

# Listeners whose own backlog is below somaxconn, and listeners on ports given to clients.
advice_listeners() {
    local limit backlog address port low high
    command -v ss >/dev/null || return 0
    limit=$(machine_get net.core.somaxconn) || return 0
    read -r low high <<<"$(machine_get net.ipv4.ip_local_port_range)"
    while read -r _ _ backlog address _; do
        port=${address##*:}
        [[ $port =~ ^[0-9]+$ && $backlog =~ ^[0-9]+$ ]] || continue
        ((backlog < limit)) && finding no-effect \
            "net.core.somaxconn = $limit with backlog $backlog on $address" \
            "the smaller of the two counts, and this listener passed $backlog to listen(). Change" \
            "its configuration."
        ((port >= ${low:-1} && port <= ${high:-0})) && listener_reserved "$port" "$address"
    done < <(ss -ltnH 2>/dev/null)
}

# listener_reserved PORT ADDRESS: a finding unless ip_local_reserved_ports has PORT.
listener_reserved() {
    local part
    for part in $(machine_get net.ipv4.ip_local_reserved_ports | tr , ' '); do
        (($1 >= ${part%-*} && $1 <= ${part#*-})) && return 0
    done
    finding harmful "listener $2 inside net.ipv4.ip_local_port_range" \
        "after a restart bind() may fail while a client socket on that port is in TIME_WAIT. Move" \
        "it below the range or add it to ip_local_reserved_ports."
}

advice_all() {
    advice_prepare
    advice_running
    advice_files
    advice_limits_conf
    advice_listeners
}
