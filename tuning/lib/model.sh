# model: from N connections to what they need. The only place where a number is decided.
#
# Two parts: constants, each with its source, and model_build, which turns them into rows.
# "Measured" means: on Linux 6.18, 2 cores, 24 GiB, loopback; docs/TUNING.md says how to repeat it.
# shellcheck shell=bash disable=SC2034

# --- memory of one connection, bytes -------------------------------------------------------------
SOCKET_BYTES=3977     # an accepted TCP connection in kernel memory: recorded with a million,
                      # 4,243 B less the poll. tcp_sock 2368 + sock_inode 832 + file 192 + dentry
                      # 192, small change, and what slabs that are not full leave over
POLL_BYTES=266        # one armed io_uring poll, measured: how the server parks an idle connection
RECV_BYTES=875        # one armed io_uring receive, measured: how the load generator waits
USER_BYTES=104        # user memory of a subscribed WebSocket at the server: 64-byte line, 16-byte
                      # subscription, its share of the shard's tables. The project's bound; the
                      # other transports keep the same line
SKB_BYTES=576         # what the kernel counts besides the bytes of a message that waits: sk_buff
                      # and skb_shared_info. Measured: 9,000 sockets with 64 bytes unread moved
                      # `mem` in /proc/net/sockstat from 152 to 8,856 pages, with 4,000 bytes to
                      # 18,073. An idle socket takes none; before Linux 6.0 one that had traffic
                      # keeps some

# --- descriptors ---------------------------------------------------------------------------------
TABLE_SLOTS_MAX=32768 # direct descriptors in one table, at most (server/core/ring_probe.c)
NOFILE_TABLES=65536   # the RLIMIT_NOFILE under which tables have that many
FILES_BESIDE=65536    # open files of everything else on the machine

# --- arrivals ------------------------------------------------------------------------------------
STORM_S=30            # everybody comes back within this; clients jitter over it
ACCEPT_STALL_S=1      # the longest time a shard does not accept, because it delivers a broadcast
BACKLOG_LEAST=4096    # the kernel's own default since 5.4
PACKETS_PER_S=200000  # 100,000 deliveries/s measured, each one data and one ACK
UDP_BUFFER_BYTES=4194304 # what the server asks for (server/udp.c): 3,640 first packets, measured
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
BACKLOG_SETTING_MAX=65535 # the largest listen_backlog that the server takes
TASKS=4096            # a thread per core and the kernel's io workers, with room

TCP_MEM_PERCENT=50    # of memory that TCP may be allowed: the rest is slab, and everybody else's
PAGE_BYTES=$(getconf PAGESIZE)
HASH_MAX=$((1 << 24)) # the kernel refuses a larger tcp_child_ehash_entries

# The rows. Kinds:
#   floor    one number, at least            triple   three numbers, each at least
#   range    a range, at least this wide     flows    conntrack, only where it is in use
#   memory   bytes of RAM                    worst    bytes of RAM, if the worst happens
#   hash     TCP hash: boot or namespace     nofile   RLIMIT_NOFILE
#   zero     must be 0; never written        count    told, not compared
#   measure  no figure is right everywhere      server   a setting of the server itself
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

# Pages of tcp_mem for a message that waits on a socket.
model_pages() { ceil_div $((MESSAGE_BYTES + SKB_BYTES)) "$PAGE_BYTES"; }

# On direct descriptors the limit sizes a table. Elsewhere a connection is a descriptor, the server
# takes seven eighths of the limit, and each shard has an eighth more than its share.
model_nofile() {
    if [ "$ENGINE" = io_uring ]; then
        printf '%d' "$NOFILE_TABLES"
    else
        printf '%d' $(($(ceil_div $(((N + N / 8 + 1024) * 8 / 7)) 1000) * 1000))
    fi
}

# table_slots LIMIT: the direct descriptors of one table: a power of two.
table_slots() {
    local slots=1
    while ((slots * 2 <= $1 && slots < TABLE_SLOTS_MAX)); do slots=$((slots * 2)); done
    printf '%d' "$slots"
}

# The new connections a second when everybody comes back.
model_arrivals_per_s() {
    printf '%d' $(($(ceil_div "$N" "$STORM_S") + $(model_short_lived_per_s)))
}

# backlog_for SOCKETS: each has a queue of its own.
backlog_for() {
    at_least "$(power_of_two $(($(model_arrivals_per_s) * ACCEPT_STALL_S / $1)))" "$BACKLOG_LEAST"
}

model_build() {
    ROW_KEY=() ROW_KIND=() ROW_NEED=() ROW_WHY=() ROW_SHOWS=()
    model_memory_rows
    model_descriptor_rows
    model_tcp_rows
    model_arrival_rows
    model_departure_rows
    [ "$ROLE" = server ] || model_port_row
    [ "$ROLE" = client ] || model_server_rows
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
    row memory:broadcast worst $((idle + N * $(model_pages) * PAGE_BYTES)) \
        "mem in /proc/net/sockstat, in pages" \
        "idle, and a message of $MESSAGE_BYTES bytes queued on every connection: a broadcast that" \
        "nobody has read yet."
}

