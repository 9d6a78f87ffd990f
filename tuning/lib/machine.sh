# machine: the only file that reads and writes the machine.
#
# A setting has one name everywhere, its key:
#   net.core.somaxconn                    a sysctl
#   file:/sys/class/net/eth0/...          a file in /sys
#   ethtool:eth0:combined | rx-ring       what ethtool shows as the current value
# shellcheck shell=bash

UNLIMITED=9223372036854775807

machine_file() {
    local key=$1
    case $key in
    file:*) printf '%s%s' "$TUNE_ROOT" "${key#file:}" ;;
    *) printf '%s/proc/sys/%s' "$TUNE_ROOT" "${key//.//}" ;;
    esac
}

# The value with single spaces; nothing and status 1 where the key does not exist here.
machine_get() {
    local file words=()
    case $1 in ethtool:*) machine_ethtool_get "$1" && return ;; esac
    file=$(machine_file "$1")
    [ -r "$file" ] || return 1
    read -r -a words <"$file" 2>/dev/null || [ ${#words[@]} -gt 0 ] || return 1
    printf '%s' "${words[*]}"
}

machine_writable() {
    case $1 in
    ethtool:*) [ "$(id -u)" = 0 ] ;;
    *) [ -w "$(machine_file "$1")" ] ;;
    esac
}

machine_write() {
    case $1 in
    ethtool:*) machine_ethtool_set "$1" "$2" ;;
    *) { printf '%s\n' "$2" >"$(machine_file "$1")"; } 2>/dev/null ;;
    esac
}

# A key that has one value for the host and cannot be set in a network namespace. The kernel
# registers the net.* among them for the first namespace alone; seen on Linux 6.18 by comparing
# `sysctl -aN` with `unshare -n sysctl -aN`.
machine_is_host_wide() {
    case $1 in
    net.ipv4.tcp_mem | net.ipv4.tcp_max_orphans | net.core.netdev_max_backlog) return 0 ;;
    net.core.rmem_max | net.core.wmem_max) return 0 ;;
    net.core.rps_sock_flow_entries | net.core.busy_poll | net.core.busy_read) return 0 ;;
    net.netfilter.nf_conntrack_max) return 0 ;; # there, and read-only
    net.* | limit:*) return 1 ;;
    *) return 0 ;;
    esac
}

machine_in_namespace() {
    [ -e "$(machine_file net.core.somaxconn)" ] && [ ! -e "$(machine_file net.ipv4.tcp_mem)" ]
}

machine_netns() { readlink "$TUNE_ROOT/proc/self/ns/net" 2>/dev/null || printf 'unknown'; }

machine_boot() { machine_get kernel.random.boot_id || printf 'unknown'; }

# machine_limit soft|hard NAME, from /proc/self/limits
machine_limit() {
    local column=1
    [ "$1" = hard ] && column=2
    sed -n "s/^$2  *//p" "$TUNE_ROOT/proc/self/limits" 2>/dev/null |
        awk -v c="$column" -v u="$UNLIMITED" '
            { print $c == "unlimited" ? u : $c; found = 1 }
            END { exit !found }'
}

machine_memory_bytes() {
    awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' "$TUNE_ROOT/proc/meminfo" 2>/dev/null
}

# How many processors a mask has room for: 0-63 -> 64
machine_cpus() {
    local text
    text=$(cat "$TUNE_ROOT/sys/devices/system/cpu/possible" 2>/dev/null) || text=0
    printf '%d' $((${text##*[-,]} + 1))
}

# What `engine = auto` comes to: direct descriptors from Linux 6.13 on.
machine_engine() {
    local major minor rest
    IFS=. read -r major minor rest <<<"$(machine_get kernel.osrelease)"
    minor=${minor%%[!0-9]*}
    if [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] && ((major * 1000 + minor < 6013)); then
        printf 'io_uring_fd'
    else
        printf 'io_uring'
    fi
}

# Two words: current and largest possible, of an ethtool key.
machine_ethtool_pair() {
    local iface what flag label
    IFS=: read -r _ iface what <<<"$1"
    case $what in
    combined) flag=-l label=Combined ;;
    rx-ring) flag=-g label=RX ;;
    *) return 1 ;;
    esac
    command -v ethtool >/dev/null || return 1
    ethtool "$flag" "$iface" 2>/dev/null | awk -v label="$label:" '
        $1 == label && $2 ~ /^[0-9]+$/ { value[++n] = $2 }
        END { if (n < 2) exit 1; print value[2], value[1] }'
}

machine_ethtool_get() {
    local pair
    pair=$(machine_ethtool_pair "$1") || return 1
    printf '%s' "${pair% *}"
}

machine_ethtool_set() {
    local iface what
    IFS=: read -r _ iface what <<<"$1"
    case $what in
    combined) ethtool -L "$iface" combined "$2" 2>/dev/null ;;
    rx-ring) ethtool -G "$iface" rx "$2" 2>/dev/null ;;
    esac
}
