# model: from N connections to what they need. The only place where a number is decided.
#
# Two parts: constants, each with its source, and model_build, which turns them into rows.
# "Measured" means: on Linux 6.18, 2 cores, 24 GiB, loopback; docs/TUNING.md says how to repeat it.
# shellcheck shell=bash disable=SC2034

# --- memory of one connection, bytes -------------------------------------------------------------
SOCKET_BYTES=3788     # a bare accepted TCP connection in kernel slab, measured: tcp_sock 2368 +
                      # sock_inode 832 + file 192 + dentry 192 + small change
POLL_BYTES=266        # one armed io_uring poll, measured: how the server parks an idle connection
RECV_BYTES=875        # one armed io_uring receive, measured: how the load generator waits
USER_BYTES=104        # user memory of a subscribed WebSocket at the server: 64-byte line, 16-byte
                      # subscription, its share of the shard's tables. The project's bound; the
                      # other transports keep the same line
PAGES_QUEUED=1        # pages of tcp_mem that a socket takes for one small message that nobody has
                      # read, measured: 9,000 sockets with 64 bytes unread moved `mem` in
                      # /proc/net/sockstat from 152 to 8,856. An idle socket takes none

# --- descriptors ---------------------------------------------------------------------------------
RING_RESERVE=1000     # descriptors of the process kept outside a ring's table (listeners, files)
LIMIT_LEAST=20000     # the lowest RLIMIT_NOFILE that a million was held under: 53 rings of 19,000
FILES_BESIDE=65536    # open files of everything else on the machine
MAPS_PER_RING=16      # memory maps of one ring, its buffers and its tables; generous
MAPS_BESIDE=4096      # libraries, thread stacks, the allocator's arenas

# --- arrivals ------------------------------------------------------------------------------------
STORM_S=30            # everybody comes back within this; clients jitter over it
ACCEPT_STALL_S=1      # the longest time a shard does not accept, because it delivers a broadcast
BACKLOG_LEAST=4096    # the kernel's own default since 5.4
PACKETS_PER_S=200000  # 100,000 deliveries/s measured, each one data and one ACK
SOFTIRQ_STALL_MS=100  # how long a core may leave its packet queue alone

# --- departures ----------------------------------------------------------------------------------
TIME_WAIT_S=60        # compile-time constant of the kernel (TCP_TIMEWAIT_LEN); no sysctl changes it
LEAVE_SHARE=10        # one in so many reconnects, or does not keep its connection alive
POLL_INTERVAL_S=5     # short polling: one answer per client in this time
LONGPOLL_HOLD_S=25    # long polling: the same
ORPHAN_SHARE=4        # one in so many closed at the same moment with data still unacknowledged

# --- ports ---------------------------------------------------------------------------------------
PORT_LOW=10240        # below stay the listeners: a listener inside the range cannot be bound
PORT_HIGH=65535       # while an old client socket on its port is in TIME_WAIT
PORTS_PER_ADDRESS=$((PORT_HIGH - PORT_LOW + 1))

# --- a service -----------------------------------------------------------------------------------
MEMLOCK_LEAST=$((64 << 20)) # registered buffers; before Linux 5.12 the rings themselves as well
TASKS=4096            # a thread per core and the kernel's io workers, with room

PAGE_BYTES=$(getconf PAGESIZE)
HASH_MAX=$((1 << 24)) # the kernel refuses a larger tcp_child_ehash_entries

# The rows. Kinds:
#   floor    one number, at least            triple   three numbers, each at least
#   range    a range, at least this wide     flows    conntrack, only where it is in use
#   memory   bytes of RAM                    worst    bytes of RAM, if the worst happens
#   hash     TCP hash: boot or namespace     nofile   RLIMIT_NOFILE
#   zero     must be 0; never written        count    told, not compared
#   measure  no figure is right everywhere
ROW_KEY=() ROW_KIND=() ROW_NEED=() ROW_WHY=() ROW_SHOWS=()

# row KEY KIND NEED SHOWS WHY...: SHOWS is what one sees when it is wrong.
row() {
    ROW_KEY+=("$1") ROW_KIND+=("$2") ROW_NEED+=("$3") ROW_SHOWS+=("$4") ROW_WHY+=("${*:5}")
}

ceil_div() { printf '%d' $((($1 + $2 - 1) / $2)); }

power_of_two() {
    local value=1
    while ((value < $1)); do value=$((value << 1)); done
    printf '%d' "$value"
}

at_least() { printf '%d' $(($1 > $2 ? $1 : $2)); }
at_most() { printf '%d' $(($1 < $2 ? $1 : $2)); }

# How many sockets this machine carries per connection.
model_ends() {
    [ "$ROLE" = both ] && printf 2 || printf 1
}