model_descriptor_rows() {
    local nofile sockets
    nofile=$(model_nofile)
    sockets=$((N * $(model_ends)))
    if [ "$ENGINE" = io_uring ]; then
        row limit:nofile nofile "$nofile" \
            "the server's second line says how large its tables are" \
            "an io_uring table of direct descriptors has at most RLIMIT_NOFILE slots, and no more" \
            "than $TABLE_SLOTS_MAX. Tables add up, so a low limit costs rings, not connections."
    else
        row limit:nofile nofile "$nofile" \
            "max_connections is lowered at the start, and a line says so" \
            "on $ENGINE each connection is a descriptor of the process."
        row fs.nr_open floor "$nofile" \
            "systemd: status=205/LIMITS; setrlimit: EPERM" \
            "no RLIMIT_NOFILE can be above it, and a service that asks for more does not start."
    fi
    row fs.file-max floor $((sockets + sockets / 20 + FILES_BESIDE)) \
        "kernel log 'VFS: file-max limit N reached'; ENFILE; first number of /proc/sys/fs/file-nr" \
        "every socket is an open file, direct descriptors too. CAP_SYS_ADMIN is exempt: a test as" \
        "root does not meet this limit and the service then does."
    row kernel.io_uring_disabled zero 0 \
        "EPERM from io_uring_setup" \
        "1 keeps io_uring for one group, 2 for nobody. It is a security choice, so nothing here" \
        "writes it."
}

model_hash() { at_most "$(power_of_two $((N * $(model_ends))))" "$HASH_MAX"; }

model_tcp_rows() {
    local pages=$((N * $(model_pages)))
    row net.ipv4.tcp_mem triple "$pages $((pages * 4 / 3)) $((pages * 2))" \
        "kernel log 'TCP: out of memory -- consider tuning tcp_mem'; TCPMemoryPressures" \
        "in pages, not bytes, for all sockets of the host. A message queued on every connection" \
        "is $(model_pages) each; above the third number no socket may queue anything. It is a" \
        "bound, it reserves nothing; apply lets it have $TCP_MEM_PERCENT % of the memory at most." \
        "The one setting that decides at a million: at 575802 pages a broadcast to a million" \
        "never finished."
    row net.ipv4.tcp_ehash_entries hash "$(model_hash)" \
        "CPU in __inet_lookup_established" \
        "one bucket per socket; with fewer every packet walks a chain. Fixed at boot for the host" \
        "(thash_entries=), settable for a namespace made later. Measured: a broadcast to a" \
        "million at 70,000/s with 262,144 buckets, 92,000/s with 4,194,304."
}

model_arrival_rows() {
    local backlog packets
    backlog=$(backlog_for "$SHARDS")
    packets=$(at_most $((2 * N)) $((PACKETS_PER_S * SOFTIRQ_STALL_MS / 1000)))
    row net.core.somaxconn floor "$backlog" \
        "ListenOverflows, ListenDrops; Recv-Q at Send-Q in ss -ltn" \
        "all N come back within $STORM_S s and a busy shard accepts nothing for $ACCEPT_STALL_S" \
        "s. Each of $SHARDS shards has a queue of its own. It caps what the server passes to" \
        "listen(): alone it changes nothing, see server:listen_backlog."
    row net.ipv4.tcp_max_syn_backlog floor "$backlog" \
        "kernel log 'Possible SYN flooding'; TCPReqQFullDrop, TCPReqQFullDoCookies" \
        "half-open connections. With tcp_syncookies=1 the listen backlog bounds them first; this" \
        "counts where cookies are off."
    row net.core.netdev_max_backlog floor "$packets" \
        "second column of /proc/net/softnet_stat" \
        "packets waiting per core on loopback, veth and RPS: $PACKETS_PER_S a second for" \
        "$SOFTIRQ_STALL_MS ms. A card with a queue per core does not use it."
    row net.core.rmem_max floor "$UDP_BUFFER_BYTES" \
        "UdpRcvbufErrors in nstat; connects over QUIC that take a second" \
        "http3 and rtc: each shard has one UDP socket for all its peers, and asks for as much. A" \
        "first packet takes 2304 bytes of twice that. Where it is 212992, as older kernels have" \
        "it, 185 at once are too many: those handshakes begin again after a second."
    row net.core.wmem_max floor "$UDP_BUFFER_BYTES" \
        "UdpSndbufErrors in nstat; ringside_datagrams_unsent_total" \
        "the same for what a broadcast sends."
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

model_server_rows() {
    row server:max_connections server $((N + N / 20)) \
        "503 table_full" \
        "for the server's file: its default is what half of the memory holds at 6 KiB each. A" \
        "twentieth is for those who come back before their old connection is known to be dead."
    row server:listen_backlog server \
        "$(at_most "$(backlog_for "$SHARDS")" "$BACKLOG_SETTING_MAX")" \
        "ListenOverflows; Send-Q in ss -ltn" \
        "for the server's file: its default is 2048. Above half of a table of $TABLE_SLOTS_MAX a" \
        "shard accepts one by one, which costs a little; more shards need less each (--shards)."
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
        "bbr paces: with a timer per socket, or in the queueing discipline where that is fq" \
        "(net.core.default_qdisc=fq), which loopback has not. reno was 5 to 15 % cheaper per" \
        "delivery there. Behind real networks bbr may deliver more. Compare: tune lab --set" \
        "net.ipv4.tcp_congestion_control=reno -- CMD"
    row net.ipv4.tcp_slow_start_after_idle measure measure \
        "cwnd in ss -ti behind a pause" \
        "1: after a pause longer than its retransmission timeout a connection begins with ten" \
        "segments again, which a replay behind a quiet hour feels and a single message does not."
    row net.ipv4.tcp_thin_linear_timeouts measure measure \
        "TCPTimeouts; rto in ss -ti" \
        "1: a stream with few packets under way, as a push is, repeats six times at the same" \
        "pace before it backs off. Sooner through a bad radio link, more packets into a full one."
    row net.ipv4.tcp_autocorking measure measure \
        "TCPAutoCorking; p99 of deliveries" \
        "holds a small send back while an earlier one is in the card's queue: fewer packets," \
        "later. Compare: tune lab --set net.ipv4.tcp_autocorking=0 -- CMD"
}
