# say: everything that is printed for a person.
# shellcheck shell=bash

WHY_WIDTH=92

usage() {
    cat <<'TEXT'
tune plan N      what N connections need, and why      --sysctl-d | --systemd | --server
                                                       --tuned | --docker | --profile
tune check N     have / need / why / how it shows      read-only; recognises harmful advice
tune apply N     raise what is too low, never lower    saves the old values first
tune verify N    open N connections and see            needs ringside-bench
tune revert      put every saved value back, prove it
tune lab [CMD]   run CMD in a network namespace with its own large TCP hash
                 --for N   --set KEY=VALUE   --hash BUCKETS   --plain (nothing raised)
tune nic IFACE   report on a network card              --apply to act on it

Options  --transport ws|sse|longpoll|poll   default ws
         --role server|client|both          default server; both: the load runs on this machine too
         --engine io_uring|io_uring_fd|epoll   default what the server takes on this kernel
         --shards N                         default a shard for each processor
         --message BYTES                    of a message that waits, default 64
         --state DIR                        default $TUNE_STATE or /var/lib/ringside-tune
         --dry-run                          say what would be done, change nothing
N may be written 10k or 1M. Exit status: 0 as asked, 1 short or left out, 2 wrong command line.
TEXT
}

die() {
    printf 'tune: %s\n' "$*" >&2
    exit 1
}

die_usage() {
    printf 'tune: %s\n      tune help lists the commands\n' "$*" >&2
    exit 2
}

note() { printf '%s\n' "$*"; }

# An indented paragraph under a table row: say_under LABEL TEXT...
say_under() {
    local rest="$1: ${*:2}" indent='    ' line
    while ((${#rest} > WHY_WIDTH)); do
        line="${rest:0:WHY_WIDTH}"
        [[ "$line" != *' '* ]] || line="${line% *} "
        printf '%s%s\n' "$indent" "${line% }"
        rest="${rest:${#line}}"
        indent='      '
    done
    printf '%s%s\n' "$indent" "$rest"
}

# 16106127360 -> 15.0 GiB
bytes_text() {
    local bytes=$1
    if ((bytes >= 1 << 30)); then
        printf '%d.%d GiB' $((bytes >> 30)) $(((bytes & ((1 << 30) - 1)) * 10 >> 30))
    else
        printf '%d MiB' $(((bytes + (1 << 20) - 1) >> 20))
    fi
}