model_idle_bytes() {
    local server=$((SOCKET_BYTES + POLL_BYTES + USER_BYTES))
    local client=$((SOCKET_BYTES + RECV_BYTES + USER_BYTES))
    case $ROLE in
    server) printf '%d' $((N * server)) ;;
    client) printf '%d' $((N * client)) ;;
    both) printf '%d' $((N * (server + client))) ;;
    esac
}

# New connections per second that must fit beside each other in TIME_WAIT and in the backlog.
model_short_lived_per_s() {
    case $TRANSPORT in
    ws | sse) printf 0 ;;
    longpoll) ceil_div $((N / LEAVE_SHARE)) "$LONGPOLL_HOLD_S" ;;
    poll) ceil_div $((N / LEAVE_SHARE)) "$POLL_INTERVAL_S" ;;
    esac
}

model_nofile() { printf '%d' $(($(ceil_div $((N + N / 20 + 1024)) 1000) * 1000)); }

# Rings needed under a limit of descriptors per ring: rings_under LIMIT
model_rings_under() {
    (($1 > RING_RESERVE)) || { printf 0 && return; }
    ceil_div "$N" $(($1 - RING_RESERVE))
}

model_memlock() {
    local rings
    rings=$(model_rings_under "$LIMIT_LEAST")
    at_least "$MEMLOCK_LEAST" $((rings << 20))
}

model_build() {
    ROW_KEY=() ROW_KIND=() ROW_NEED=() ROW_WHY=() ROW_SHOWS=()
    model_memory_rows
    model_descriptor_rows
    model_tcp_rows
    model_arrival_rows
    model_departure_rows
    [ "$ROLE" = server ] || model_port_row
    model_told_rows
}

model_memory_rows() {
    local idle
    idle=$(model_idle_bytes)
    row memory:idle memory "$idle" \
        "Slab and SUnreclaim in /proc/meminfo; the OOM killer in the kernel log" \
        "$SOCKET_BYTES B of kernel slab per socket, $POLL_BYTES B for the server's poll," \
        "$RECV_BYTES B for a load generator's receive, $USER_BYTES B of the process. None of it" \
        "can be swapped."
    row memory:broadcast worst $((idle + N * PAGES_QUEUED * PAGE_BYTES)) \
        "mem in /proc/net/sockstat, in pages" \
        "idle, and one page queued on every connection: a broadcast that nobody has read yet."
}

model_descriptor_rows() {
    local nofile sockets maps
    nofile=$(model_nofile)
    sockets=$((N * $(model_ends)))
    maps=$((MAPS_BESIDE + $(model_rings_under "$LIMIT_LEAST") * MAPS_PER_RING))
    row limit:nofile nofile "$nofile" \
        "EMFILE when a ring registers its descriptor table" \
        "an io_uring direct-descriptor table has at most RLIMIT_NOFILE slots. The limit is per" \
        "ring and rings add up, so a low limit costs rings, not connections."
    row fs.nr_open floor "$nofile" \
        "systemd: status=205/LIMITS; setrlimit: EPERM" \
        "no RLIMIT_NOFILE can be above it, and a service that asks for more does not start."
    row fs.file-max floor $((sockets + sockets / 20 + FILES_BESIDE)) \
        "kernel log 'VFS: file-max limit N reached'; ENFILE; first number of /proc/sys/fs/file-nr" \
        "every socket is an open file, direct descriptors too. CAP_SYS_ADMIN is exempt: a test as" \
        "root does not meet this limit and the service then does."
    row vm.max_map_count floor "$maps" \
        "ENOMEM from mmap with memory free" \
        "maps of the rings where rings add up. The kernel's 65530 is enough; only a lowered value" \
        "bites."
    row kernel.io_uring_disabled zero 0 \
        "EPERM from io_uring_setup" \
        "1 keeps io_uring for one group, 2 for nobody. It is a security choice, so nothing here" \
        "writes it."
}

model_hash() { at_most "$(power_of_two $((N * $(model_ends))))" "$HASH_MAX"; }

model_tcp_rows() {
    local pages=$((N * PAGES_QUEUED))
    row net.ipv4.tcp_mem triple "$pages $((pages * 4 / 3)) $((pages * 2))" \
        "kernel log 'TCP: out of memory -- consider tuning tcp_mem'; TCPMemoryPressures" \
        "in pages, not bytes, for all sockets of the host. A message queued on every connection" \
        "is a page each; above the third number no socket may queue anything. It is a bound, it" \
        "reserves nothing. The one setting that decides at a million: at 575802 pages a broadcast" \
        "to a million never finished."
    row net.ipv4.tcp_rmem triple "4096 16384 131072" \
        "PruneCalled, TCPRcvQDrop" \
        "the first number is what a socket keeps under pressure: one page carries one message." \
        "These are bounds, not allocations; larger ones buy an idle connection nothing."
    row net.ipv4.tcp_wmem triple "4096 16384 131072" \
        "short sends to readers that are not slow" \
        "as tcp_rmem, for what is sent and not yet acknowledged."
    row net.ipv4.tcp_ehash_entries hash "$(model_hash)" \
        "CPU in __inet_lookup_established" \
        "one bucket per socket; with fewer every packet walks a chain. Fixed at boot for the host" \
        "(thash_entries=), settable for a namespace made later. Measured: a broadcast to a" \
        "million at 70,000/s with 262,144 buckets, 92,000/s with 4,194,304."
}

model_arrival_rows() {
    local per_s backlog packets
    per_s=$(($(ceil_div "$N" "$STORM_S") + $(model_short_lived_per_s)))
    backlog=$(at_least "$(power_of_two $((per_s * ACCEPT_STALL_S)))" "$BACKLOG_LEAST")
    packets=$(at_most $((2 * N)) $((PACKETS_PER_S * SOFTIRQ_STALL_MS / 1000)))
    row net.core.somaxconn floor "$backlog" \
        "ListenOverflows, ListenDrops; Recv-Q at Send-Q in ss -ltn" \
        "all N come back within $STORM_S s and a busy shard accepts nothing for $ACCEPT_STALL_S" \
        "s. It caps what the server passes to listen(): alone it changes nothing."
    row net.ipv4.tcp_max_syn_backlog floor "$backlog" \
        "kernel log 'Possible SYN flooding'; TCPReqQFullDrop, TCPReqQFullDoCookies" \
        "half-open connections. With tcp_syncookies=1 the listen backlog bounds them first; this" \
        "counts where cookies are off."
    row net.core.netdev_max_backlog floor "$packets" \
        "second column of /proc/net/softnet_stat" \
        "packets waiting per core on loopback, veth and RPS: $PACKETS_PER_S a second for" \
        "$SOFTIRQ_STALL_MS ms. A card with a queue per core does not use it."
    row net.netfilter.nf_conntrack_max flows $((N + N / 20 + FILES_BESIDE)) \
        "kernel log 'nf_conntrack: table full, dropping packet'" \
        "one entry per connection, only where a firewall rule tracks. Better: do not track the" \
        "server's port (notrack)."
}

model_departure_rows() {
    local waiting
    waiting=$((N / LEAVE_SHARE + $(model_short_lived_per_s) * TIME_WAIT_S))
    row net.ipv4.tcp_max_tw_buckets floor "$waiting" \
        "TCPTimeWaitOverflow" \
        "one in $LEAVE_SHARE leaves or does not keep alive, and waits $TIME_WAIT_S s. Above it" \
        "the kernel skips TIME_WAIT, and an old packet may meet a new connection."
    row net.ipv4.tcp_max_orphans floor $((N / ORPHAN_SHARE)) \
        "kernel log 'too many orphaned sockets'; TCPAbortOnMemory; orphan in /proc/net/sockstat" \
        "sockets that are closed but still sending: a drain, or a lost uplink, closes one in" \
        "$ORPHAN_SHARE at once. Above it they are reset and their last message is lost."
}

model_port_row() {
    row net.ipv4.ip_local_port_range range "$PORT_LOW $PORT_HIGH" \
        "EADDRNOTAVAIL from connect; a connect rate that falls as the range fills" \
        "ports for outgoing connections; listeners belong below $PORT_LOW. A server opens none."
}

model_told_rows() {
    row clients:addresses count "$(ceil_div "$N" "$PORTS_PER_ADDRESS")" \
        "EADDRNOTAVAIL" \
        "source addresses that the clients need: $PORTS_PER_ADDRESS ports each towards one server" \
        "address and port. On loopback 127.0.0.0/8 has them all. Bind address and port by hand:" \
        "chosen by the kernel the rate falls from 27,000/s to 2,000/s past half of the range."
    row net.ipv4.tcp_congestion_control measure measure \
        "ss -ti; CPU per delivery" \
        "bbr paces with a timer per socket: reno was 5 to 15 % cheaper per delivery on loopback." \
        "Behind real networks bbr may deliver more. Compare: tune lab --set" \
        "net.ipv4.tcp_congestion_control=reno -- CMD"
    row net.ipv4.tcp_autocorking measure measure \
        "TCPAutoCorking; p99 of deliveries" \
        "holds a small send back while an earlier one is in the card's queue: fewer packets," \
        "later. Compare: tune lab --set net.ipv4.tcp_autocorking=0 -- CMD"
}
